"""The link of the bench's own tester against the ISO-TP that the rest of the bench uses, and against nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.records import BRS, FD
from bench.core.world import World
from bench.link.isotp_link import IsoTpLink
from bench.link.sim_bus import SimCanBus
from bench.ports.can import CanPort
from bench.ports.diagnostics import AnswerTimeout, LinkError
from bench.rig.plain_link import PlainLink, Reassembly
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpParams

READ = bytes.fromhex("22F189")
PAIRS = {
    "normal": (IsoTpAddress.normal(0x7A0, 0x7A8), IsoTpAddress.normal(0x7A8, 0x7A0)),
    "fixed": (IsoTpAddress.normal_fixed(0xF1, 0x21), IsoTpAddress.normal_fixed(0x21, 0xF1)),
    "extended": (IsoTpAddress.extended(0x6F1, 0x612, 0xF1, 0x12), IsoTpAddress.extended(0x612, 0x6F1, 0x12, 0xF1)),
    "mixed": (IsoTpAddress.mixed(0x7A0, 0x7A8, 0x0C), IsoTpAddress.mixed(0x7A8, 0x7A0, 0x0C)),
}


Story = Callable[[PlainLink, Incarnation, CanPort], Coroutine[None, None, None]]


def play(address: IsoTpAddress, story: Story, flags: int = 0) -> None:
    """Run a story of the tester and of one more node on a bus."""
    loop = VirtualLoop()
    world = World(loop, seed=1)
    bus = SimCanBus(world, "can0", 500_000, 2_000_000)

    async def main() -> None:
        nodes = [Node(world, part, lambda _life: None) for part in ("tester", "ecu")]
        lives = []
        for node in nodes:
            node.power_on()
            assert node.incarnation is not None
            lives.append(node.incarnation)
        link = PlainLink(lives[0], bus.attach(lives[0]), address, 0xCC, flags)
        await story(link, lives[1], bus.attach(lives[1]))

    loop.run_until_complete(main())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(PAIRS)), st.integers(1, 5000), st.sampled_from([8, 12, 64]))
def test_an_answer_of_any_length_arrives_as_the_other_implementation_sent_it(
    name: str, length: int, tx_dl: int
) -> None:
    tester, ecu = PAIRS[name]
    answer = bytes(n * 7 & 0xFF for n in range(length))

    async def story(link: PlainLink, life: Incarnation, port: CanPort) -> None:
        peer = IsoTpLink(life, port, ecu, IsoTpParams(tx_dl=tx_dl, max_length=8000))
        await link.send(READ)
        assert await peer.receive(NS_PER_MS) == READ
        received = asyncio.ensure_future(link.receive(200 * NS_PER_MS))
        await peer.send(answer)
        assert await received == answer

    play(tester, story)


def test_a_silent_ecu_is_an_answer_timeout_at_the_instant_asked_for() -> None:
    async def story(link: PlainLink, life: Incarnation, _port: CanPort) -> None:
        await link.send(READ)
        begun_ns = life.now_ns()
        with pytest.raises(AnswerTimeout):
            await link.receive(200 * NS_PER_MS)
        assert life.now_ns() - begun_ns == 200 * NS_PER_MS

    play(PAIRS["normal"][0], story)


def test_an_answer_that_breaks_off_ends_after_n_cr() -> None:
    async def story(link: PlainLink, life: Incarnation, port: CanPort) -> None:
        await link.send(READ)
        port.send(CanFrame(0x7A8, bytes.fromhex("1014 62F18900 0000")))
        with pytest.raises(LinkError, match="N_TIMEOUT_Cr"):
            await link.receive(200 * NS_PER_MS)
        assert life.now_ns() > 1000 * NS_PER_MS

    play(PAIRS["normal"][0], story)


def test_a_request_without_an_answer_lets_the_next_one_go_out_in_classic_frames() -> None:
    async def story(link: PlainLink, _life: Incarnation, port: CanPort) -> None:
        seen: list[int] = []
        port.subscribe(lambda frame, _t_ns: seen.append(frame.flags))
        for _ in range(3):
            await link.send(READ)
            with pytest.raises(AnswerTimeout):
                await link.receive(NS_PER_MS)
        assert seen == [FD | BRS, 0, FD | BRS]

    play(PAIRS["normal"][0], story, FD | BRS)


def test_a_request_longer_than_a_frame_is_refused() -> None:
    async def story(link: PlainLink, _life: Incarnation, _port: CanPort) -> None:
        with pytest.raises(ValueError, match="1 to 7"):
            await link.send(bytes(8))

    play(PAIRS["normal"][0], story)


@pytest.mark.parametrize(
    ("frames", "error"),
    [(["1014 62F189000000", "22 00000000000000"], "N_WRONG_SN"), (["1000 00020000 0000"], "N_BUFFER_OVFLW")],
)
def test_a_broken_answer_is_named(frames: list[str], error: str) -> None:
    reassembly = Reassembly()
    *begun, last = (bytes.fromhex(text) for text in frames)
    assert [reassembly.take(data, 8) for data in begun] == [None] * len(begun)
    with pytest.raises(LinkError, match=error):
        reassembly.take(last, 8)
    assert reassembly.length == 0


@settings(max_examples=300)
@given(st.lists(st.binary(min_size=1, max_size=64), max_size=30))
def test_any_frames_leave_no_other_exception_and_no_more_than_the_limit(frames: list[bytes]) -> None:
    reassembly = Reassembly()
    for data in frames:
        try:
            answer = reassembly.take(data, len(data))
        except LinkError:
            continue
        assert answer is None or 0 < len(answer) <= 1 << 16
