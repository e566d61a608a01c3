"""Gaps under a millisecond, with candump as a witness that shares nothing with us: kernel time stamps on vcan1."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from bench.core.clock import Clock
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.link.can_isotp_link import CanIsoTpLink
from bench.link.isotp_link import IsoTpLink
from bench.link.kernel_isotp_link import KernelIsoTpLink
from bench.link.python_can_bus import PythonCanBus
from bench.ports.can import CanPort, ChannelSpec
from bench.ports.diagnostics import DiagLink
from bench.wire.isotp import IsoTpAddress, IsoTpParams
from tests.interop.real_can import in_real_time
from tests.socketcan.kernel_peer import KernelEnd

INTERFACE = "vcan1"
LENGTH = 700
OURS, THEIRS = IsoTpAddress.normal(0x651, 0x652), IsoTpAddress.normal(0x652, 0x651)
SPEC = ChannelSpec(
    name="can0", interface="socketcan", channel=INTERFACE, bitrate_bit_s=500_000, data_bitrate_bit_s=None, options={}
)
LINE = re.compile(r"\((\d+)\.(\d{6})\) \S+ 651#2")


@contextmanager
def candump(log: Path) -> Iterator[None]:
    """Record the interface; the frame that it is asked to see first says that it listens."""
    with log.open("wb") as file:
        process = subprocess.Popen(["candump", "-L", INTERFACE], stdout=file, stderr=subprocess.DEVNULL)
        try:
            while not log.stat().st_size:
                subprocess.run(["cansend", INTERFACE, "7FE#00"], check=True)
            yield
        finally:
            process.terminate()
            process.wait()


def gaps_us(log: Path) -> list[float]:
    """Return the gaps between consecutive frames of ours, in microseconds, without those across a flow control."""
    stamps = [int(m[1]) * 1_000_000 + int(m[2]) for m in map(LINE.match, log.read_text().splitlines()) if m]
    return [float(after - before) for before, after in pairwise(stamps)]


def link_of(transport: str, life: Incarnation, port: CanPort) -> DiagLink:
    if transport == "own":
        return IsoTpLink(life, port, OURS, IsoTpParams())
    if transport == "can-isotp":
        return CanIsoTpLink(life, port, OURS, IsoTpParams())
    return KernelIsoTpLink(life, port, INTERFACE, OURS, IsoTpParams())


@pytest.mark.parametrize("transport", ["own", "can-isotp", "kernel"])
@pytest.mark.parametrize("st_min", [0xF3, 0xF9])
def test_candump_sees_no_gap_below_st_min(tmp_path: Path, transport: str, st_min: int) -> None:
    wanted_us = (st_min - 0xF0) * 100

    async def main(clock: Clock) -> bytes:
        world = World(clock, seed=1)
        node = Node(world, "agent", lambda _life: None)
        node.power_on()
        assert node.incarnation is not None
        bus = PythonCanBus(world, SPEC, lambda _frame: "peer")
        peer = KernelEnd(INTERFACE, THEIRS, IsoTpParams(st_min=st_min))
        link = link_of(transport, node.incarnation, bus.attach(node.incarnation))
        try:
            await link.send(bytes(LENGTH))
            received = await peer.receive()
            print(f"{transport}: {bus.pacing}")
            return received
        finally:
            if isinstance(link, KernelIsoTpLink):
                link.close()
            bus.close()
            peer.close()

    log = tmp_path / "candump.log"
    with candump(log):
        assert in_real_time(main) == bytes(LENGTH)
    gaps = gaps_us(log)
    middle = sorted(gaps)[len(gaps) // 2]
    seen = f"{len(gaps)} gaps of {min(gaps):.0f} to {max(gaps):.0f} us, half below {middle:.0f}"
    print(f"{transport} STmin 0x{st_min:X}: {seen}")
    assert len(gaps) == (LENGTH - 6 + 6) // 7 - 1
    assert min(gaps) >= wanted_us
