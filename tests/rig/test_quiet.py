"""When a run is over: the server's log and the buses decide, whatever the agent says of itself."""

from __future__ import annotations

import pytest

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.clock import NS_PER_S
from bench.core.loop import VirtualLoop
from bench.core.records import CanAddress, FrameRecord, ServerEvent
from bench.core.world import World
from bench.description.ecu_facts import ecu_layouts
from bench.rig.quiet import SILENCE_NS, Quiet

BODY, BODY_ANSWER, FUNCTIONAL = 0x7A0, 0x7A8, 0x7DF
CLOSED = (("order_placed", "1"), ("order_closed", "1"), ("session_ended", ""), ("session_ended", ""))


class Story:
    """A run that is nothing but a log and a bus trace."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed=1)
        layouts = ecu_layouts(load_bench(data_root() / "benches" / "sim.toml"))
        self.quiet = Quiet(self.world, layouts, [("can0", CanAddress(FUNCTIONAL))])

    def log(self, *events: tuple[str, str]) -> None:
        for kind, order in events:
            self.world.recorder.server.append(ServerEvent(0, self.loop.now_ns(), "VIN", kind, {"order": order}))

    def wait(self, duration_ns: int) -> None:
        async def pause() -> None:
            await self.world.clock.sleep_ns(duration_ns)

        self.loop.run_until_complete(pause())

    def frame(self, can_id: int, text: str, flags: int = 0) -> None:
        record = FrameRecord(self.loop.now_ns(), "can0", "agent", can_id, flags, bytes.fromhex(text))
        self.world.journal.frame(record)

    def over_after_silence(self) -> bool:
        self.quiet.reached()
        self.wait(SILENCE_NS)
        return self.quiet.reached()


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_closed_order_one_more_session_and_silence_end_the_run(story: Story) -> None:
    story.log(*CLOSED)
    assert not story.quiet.reached()
    story.wait(SILENCE_NS - 1)
    assert not story.quiet.reached()
    story.wait(1)
    assert story.quiet.reached()


def test_what_an_agent_says_of_its_phase_is_no_matter(story: Story) -> None:
    story.world.points.set_phase("agent", "idle")
    assert not story.over_after_silence()
    story.world.points.set_phase("agent", "installing")
    story.log(*CLOSED)
    assert story.over_after_silence()


@pytest.mark.parametrize(
    "missing", [CLOSED[1:], CLOSED[:1] + CLOSED[2:], CLOSED[:3], (*CLOSED, ("order_placed", "2"))],
    ids=["no order", "not closed", "no session since", "a second order is open"],
)  # fmt: skip
def test_a_log_that_lacks_something_never_ends_it(story: Story, missing: tuple[tuple[str, str], ...]) -> None:
    story.log(*missing)
    assert not story.over_after_silence()
    assert not story.over_after_silence()


@pytest.mark.parametrize(
    ("can_id", "text"),
    [(BODY, "023101"), (BODY, "1008360100000000"), (BODY, "2155AA"), (FUNCTIONAL, "028582"),
     (BODY, "000831FF00AABBCCDD")],
    ids=["routine", "first frame", "consecutive frame", "functional", "single frame of CAN FD"],
)  # fmt: skip
def test_a_request_that_changes_something_begins_the_silence_anew(story: Story, can_id: int, text: str) -> None:
    story.log(*CLOSED)
    story.quiet.reached()
    story.wait(NS_PER_S)
    story.frame(can_id, text)
    story.wait(SILENCE_NS - NS_PER_S)
    assert not story.quiet.reached()
    story.wait(NS_PER_S)
    assert story.quiet.reached()


@pytest.mark.parametrize(
    ("can_id", "text"),
    [(BODY, "0322F189"), (FUNCTIONAL, "023E80"), (BODY, "300000"), (BODY_ANSWER, "027101"), (0x123, "023101")],
    ids=["reading", "tester present", "flow control", "an answer", "a frame of nobody's"],
)
def test_what_changes_nothing_does_not_disturb_it(story: Story, can_id: int, text: str) -> None:
    story.log(*CLOSED)
    story.quiet.reached()
    story.wait(SILENCE_NS - 1)
    story.frame(can_id, text)
    story.wait(1)
    assert story.quiet.reached()


def test_a_run_of_frames_counts_by_its_last_one_and_old_frames_do_not_count(story: Story) -> None:
    story.frame(BODY, "023101")
    story.log(*CLOSED)
    assert story.over_after_silence()
