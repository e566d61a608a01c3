"""can-isotp as a diagnostic link, over python-can's `virtual`: outcomes by the standard's names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bench.core.clock import NS_PER_MS, Clock
from bench.core.node import Node
from bench.core.realtime import run_on_clock
from bench.core.world import World
from bench.link.can_isotp_link import CanIsoTpLink
from bench.link.isotp_link import IsoTpLink
from bench.link.python_can_bus import PythonCanBus, PythonCanPort
from bench.ports.can import ChannelSpec
from bench.ports.diagnostics import AnswerTimeout, DiagLink, LinkError
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpParams

SPEC = ChannelSpec(
    name="can0", interface="virtual", channel="can-isotp", bitrate_bit_s=500_000, data_bitrate_bit_s=None, options={}
)
FD_SPEC = replace(SPEC, data_bitrate_bit_s=2_000_000)
QUICK = IsoTpParams(n_bs_ms=100, n_cr_ms=100, n_as_ms=200)
OURS, THEIRS = IsoTpAddress.normal(0x7A0, 0x7A8), IsoTpAddress.normal(0x7A8, 0x7A0)
ANSWER_NS = 2000 * NS_PER_MS
PATIENT_MS = 20_000
"""For what must arrive and need not be quick: a machine under load may stall for longer than the standard's second."""


@asynccontextmanager
async def ports(clock: Clock, spec: ChannelSpec = SPEC) -> AsyncIterator[list[tuple[Node, PythonCanPort]]]:
    """Two nodes, each on an adapter of its own."""
    made, buses = [], []
    for name in ("agent", "peer"):
        world = World(clock, seed=1)
        node = Node(world, name, lambda _life: None)
        node.power_on()
        assert node.incarnation is not None
        bus = PythonCanBus(world, spec, lambda _frame: "?")
        buses.append(bus)
        made.append((node, bus.attach(node.incarnation)))
    try:
        yield made
    finally:
        for bus in buses:
            bus.close()


def answering(port: PythonCanPort, answers: Callable[[CanFrame], list[bytes]]) -> None:
    """Have a node answer frames of ours with frames, as a script says."""

    def heard(frame: CanFrame, _t_ns: int) -> None:
        for data in answers(frame):
            port.send(CanFrame(0x7A8, data))

    port.subscribe(heard)


@pytest.mark.parametrize(
    ("ours", "theirs", "params"),
    [
        (OURS, THEIRS, IsoTpParams()),
        (OURS, THEIRS, IsoTpParams(tx_dl=64, padding=None, block_size=3)),
        (IsoTpAddress.normal_fixed(0xF1, 0x21), IsoTpAddress.normal_fixed(0x21, 0xF1), IsoTpParams(block_size=5)),
        (
            IsoTpAddress.extended(0x6F1, 0x640, source=0xF1, target=0x40),
            IsoTpAddress.extended(0x640, 0x6F1, source=0x40, target=0xF1),
            IsoTpParams(st_min=0xF2),
        ),
        (IsoTpAddress.mixed(0x6F1, 0x640, 0x99), IsoTpAddress.mixed(0x640, 0x6F1, 0x99), IsoTpParams()),
        (IsoTpAddress.mixed_fixed(0xF1, 0x21, 0x99), IsoTpAddress.mixed_fixed(0x21, 0xF1, 0x99), IsoTpParams()),
    ],
    ids=["normal", "fd", "normal_fixed", "extended", "mixed", "mixed_fixed"],
)
def test_message_crosses_to_our_own_link_and_back(
    ours: IsoTpAddress, theirs: IsoTpAddress, params: IsoTpParams
) -> None:
    payloads = [b"\x22", bytes(range(256)) * 4, bytes(4095)]

    async def main(clock: Clock) -> list[bytes]:
        async with ports(clock, FD_SPEC) as ((node, port), (other, peer_port)):
            assert node.incarnation is not None
            assert other.incarnation is not None
            patient = replace(params, n_as_ms=PATIENT_MS, n_bs_ms=PATIENT_MS, n_cr_ms=PATIENT_MS)
            link: DiagLink = CanIsoTpLink(node.incarnation, port, ours, patient)
            peer = IsoTpLink(other.incarnation, peer_port, theirs, patient)
            got, limit_ns = [], PATIENT_MS * NS_PER_MS
            for payload in payloads:
                received, _ = await asyncio.gather(peer.receive(limit_ns), link.send(payload))
                back, _ = await asyncio.gather(link.receive(limit_ns), peer.send(received))
                got.append(back)
            return got

    assert run_on_clock(main, virtual=False) == payloads


@pytest.mark.parametrize(
    ("flow", "name"),
    [(None, "N_TIMEOUT_Bs"), (b"\x32\x00\x00", "N_BUFFER_OVFLW")],
    ids=["no flow control", "overflow"],
)
def test_failed_transmission_has_the_standards_name_and_the_next_one_works(flow: bytes | None, name: str) -> None:
    async def main(clock: Clock) -> str:
        async with ports(clock) as ((node, port), (_, peer)):
            assert node.incarnation is not None
            if flow is not None:
                answering(peer, lambda frame: [flow] if frame.data[0] >> 4 == 1 else [])
            link = CanIsoTpLink(node.incarnation, port, OURS, QUICK)
            with pytest.raises(LinkError) as failed:
                await link.send(bytes(100))
            await link.send(b"\x3e\x00")
            return failed.value.name

    assert run_on_clock(main, virtual=False) == name


@pytest.mark.parametrize(
    ("frames", "name"),
    [
        ([], "ANSWER_TIMEOUT"),
        ([b"\x10\x20\x62\xf1\x90\x41\x42\x43"], "N_TIMEOUT_Cr"),
        ([b"\x10\x20\x62\xf1\x90\x41\x42\x43", b"\x25ABCDEFG"], "N_WRONG_SN"),
    ],
    ids=["silence", "begins and stops", "wrong number"],
)
def test_answer_that_fails_has_the_standards_name(frames: list[bytes], name: str) -> None:
    async def main(clock: Clock) -> str:
        async with ports(clock) as ((node, port), (_, peer)):
            assert node.incarnation is not None
            answering(peer, lambda frame: frames if frame.data[0] >> 4 == 0 else [])
            link = CanIsoTpLink(node.incarnation, port, OURS, QUICK)
            await link.send(b"\x22\xf1\x90")
            with pytest.raises(LinkError) as failed:
                await link.receive(ANSWER_NS if frames else 100 * NS_PER_MS)
            assert isinstance(failed.value, AnswerTimeout) is (name == "ANSWER_TIMEOUT")
            return failed.value.name

    assert run_on_clock(main, virtual=False) == name
