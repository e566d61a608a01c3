"""The Linux kernel's ISO-TP socket as a `DiagLink` (CAN_ISOTP, kernel 5.10 or later; `transport = "kernel"`).

The kernel keeps STmin, N_Bs (1 s) and N_Cr (1 s) by itself, under the millisecond too. It does not tell when an
answer begins: that is seen by the bus's own raw socket on the same interface. What it cannot tell: N_As apart from
N_Bs (both come back as ECOMM, mapped to N_TIMEOUT_Bs), nor which WAIT frame was one too many. A message under way
when the link's owner loses power is sent to its end: the kernel has it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

from bench.core.errors import EquipmentError
from bench.core.node import Incarnation
from bench.core.records import BRS, EXTENDED, FD, REMOTE
from bench.link.answers import Answers
from bench.ports.can import CanPort
from bench.ports.diagnostics import LinkError
from bench.wire.can import CanFrame
from bench.wire.isotp_address import IsoTpAddress
from bench.wire.isotp_params import FIRST, FRAME_BYTES, SINGLE, IsoTpError, IsoTpParams

AF_CAN, CAN_ISOTP, SOL_CAN_ISOTP = 29, 6, 106
CAN_EFF_FLAG = 0x8000_0000
OPTIONS, RECV_FC, LL_OPTIONS = 1, 2, 5
EXTEND_ADDR, TX_PADDING, RX_EXT_ADDR, WAIT_TX_DONE = 0x002, 0x004, 0x200, 0x400
CAN_MTU, CANFD_MTU, CANFD_BRS = 16, 72, 1
MAX_BYTES = 8200
"""What kernels before 6.4 carry in one message; later ones can be told to carry more."""
SEND_NAMES = {
    errno.ECOMM: IsoTpError.TIMEOUT_BS,
    errno.EMSGSIZE: IsoTpError.BUFFER_OVERFLOW,
    errno.EBADMSG: IsoTpError.INVALID_FS,
}
RECEIVE_NAMES = {
    errno.ETIMEDOUT: IsoTpError.TIMEOUT_CR,
    errno.EILSEQ: IsoTpError.WRONG_SN,
    errno.EBADMSG: IsoTpError.UNEXPECTED_PDU,
}
_OWNERS: dict[tuple[str, int, int, int | None], KernelIsoTpLink] = {}
"""Two sockets on one pair race for every frame: each pair has one owner."""


class KernelIsoTpLink:
    """Tester side of one address pair, done by the kernel. `close` before the bus is closed."""

    def __init__(
        self,
        life: Incarnation,
        port: CanPort,
        interface: str,
        address: IsoTpAddress,
        params: IsoTpParams,
        frame_flags: int | None = None,
    ) -> None:
        """Open the socket; ValueError when a living link has this pair, EquipmentError when there is no such socket."""
        if frame_flags is None:
            frame_flags = FD | BRS if params.tx_dl > FRAME_BYTES else 0
        self.life, self._address = life, address
        self._max_length = min(params.max_length, MAX_BYTES)
        self._pair = (interface, address.tx_id, address.rx_id, address.rx_extension)
        _claim(self._pair)
        self._socket = open_socket(interface, address, params, frame_flags)
        _OWNERS[self._pair] = self
        self._loop = asyncio.get_running_loop()
        self._answers = Answers(life, address, params.n_cr_ms)
        self._sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"isotp {interface}")
        self._loop.add_reader(self._socket, self._readable)
        port.subscribe(self._on_frame, (address.rx_identifier, address.tx_identifier))

    # DiagLink ---------------------------------------------------------------------------------------

    async def send(self, payload: bytes) -> None:
        """Send one message; returns when the kernel sent its last frame. Raises LinkError."""
        # A dead agent sends nothing: the kernel would go on with the message by itself (D3).
        self.life.check()
        if not 0 < len(payload) <= self._max_length:
            raise ValueError(f"{len(payload)} bytes; this link carries 1 to {self._max_length}")
        self._answers.asking()
        self._loop.remove_reader(self._socket)  # the failure of a send would be read away as one of a reception
        try:
            await self._loop.run_in_executor(self._sender, self._socket.send, payload)
        except OSError as error:
            raise LinkError(SEND_NAMES.get(error.errno or 0, IsoTpError.ERROR), f"while sending: {error}") from None
        finally:
            if self._socket.fileno() >= 0:
                self._loop.add_reader(self._socket, self._readable)
        self.life.check()

    async def receive(self, start_within_ns: int) -> bytes:
        """Return the next message; AnswerTimeout when none began in time, LinkError when one broke off."""
        return await self._answers.receive(start_within_ns)

    def discard(self) -> int:
        """Drop what has arrived so far; returns how many messages."""
        return self._answers.discard()

    def close(self) -> None:
        """Give socket and thread back; waits for a message under way (the kernel's time-outs bound it)."""
        # Another life may have taken the pair over since: its entry is not ours to delete.
        if _OWNERS.get(self._pair) is self:
            del _OWNERS[self._pair]
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._sender.shutdown(wait=True)
            self._socket.close()

    def _on_frame(self, frame: CanFrame, t_ns: int) -> None:
        del t_ns
        if frame.flags & REMOTE:
            return
        if self._address.accepts(frame):
            self._answers.saw_frame(frame.data)
        elif self._begins_request(frame):
            self._answers.saw_request()

    def _begins_request(self, frame: CanFrame) -> bool:
        """Return whether this is the single or first frame of a message of ours: the kernel's frames pass by too."""
        address = self._address
        if frame.can_id != address.tx_id or frame.flags & EXTENDED != address.flags:
            return False
        body = frame.data.removeprefix(address.prefix)
        return bool(body) and body[0] >> 4 in (SINGLE, FIRST)

    def _readable(self) -> None:
        try:
            # Woken without need is allowed (select(2)): without MSG_DONTWAIT the loop would stand still until the next
            # answer.
            payload = self._socket.recv(MAX_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            self._answers.broke_off(RECEIVE_NAMES.get(error.errno or 0, IsoTpError.ERROR), f"while receiving: {error}")
        else:
            self.life.call((self._answers.message,), payload)


def _claim(pair: tuple[str, int, int, int | None]) -> None:
    """Take over a pair whose owner's life has ended; ValueError when the owner lives."""
    owner = _OWNERS.get(pair)
    if owner is None:
        return
    if owner.life.alive:
        raise ValueError(f"another link has the identifiers 0x{pair[1]:X} and 0x{pair[2]:X} on {pair[0]} already")
    owner.close()


def open_socket(
    interface: str, address: IsoTpAddress, params: IsoTpParams, frame_flags: int, *, wait_tx_done: bool = True
) -> socket.socket:
    """Return a bound socket; EquipmentError when the kernel has none.

    With `wait_tx_done` a send returns, or fails, when the last frame was sent.
    """
    flags = WAIT_TX_DONE if wait_tx_done else 0
    flags |= TX_PADDING if params.padding is not None else 0
    flags |= EXTEND_ADDR | RX_EXT_ADDR if address.tx_extension is not None else 0
    options = struct.pack(
        "=IIBBBB", flags, 0, address.tx_extension or 0, params.padding or 0, 0, address.rx_extension or 0
    )
    wide = CAN_EFF_FLAG if address.id_29_bit else 0
    mtu = CANFD_MTU if frame_flags & FD else CAN_MTU
    try:
        opened = socket.socket(AF_CAN, socket.SOCK_DGRAM, CAN_ISOTP)
    except OSError as error:
        raise EquipmentError(f"no kernel ISO-TP here: {error.strerror}\n  next    sudo modprobe can-isotp") from None
    try:
        opened.setsockopt(SOL_CAN_ISOTP, OPTIONS, options)
        opened.setsockopt(
            SOL_CAN_ISOTP, RECV_FC, struct.pack("=BBB", params.block_size, params.st_min, params.wait_frames_max)
        )
        link_layer = struct.pack("=BBB", mtu, params.tx_dl, CANFD_BRS if frame_flags & BRS else 0)
        opened.setsockopt(SOL_CAN_ISOTP, LL_OPTIONS, link_layer)
        opened.bind((interface, address.rx_id | wide, address.tx_id | wide))
    except OSError as error:
        opened.close()
        raise EquipmentError(
            f"kernel ISO-TP on {interface} cannot be opened: {error}\n  next    otabench doctor"
        ) from None
    return opened


def kernel_isotp_problem() -> str | None:
    """Return why the kernel's ISO-TP cannot be used on this machine, or None."""
    try:
        socket.socket(AF_CAN, socket.SOCK_DGRAM, CAN_ISOTP).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
