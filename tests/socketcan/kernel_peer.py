"""The two ends of the differential tests: our ISO-TP core on a raw CAN socket, and the kernel's ISO-TP socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass

from bench.core.clock import Clock
from bench.core.records import EXTENDED, FD
from bench.link.kernel_isotp_link import open_socket
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpParams
from bench.wire.outcome import OutcomeCallback, sent_on_wire

CLASSIC, CANFD = struct.Struct("=IBBBB8s"), struct.Struct("=IBBBB64s")
EFF = 0x8000_0000
BRS_BIT = 1
LIMIT_S = 60.0
"""Generous: an emulated machine is slow, and each of our time-outs ends a case long before."""


@dataclass(frozen=True)
class Case:
    """One random transfer."""

    mode: str
    length: int
    block_size: int
    st_min: int
    padding: int | None
    tx_dl: int
    seed: int

    @property
    def payload(self) -> bytes:
        return bytes((i * 31 + self.seed ^ i >> 8) & 0xFF for i in range(self.length))


MODES: dict[str, tuple[IsoTpAddress, IsoTpAddress]] = {
    "normal_11": (IsoTpAddress.normal(0x641, 0x642), IsoTpAddress.normal(0x642, 0x641)),
    "normal_29": (
        IsoTpAddress.normal(0x1ABCDE01, 0x1ABCDE02, id_29_bit=True),
        IsoTpAddress.normal(0x1ABCDE02, 0x1ABCDE01, id_29_bit=True),
    ),
    "normal_fixed": (IsoTpAddress.normal_fixed(0xF1, 0x33), IsoTpAddress.normal_fixed(0x33, 0xF1)),
    "extended_11": (
        IsoTpAddress.extended(0x6F1, 0x633, source=0xF1, target=0x33),
        IsoTpAddress.extended(0x633, 0x6F1, source=0x33, target=0xF1),
    ),
    "extended_29": (
        IsoTpAddress.extended(0x1AAAAAA1, 0x1AAAAAA2, source=0xF1, target=0x33, id_29_bit=True),
        IsoTpAddress.extended(0x1AAAAAA2, 0x1AAAAAA1, source=0x33, target=0xF1, id_29_bit=True),
    ),
    "mixed_11": (IsoTpAddress.mixed(0x6F1, 0x633, 0x99), IsoTpAddress.mixed(0x633, 0x6F1, 0x99)),
    "mixed_29": (IsoTpAddress.mixed_fixed(0xF1, 0x33, 0x99), IsoTpAddress.mixed_fixed(0x33, 0xF1, 0x99)),
}


class OurEnd:
    """Our core, its frames on a raw CAN socket of the loop."""

    def __init__(self, clock: Clock, interface: str, address: IsoTpAddress, params: IsoTpParams) -> None:
        self._clock, self._address, self._fd = clock, address, params.tx_dl > 8
        self._loop = asyncio.get_running_loop()
        self.messages: asyncio.Queue[bytes | str] = asyncio.Queue()
        self._socket = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        self._socket.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
        self._socket.bind((interface,))
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._readable)
        self.endpoint = IsoTpEndpoint(clock, params, self._transmit, self, address=address)

    def _transmit(self, data: bytes, sent: OutcomeCallback) -> None:
        can_id = self._address.tx_id | (EFF if self._address.id_29_bit else 0)
        form, flags = (CANFD, BRS_BIT) if self._fd else (CLASSIC, 0)
        self._socket.send(form.pack(can_id, len(data), flags, 0, 0, data))
        self._loop.call_soon(lambda: sent(sent_on_wire(self._clock.now_ns())))

    def _readable(self) -> None:
        raw = self._socket.recv(CANFD.size)
        fd = len(raw) == CANFD.size
        can_id, length, _, _, _, data = (CANFD if fd else CLASSIC).unpack(raw)
        flags = (EXTENDED if can_id & EFF else 0) | (FD if fd else 0)
        frame = CanFrame(can_id & 0x1FFF_FFFF, data[:length], flags)
        if self._address.accepts(frame):
            self.endpoint.on_frame(frame.data, self._clock.now_ns())

    def on_start(self, length: int) -> None:
        del length

    def on_message(self, payload: bytes) -> None:
        self.messages.put_nowait(payload)

    def on_error(self, name: str) -> None:
        self.messages.put_nowait(name)

    async def send(self, payload: bytes) -> str | None:
        done: asyncio.Future[str | None] = self._loop.create_future()
        self.endpoint.send(payload, done.set_result)
        return await asyncio.wait_for(done, LIMIT_S)

    async def receive(self) -> bytes | str:
        return await asyncio.wait_for(self.messages.get(), LIMIT_S)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()


class KernelEnd:
    """The kernel's socket, not blocking."""

    def __init__(self, interface: str, address: IsoTpAddress, params: IsoTpParams) -> None:
        flags = FD | 4 if params.tx_dl > 8 else 0
        self.socket = open_socket(interface, address, params, flags, wait_tx_done=False)
        self.socket.setblocking(False)

    async def send(self, payload: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, payload)

    async def receive(self) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 16_384), LIMIT_S)

    def close(self) -> None:
        self.socket.close()
