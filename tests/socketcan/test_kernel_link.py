"""What the kernel's link says when things go wrong, on vcan1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bench.core.clock import NS_PER_MS, Clock
from bench.core.node import Node
from bench.core.world import World
from bench.link.kernel_isotp_link import KernelIsoTpLink
from bench.link.python_can_bus import PythonCanBus
from bench.ports.can import ChannelSpec
from bench.ports.diagnostics import AnswerTimeout, LinkError
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpParams
from tests.interop.real_can import in_real_time

INTERFACE = "vcan1"
OURS = IsoTpAddress.normal(0x671, 0x672)
SPEC = ChannelSpec(
    name="can0", interface="socketcan", channel=INTERFACE, bitrate_bit_s=500_000, data_bitrate_bit_s=None, options={}
)
ANSWER_NS = 3000 * NS_PER_MS


@dataclass
class Place:
    """A bus with the tester's node."""

    world: World
    node: Node
    bus: PythonCanBus

    def link(self) -> KernelIsoTpLink:
        life = self.node.incarnation
        assert life is not None
        link = KernelIsoTpLink(life, self.bus.attach(life), INTERFACE, OURS, IsoTpParams())
        self.bus.close_with(life, link.close)
        return link

    def answer_first_frame_with(self, data: bytes) -> None:
        """Have another node of this side answer our first frame."""
        peer = Node(self.world, "peer", lambda _life: None)
        peer.power_on()
        assert peer.incarnation is not None
        port = self.bus.attach(peer.incarnation)

        def heard(frame: CanFrame, _t_ns: int) -> None:
            if frame.can_id == OURS.tx_id and frame.data[0] >> 4 in (0, 1):
                port.send(CanFrame(OURS.rx_id, data))

        port.subscribe(heard)


@asynccontextmanager
async def place(clock: Clock) -> AsyncIterator[Place]:
    world = World(clock, seed=1)
    node = Node(world, "agent", lambda _life: None)
    node.power_on()
    bus = PythonCanBus(world, SPEC, lambda _frame: "peer")
    try:
        yield Place(world, node, bus)
    finally:
        bus.close()


def test_second_owner_of_a_pair_is_refused_and_a_later_life_takes_it_over() -> None:
    async def main(clock: Clock) -> None:
        async with place(clock) as here:
            here.link()
            with pytest.raises(ValueError, match="another link has the identifiers 0x671 and 0x672"):
                here.link()
            here.node.reset()
            here.link()

    in_real_time(main)


@pytest.mark.parametrize(
    ("flow", "name"),
    [(None, "N_TIMEOUT_Bs"), (b"\x32\x00\x00", "N_BUFFER_OVFLW")],
    ids=["no flow control", "overflow"],
)
def test_failed_transmission_is_told_at_once_by_its_name(flow: bytes | None, name: str) -> None:
    async def main(clock: Clock) -> str:
        async with place(clock) as here:
            link = here.link()
            if flow is not None:
                here.answer_first_frame_with(flow)
            with pytest.raises(LinkError) as failed:
                await link.send(bytes(100))
            return failed.value.name

    assert in_real_time(main) == name


def test_answer_that_begins_and_stops_is_no_answer_timeout() -> None:
    async def main(clock: Clock) -> tuple[str, str]:
        async with place(clock) as here:
            link = here.link()
            await link.send(b"\x3e\x00")
            with pytest.raises(AnswerTimeout) as silent:
                await link.receive(50 * NS_PER_MS)
            here.answer_first_frame_with(b"\x10\x20\x62\xf1\x90\x41\x42\x43")
            await link.send(b"\x22\xf1\x90")
            with pytest.raises(LinkError) as broken:
                await link.receive(ANSWER_NS)
            return silent.value.name, broken.value.name

    assert in_real_time(main) == ("ANSWER_TIMEOUT", "N_TIMEOUT_Cr")
