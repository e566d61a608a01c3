"""Buses that a job disturbs beside its own: prepared, kept there, restored by the last job that needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from bench.config import data_root
from bench.core.clock import NS_PER_S, Clock
from bench.core.realtime import run_on_clock
from bench.flasher.affected import AffectedBuses, BusGroups
from bench.flasher.errors import TransportError
from bench.flasher.recipe import Recipe, Step, load_recipe
from bench.flasher.values import Tally
from bench.ports.diagnostics import LinkError

DTC_OFF, DTC_ON, PRESENT = bytes.fromhex("8582"), bytes.fromhex("8581"), bytes.fromhex("3e80")
UNDO = Step.DTC_ON, DTC_ON


@dataclass
class Bus:
    """A functional link that keeps what was sent; on a dead bus nobody acknowledges."""

    dead: bool = False
    sent: list[bytes] = field(default_factory=list)

    async def send(self, payload: bytes) -> None:
        if self.dead:
            raise LinkError("N_TIMEOUT_A")
        self.sent.append(payload)


class Job:
    """A job as its buses see it."""

    def __init__(self, name: str, recipe: Recipe, clock: Clock) -> None:
        self.recipe, self.clock, self.tally = recipe, clock, Tally(name, clock)
        self.try_started_ns = clock.now_ns()
        self.asking = self.pending = False


Story = Callable[[Callable[[str], Job]], Awaitable[None]]


def played(story: Story) -> None:
    recipe = load_recipe(data_root() / "recipes" / "single_bank.toml")

    async def main(clock: Clock) -> None:
        await story(lambda name: Job(name, recipe, clock))

    run_on_clock(main, virtual=True)


def on(groups: BusGroups, *links: Bus) -> AffectedBuses:
    return groups.affected(links[0], links[1:])


def test_what_is_switched_off_is_switched_off_and_on_again_on_every_bus() -> None:
    home, other = Bus(), Bus()

    async def story(job_of: Callable[[str], Job]) -> None:
        job, buses = job_of("gateway"), on(BusGroups(), home, other)
        buses.join(job)
        await buses.prepare(job, DTC_OFF, UNDO)
        await buses.leave(job)

    played(story)
    assert home.sent == other.sent == [DTC_OFF, DTC_ON]


def test_tester_present_goes_to_every_bus_while_the_job_lasts() -> None:
    home, other = Bus(), Bus()

    async def story(job_of: Callable[[str], Job]) -> None:
        job, buses = job_of("gateway"), on(BusGroups(), home, other)
        await buses.keep_alive(job, wanted=True)
        await job.clock.sleep_ns(7 * NS_PER_S)
        await buses.keep_alive(job, wanted=False)
        await job.clock.sleep_ns(7 * NS_PER_S)

    played(story)
    assert home.sent == other.sent == [PRESENT] * 3


def test_bus_that_two_jobs_need_is_restored_by_the_last_of_them() -> None:
    outer, inner = Bus(), Bus()

    async def story(job_of: Callable[[str], Job]) -> None:
        groups = BusGroups()
        (one, first), (two, second) = (
            (job_of("adas"), on(groups, outer, inner)),
            (job_of("body"), on(groups, inner)),
        )
        for job, buses in ((one, first), (two, second)):
            buses.join(job)
            await buses.prepare(job, DTC_OFF, UNDO)
        await second.leave(two)
        assert DTC_ON not in inner.sent, "the first job still needs it"
        await second.restore(two, *UNDO)
        await first.leave(one)

    played(story)
    assert outer.sent == [DTC_OFF, DTC_ON]
    assert inner.sent == [DTC_OFF, DTC_ON]


def test_other_bus_on_which_an_ecu_is_programmed_is_left_alone() -> None:
    outer, inner = Bus(), Bus()

    async def story(job_of: Callable[[str], Job]) -> None:
        groups = BusGroups()
        programmed, mine = on(groups, inner), on(groups, outer, inner)
        first = job_of("body")
        programmed.join(first)
        await programmed.enter_programming(first)
        await first.clock.sleep_ns(1)
        late = job_of("adas")
        mine.join(late)
        await mine.prepare(late, DTC_OFF, UNDO)

    played(story)
    assert (outer.sent, inner.sent) == ([DTC_OFF], [])


@pytest.mark.parametrize("what", ["prepare", "restore"])
def test_other_bus_on_which_nobody_acknowledges_does_not_fail_the_job(what: str) -> None:
    home, other = Bus(), Bus(dead=True)
    notes: list[str] = []

    async def story(job_of: Callable[[str], Job]) -> None:
        job, buses = job_of("gateway"), on(BusGroups(), home, other)
        buses.join(job)
        if what == "prepare":
            await buses.prepare(job, DTC_OFF, UNDO)
        else:
            await buses.restore(job, *UNDO)
        notes.extend(event.name for event in job.tally.events)

    played(story)
    assert home.sent == [DTC_OFF if what == "prepare" else DTC_ON]
    assert notes == ["other_bus_unprepared" if what == "prepare" else "undo_failed"]


def test_own_bus_on_which_nobody_acknowledges_fails_the_step() -> None:
    home, other = Bus(dead=True), Bus()

    async def story(job_of: Callable[[str], Job]) -> None:
        job, buses = job_of("gateway"), on(BusGroups(), home, other)
        buses.join(job)
        with pytest.raises(TransportError):
            await buses.prepare(job, DTC_OFF, UNDO)

    played(story)
    assert other.sent == []


def test_request_waits_on_every_bus_for_an_ecu_that_is_being_asked() -> None:
    outer, inner = Bus(), Bus()

    async def story(job_of: Callable[[str], Job]) -> None:
        groups = BusGroups()
        asked, mine = on(groups, inner, outer), on(groups, outer)
        (one, two) = job_of("body"), job_of("adas")
        asked.join(one)
        mine.join(two)
        one.asking = True
        waiting = asyncio.ensure_future(mine.prepare(two, DTC_OFF, UNDO))
        await one.clock.sleep_ns(NS_PER_S)
        assert outer.sent == []
        one.asking = False
        asked.go_on()
        await waiting

    played(story)
    assert outer.sent == [DTC_OFF]
