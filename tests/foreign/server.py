"""What the foreign ECUs share: a UDS server on can-isotp's threads, sessions, transfers, and ways to die in between."""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import can
import isotp

from tests.foreign.memory import Flash, NotErased, Notes

S3_S = 5.0
DEFAULT, PROGRAMMING, EXTENDED = 1, 2, 3
PLAIN, DEFLATED = 0x00, 0x10
MAX_BLOCK_LENGTH = 1026
"""Of 0x36: service, counter and 1,024 bytes."""


class Refused(Exception):
    """A negative response."""

    def __init__(self, nrc: int) -> None:
        super().__init__(f"NRC 0x{nrc:02X}")
        self.nrc = nrc


@dataclass
class Transfer:
    """A download under way: what was announced, and what came, as sent and unpacked."""

    address: int
    length: int
    packing: int
    counter: int = 0
    received: bytes = b""
    written: int = 0
    unpacker: Any = None

    def unpacked(self, data: bytes) -> bytes:
        """Return what a block's data stand for."""
        if self.packing == PLAIN:
            return data
        self.unpacker = self.unpacker or zlib.decompressobj(-15)
        return bytes(self.unpacker.decompress(data))


class UdsServer(ABC):
    """Services that all three have; a maker's own are methods `sid_XX` that return data or raise `Refused`."""

    regions: ClassVar[dict[int, int]] = {}
    packings: tuple[int, ...] = (PLAIN,)
    dark_s = 0.1
    """How long a restart takes; nothing is heard meanwhile."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.flash = Flash(folder / "flash.bin", self.regions)
        self.notes = Notes(folder / "notes.json")
        self.options = options
        self.send: Callable[[bytes], None] = lambda _answer: None
        self.blocks = 0
        self.upset = False
        self.heard_s = time.monotonic()
        self.dark_until_s = 0.0
        self.start()

    # Life -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin anew, as after a reset: everything volatile is gone."""
        self.session, self.unlocked, self.seed, self.upset = DEFAULT, False, b"", False
        self.transfer: Transfer | None = None
        self.boot = not self.complete()

    @abstractmethod
    def complete(self) -> bool:
        """Return whether the application may be started."""

    def restart(self) -> None:
        """Reset: silent for a while."""
        self.start()
        self.dark_until_s = time.monotonic() + self.dark_s

    def tick(self) -> None:
        """S3Server: a session that nobody keeps alive ends (ISO 14229-2, 7.5); here by a reset."""
        if self.session != DEFAULT and time.monotonic() - self.heard_s > S3_S:
            self.restart()

    def busy(self, sid: int, seconds: float) -> None:
        """Work for a while: the tester is told so first (NRC 0x78)."""
        self.send(bytes((0x7F, sid, 0x78)))
        time.sleep(seconds)  # this process is the ECU: while it erases it serves nobody

    # Requests ---------------------------------------------------------------------------------------

    def take(self, request: bytes, *, functional: bool) -> None:
        """Serve one request; answers go to `send`."""
        if not request or time.monotonic() < self.dark_until_s:
            return
        sid, self.heard_s = request[0], time.monotonic()
        quiet = len(request) > 1 and sid in (0x10, 0x11, 0x28, 0x3E, 0x85) and bool(request[1] & 0x80)
        if quiet:
            request = bytes((sid, request[1] & 0x7F)) + request[2:]
        try:
            handler = getattr(self, f"sid_{sid:02x}", None)
            if handler is None:
                raise Refused(0x11)
            data = handler(request)
        except Refused as refusal:
            if not (functional and refusal.nrc in (0x11, 0x12, 0x31, 0x7E, 0x7F)):
                self.send(bytes((0x7F, sid, refusal.nrc)))
        else:
            if not quiet:
                self.send(bytes((sid + 0x40,)) + data)
        self.heard_s = time.monotonic()
        if self.after is not None:
            after, self.after = self.after, None
            after()

    after: Any = None
    """What is done once the answer is on its way."""

    def sid_10(self, request: bytes) -> bytes:
        wanted = request[1]
        if wanted not in (DEFAULT, PROGRAMMING, EXTENDED) or (wanted == EXTENDED and self.boot):
            raise Refused(0x12)
        self.session, self.unlocked, self.transfer = wanted, False, None
        if wanted == PROGRAMMING and not self.boot:
            self.boot = True
            self.dark_until_s = time.monotonic() + 0.05
        if wanted == DEFAULT and self.boot:
            self.after = self.restart
        return bytes((wanted, 0x00, 0x32, 0x01, 0xF4))

    def sid_11(self, request: bytes) -> bytes:
        if request[1] != 1:
            raise Refused(0x12)
        self.after = self.restart
        return request[1:2]

    def sid_3e(self, request: bytes) -> bytes:
        # once lost it stays lost: its checks go on believing what it acknowledged, until it restarts
        self.upset = self.upset or (self.options.upset_by_tester_present and self.transfer is not None)
        return request[1:2]

    def sid_22(self, request: bytes) -> bytes:
        did = int.from_bytes(request[1:3], "big")
        value = bytes((self.session,)) if did == 0xF186 else self.identifiers().get(did)
        if value is None:
            raise Refused(0x31)
        return request[1:3] + value

    @abstractmethod
    def identifiers(self) -> dict[int, bytes]:
        """Return the data identifiers that can be read now."""

    # Security ---------------------------------------------------------------------------------------

    level = 0x01
    """The sub-function of 0x27 that requests the seed; the next one sends the key."""
    fixed_seed = b""

    def key_of(self, seed: bytes) -> bytes:
        """Return the key that a seed asks for."""
        raise Refused(0x11)

    def sid_27(self, request: bytes) -> bytes:
        if not self.fixed_seed:
            raise Refused(0x11)
        if self.session != PROGRAMMING:
            raise Refused(0x7F)
        if request[1] == self.level:
            self.seed = bytes(len(self.fixed_seed)) if self.unlocked else self.fixed_seed
            return request[1:2] + self.seed
        if request[1] != self.level + 1:
            raise Refused(0x12)
        if not self.seed:
            raise Refused(0x24)
        if request[2:] != self.key_of(self.seed):
            self.seed = b""
            raise Refused(0x35)
        self.unlocked = True
        return request[1:2]

    # Transfer ---------------------------------------------------------------------------------------

    def begin_transfer(self, packing: int, address: int, length: int) -> bytes:
        """0x34, its parameters taken apart: refuse, or begin."""
        if self.session != PROGRAMMING:
            raise Refused(0x7F)
        if not self.unlocked:
            raise Refused(0x33)
        if packing not in self.packings or not length or not self.may_program(address, length):
            raise Refused(0x31)
        self.transfer = Transfer(address, length, packing)
        return bytes((0x20,)) + MAX_BLOCK_LENGTH.to_bytes(2, "big")

    def may_program(self, address: int, length: int) -> bool:
        """Return whether a download may go there."""
        return self.flash.holds(address, length) and self.flash.is_erased(address, length)

    def sid_36(self, request: bytes) -> bytes:
        transfer = self.transfer
        if transfer is None:
            raise Refused(0x24)
        if len(request) < 3 or len(request) > MAX_BLOCK_LENGTH:
            raise Refused(0x13)
        counter, data = request[1], request[2:]
        if counter == transfer.counter and transfer.received:
            return request[1:2]
        if counter != (transfer.counter + 1) & 0xFF:
            raise Refused(0x73)
        self.blocks += 1
        if self.options.refuse_block == self.blocks:
            self.transfer = None
            raise Refused(0x72)
        plain = transfer.unpacked(data)
        if transfer.written + len(plain) > transfer.length:
            raise Refused(0x71)
        if self.options.die_at_block == self.blocks:
            self.program(transfer.address + transfer.written, plain[: len(plain) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        if not self.upset:
            self.program(transfer.address + transfer.written, plain)
        transfer.counter, transfer.received = counter, transfer.received + data
        transfer.written += len(plain)
        return request[1:2]

    def program(self, address: int, data: bytes) -> None:
        """Write what came; `Refused` 0x72 when the cells do not take it."""
        try:
            self.flash.program(address, data)
        except NotErased:
            raise Refused(0x72) from None

    def end_transfer(self) -> Transfer:
        """0x37: return the transfer when all that was announced came."""
        transfer = self.transfer
        if transfer is None or transfer.written != transfer.length:
            raise Refused(0x24)
        self.transfer = None
        return transfer


def serve(server: UdsServer, bus: can.BusABC, physical: isotp.Address, functional: tuple[int, bool] | None) -> None:
    """Serve until the process ends; `functional` is identifier and whether it has 29 bits."""
    notifier = can.Notifier(bus, [], timeout=0.05)
    params = {
        "stmin": server.options.st_min, "blocksize": server.options.block_size, "tx_padding": 0x00,
        "max_frame_size": 8191, "blocking_send": False,
    }  # fmt: skip
    stack = isotp.NotifierBasedCanStack(bus, notifier, address=physical, params=params)
    everybody: queue.Queue[bytes] = queue.Queue()

    def listen(message: can.Message) -> None:
        if functional == (message.arbitration_id, message.is_extended_id) and message.data[:1] < b"\x08":
            everybody.put(bytes(message.data[1 : 1 + message.data[0]]))

    notifier.add_listener(listen)
    server.send = stack.send
    stack.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        while not everybody.empty():
            server.take(everybody.get(), functional=True)
        request = stack.recv(block=True, timeout=0.005)
        if request:
            server.take(bytes(request), functional=False)
        server.tick()


def options(about: str) -> argparse.ArgumentParser:
    """Return the command line that all three have."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("folder", type=Path, help="where flash and notes are kept")
    parser.add_argument("--interface", default="udp_multicast")
    parser.add_argument("--channel", required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--key", type=Path, help="public key that checks signatures, PEM")
    parser.add_argument("--st-min", type=int, default=0)
    parser.add_argument("--block-size", type=int, default=8)
    parser.add_argument("--die-at-block", type=int, default=0, help="lose power in the middle of that 0x36")
    parser.add_argument("--refuse-block", type=int, default=0, help="answer 0x72 to that 0x36")
    parser.add_argument("--upset-by-tester-present", action="store_true", help="acknowledge, and store nothing")
    return parser


def open_bus(given: argparse.Namespace) -> can.BusABC:
    """Open the adapter that the command line names."""
    more = {"port": given.port, "hop_limit": 0} if given.interface == "udp_multicast" else {}
    return can.Bus(interface=given.interface, channel=given.channel, ignore_config=True, **more)
