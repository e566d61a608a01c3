"""An ECU that is not our simulator: can-isotp's own stack and threads, and a UDS server of forty lines.

It knows as much of ISO 14229-1 as a single-bank bootloader needs, and decodes by itself.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from types import TracebackType

import can
import isotp

SECRET = hashlib.sha256(b"otabench test key body_controller").digest()
SEED = bytes.fromhex("0102030405060708")
TEXTS = {0xF191: b"BCM-HW-03", 0xF188: b"BCM-APP"}


class ForeignEcu:
    """Serves on a python-can bus in a thread of its own until the block ends."""

    def __init__(self, bus: can.BusABC, *, st_min: int = 0, block_size: int = 0, request: int = 0x7A0) -> None:
        self._bus, self._notifier = bus, can.Notifier(bus, [], timeout=0.05)
        self._everybody = can.BufferedReader()
        self._notifier.add_listener(self._everybody)
        self.stack = isotp.NotifierBasedCanStack(
            bus,
            self._notifier,
            address=isotp.Address(isotp.AddressingMode.Normal_11bits, txid=request + 8, rxid=request),
            params={"stmin": st_min, "blocksize": block_size, "tx_padding": 0x55, "max_frame_size": 4095},
        )
        self.version, self.new_version = b"1.0.0", b"2.0.0"
        self.session, self.unlocked, self.erased = 1, False, False
        self.memory: dict[int, bytes] = {}
        self.functional: list[bytes] = []
        self._address, self._left, self._counter = 0, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="foreign ecu", daemon=True)

    def __enter__(self) -> ForeignEcu:
        self.stack.start()
        self._thread.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.stack.stop()
        self._notifier.stop()
        self._bus.shutdown()

    def _serve(self) -> None:
        while not self._stop.is_set():
            request = self.stack.recv(block=True, timeout=0.02)
            if request:
                self.stack.send(self.answer(bytes(request)))
            while (message := self._everybody.get_message(0)) is not None:
                if message.arbitration_id == 0x7DF:
                    self._all(bytes(message.data[1 : 1 + message.data[0]]))

    def _all(self, request: bytes) -> None:
        self.functional.append(request)
        if request[0] == 0x10:
            self.session = request[1] & 0x7F

    def answer(self, request: bytes) -> bytes:
        """Return the response to a request: SID + 0x40 …, or 7F SID NRC."""
        handler = getattr(self, f"_sid_{request[0]:02x}", None)
        refusal = handler(request) if handler else 0x11
        if isinstance(refusal, int):
            return bytes((0x7F, request[0], refusal))
        return bytes((request[0] + 0x40,)) + (refusal or b"")

    def _sid_10(self, request: bytes) -> bytes:
        self.session = request[1]
        return request[1:2] + bytes.fromhex("003201f4")

    def _sid_11(self, request: bytes) -> bytes:
        self.session, self.unlocked = 1, False
        return request[1:2]

    def _sid_3e(self, request: bytes) -> bytes:
        return request[1:2]

    def _sid_22(self, request: bytes) -> bytes | int:
        did = int.from_bytes(request[1:3], "big")
        if did == 0xF186:
            return request[1:3] + bytes((self.session,))
        if did == 0xF189:
            return request[1:3] + self.version
        return request[1:3] + TEXTS[did] if did in TEXTS else 0x31

    def _sid_27(self, request: bytes) -> bytes | int:
        if request[1] == 1:
            return request[1:2] + SEED
        self.unlocked = request[2:] == hmac.digest(SECRET, SEED, "sha256")[:8]
        return request[1:2] if self.unlocked else 0x35

    def _sid_2e(self, request: bytes) -> bytes:
        return request[1:3]

    def _sid_31(self, request: bytes) -> bytes | int:
        if not self.unlocked:
            return 0x33
        routine = request[2:4]
        if routine == b"\xff\x00":
            self.memory, self.erased = {}, True
        elif routine == b"\x02\x02":
            self.version = self.new_version
        return request[1:4] + b"\x00"

    def _sid_34(self, request: bytes) -> bytes | int:
        if not self.erased or request[2] != 0x44:
            return 0x31
        self._address, self._left = int.from_bytes(request[3:7], "big"), int.from_bytes(request[7:11], "big")
        self._counter = 0
        return bytes.fromhex("200402")

    def _sid_36(self, request: bytes) -> bytes | int:
        data = request[2:]
        if request[1] != (self._counter + 1) & 0xFF or len(data) > self._left:
            return 0x73
        self._counter = request[1]
        self.memory[self._address] = data
        self._address, self._left = self._address + len(data), self._left - len(data)
        return request[1:2]

    def _sid_37(self, _request: bytes) -> bytes | int:
        return b"" if not self._left else 0x24

    def content(self, start: int, length: int) -> bytes:
        """Return what was programmed from an address on."""
        blocks = sorted((address, data) for address, data in self.memory.items() if start <= address < start + length)
        return b"".join(data for _, data in blocks)[:length]
