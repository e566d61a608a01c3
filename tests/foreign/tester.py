"""A foreign unit's process, and a plain tester on can-isotp that knows nothing of otabench."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import can
import isotp

ROOT = Path(__file__).parent.parent.parent
CHANNEL = "239.74.163.9"
_PORTS = count(20_000 + os.getpid() % 20_000)
"""A port of its own for each bus: tests in several processes do not hear each other."""


def new_port() -> int:
    """Return a port that no other bus of this process has."""
    return next(_PORTS)


@contextmanager
def unit(module: str, folder: Path, port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a foreign unit until the block ends; it listens once this is entered."""
    command = [sys.executable, "-m", f"tests.foreign.{module}", str(folder), "--channel", CHANNEL]
    process = subprocess.Popen([*command, "--port", str(port), *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


class PlainTester:
    """Requests and answers over can-isotp; negative responses are returned as they are."""

    def __init__(self, port: int, address: isotp.Address) -> None:
        self._bus = can.Bus(interface="udp_multicast", channel=CHANNEL, port=port, hop_limit=0, ignore_config=True)
        self._notifier = can.Notifier(self._bus, [], timeout=0.05)
        self._stack = isotp.NotifierBasedCanStack(self._bus, self._notifier, address=address)
        self._stack.start()

    def close(self) -> None:
        self._stack.stop()
        self._notifier.stop()
        self._bus.shutdown()

    def ask(self, request: bytes, limit_s: float = 10.0) -> bytes:
        """Return the final answer; empty when none came."""
        self._stack.send(request)
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            answer = bytes(self._stack.recv(block=True, timeout=0.2) or b"")
            if answer and answer[1:] != bytes((request[0], 0x78)):
                return answer
        return b""

    def until(self, request: bytes, wanted: bytes, limit_s: float = 10.0) -> None:
        """Ask again until an answer begins as wanted: a unit that restarts hears nothing."""
        end_s = time.monotonic() + limit_s
        while not (answer := self.ask(request, 0.2)).startswith(wanted):
            assert time.monotonic() < end_s, f"{request.hex()}: {answer.hex()}, not {wanted.hex()}"

    def download(self, request: bytes, data: bytes) -> bytes:
        """0x34 as given, 0x36 of everything, 0x37: return the last answer, or the first that is negative."""
        answer = self.ask(request)
        size = int.from_bytes(answer[2:4], "big") - 2
        for n, at in enumerate(range(0, len(data), size) if answer[0] == 0x74 else ()):
            answer = self.ask(bytes((0x36, (n + 1) & 0xFF)) + data[at : at + size])
            if answer[:1] != b"\x76":
                return answer
        return answer if answer[:1] == b"\x7f" else self.ask(b"\x37")


@contextmanager
def connect(port: int, address: isotp.Address) -> Iterator[PlainTester]:
    """A tester on a bus of its own."""
    ours = PlainTester(port, address)
    try:
        yield ours
    finally:
        ours.close()
