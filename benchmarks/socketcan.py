"""Figure `socketcan_share`: payload rate of our diagnostic links over vcan, against a pair of the kernel's sockets.

Run by `make bench-socketcan`, here or in a virtual machine; writes and prints one JSON object, whose figure
`benchmarks.merge` puts into reports/benchmarks.json. Every rate is that of messages of 4,095 bytes, each waited for by
the receiver; the receiver is a kernel socket in all cases, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

from bench.core.clock import Clock, Stopwatch
from bench.core.node import Incarnation, Node
from bench.core.realtime import run_on_clock
from bench.core.world import World
from bench.link.can_isotp_link import CanIsoTpLink
from bench.link.isotp_link import IsoTpLink
from bench.link.kernel_isotp_link import KernelIsoTpLink, open_socket
from bench.link.python_can_bus import PythonCanBus
from bench.ports.can import CanPort, ChannelSpec
from bench.ports.diagnostics import DiagLink
from bench.wire.isotp import IsoTpAddress, IsoTpParams
from benchmarks.figure import SCHEMA, Figure, Measured, write_report

INTERFACE = "vcan1"
OURS, THEIRS = IsoTpAddress.normal(0x661, 0x662), IsoTpAddress.normal(0x662, 0x661)
SPEC = ChannelSpec(
    name="can0", interface="socketcan", channel=INTERFACE, bitrate_bit_s=500_000, data_bitrate_bit_s=None, options={}
)
PARAMS = IsoTpParams()
MESSAGE = bytes(i * 31 & 0xFF for i in range(4095))
ROUNDS = 3
MESSAGES = {"kernel pair": 12, "kernel": 12, "own": 2, "can-isotp": 2}


class Receiver:
    """A kernel socket that answers every message with one byte, in a thread of its own."""

    def __init__(self) -> None:
        self._socket = open_socket(INTERFACE, THEIRS, PARAMS, 0)
        self._socket.settimeout(60)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while len(self._socket.recv(8192)) > 1:
            self._socket.send(b"\x01")

    def close(self) -> None:
        """End it; the last message sent to it had one byte."""
        self._thread.join()
        self._socket.close()


def kernel_pair(count: int) -> float:
    """Return bytes per second of two blocking kernel sockets."""
    receiver = Receiver()
    sender = open_socket(INTERFACE, OURS, PARAMS, 0)
    sender.settimeout(60)
    try:
        watch = Stopwatch()
        for _ in range(count):
            sender.send(MESSAGE)
            sender.recv(1)
        took_s = watch.elapsed_s()
        sender.send(b"\x00")
    finally:
        receiver.close()
        sender.close()
    return count * len(MESSAGE) / took_s


Make = Callable[[Incarnation, CanPort], DiagLink]
LINKS: dict[str, Make] = {
    "kernel": lambda life, port: KernelIsoTpLink(life, port, INTERFACE, OURS, PARAMS),
    "own": lambda life, port: IsoTpLink(life, port, OURS, PARAMS),
    "can-isotp": lambda life, port: CanIsoTpLink(life, port, OURS, PARAMS),
}


def link_rate(name: str, count: int) -> float:
    """Return bytes per second of one of our links."""

    async def main(clock: Clock) -> float:
        world = World(clock, seed=1)
        node = Node(world, "agent", lambda _life: None)
        node.power_on()
        assert node.incarnation is not None
        receiver = Receiver()
        bus = PythonCanBus(world, SPEC, lambda _frame: "peer")
        if name == "kernel":
            bus.own(OURS.tx_identifier, "agent")  # as a bench does
        link = LINKS[name](node.incarnation, bus.attach(node.incarnation))
        try:
            watch = Stopwatch()
            for _ in range(count):
                await link.send(MESSAGE)
                await link.receive(60_000_000_000)
            took_s = watch.elapsed_s()
            await link.send(b"\x00")
            await asyncio.get_running_loop().run_in_executor(None, receiver.close)
        finally:
            if isinstance(link, KernelIsoTpLink):
                link.close()
            bus.close()
        return count * len(MESSAGE) / took_s

    return run_on_clock(main, virtual=False)


@cache
def rates() -> dict[str, float]:
    """Take each rate a few times, in turn; returns the best of each, in bytes per second."""
    best: dict[str, float] = dict.fromkeys(MESSAGES, 0.0)
    for _ in range(ROUNDS):
        for name, count in MESSAGES.items():
            rate = kernel_pair(count) if name == "kernel pair" else link_rate(name, count)
            best[name] = max(best[name], rate)
    return best


def kernel_link_and_pair() -> Measured:
    """Return the rate of our link over the kernel's ISO-TP, beside that of two bare sockets."""
    return Measured(rates()["kernel"] / 1000, rates()["kernel pair"] / 1000)


FIGURE = Figure(name="socketcan_share", unit="kB/s", better="higher", measure=kernel_link_and_pair, aim_ratio=1.0)


def main() -> None:
    """Write the figure into the folder $VM_OUT; print it, and what part of the bare sockets' rate each link has."""
    row = FIGURE.row(FIGURE.measure())
    pair = rates()["kernel pair"]
    shares = {name: round(rate / pair, 4) for name, rate in rates().items() if name != "kernel pair"}
    report = {"schema": SCHEMA, "figures": [row], "shares": shares}
    write_report(Path(os.environ["VM_OUT"]) / "socketcan.json", report)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
