"""The jobs of a bus are a value at every instant: who waits for what, in which pause, when a beat is due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.config import data_root
from bench.core.clock import NS_PER_MS, NS_PER_S, Clock
from bench.core.realtime import run_on_clock
from bench.flasher.affected import AffectedBuses, BusGroups
from bench.flasher.recipe import Recipe, Step, load_recipe
from bench.flasher.values import Tally

EXTENDED, DTC_OFF, DTC_ON, PRESENT = (bytes.fromhex(text) for text in ("1083", "8582", "8581", "3e80"))
UNDO = Step.DTC_ON, DTC_ON
SAMPLE_NS = 5 * NS_PER_MS
STORY_NS = 5 * NS_PER_S


@dataclass
class Bus:
    """A functional link whose frames take a millisecond; it keeps what was sent, and when."""

    clock: Clock
    sent: list[tuple[int, bytes]] = field(default_factory=list)

    async def send(self, payload: bytes) -> None:
        await self.clock.sleep_ns(NS_PER_MS)
        self.sent.append((self.clock.now_ns(), payload))


class Job:
    """A job as its buses see it."""

    def __init__(self, name: str, recipe: Recipe, clock: Clock) -> None:
        self.recipe, self.clock, self.tally = recipe, clock, Tally(name, clock)
        self.try_started_ns = clock.now_ns()
        self.asking = self.pending = False


@dataclass
class Place:
    """A bus with its group, and jobs on it."""

    clock: Clock
    recipe: Recipe
    bus: Bus
    groups: BusGroups

    def job(self, name: str) -> tuple[Job, AffectedBuses]:
        """Return a job that has joined."""
        job, buses = Job(name, self.recipe, self.clock), self.groups.affected(self.bus)
        buses.join(job)
        return job, buses

    def key(self) -> tuple[Any, ...]:
        return self.groups.of(self.bus).state(self.clock.now_ns())


Story = Callable[[Place], Awaitable[None]]


async def nothing(place: Place) -> None:
    """Nobody was there before."""
    await place.clock.sleep_ns(NS_PER_S)


async def one_before(place: Place) -> None:
    """A job that switched off and on again, and is gone."""
    job, buses = place.job("before")
    await buses.prepare(job, DTC_OFF, UNDO)
    await buses.leave(job)


async def beaten_before(place: Place) -> None:
    """A job that was kept alive for a while, programmed, and is gone."""
    job, buses = place.job("before")
    await buses.keep_alive(job, wanted=True)
    await buses.enter_programming(job)
    await place.clock.sleep_ns(3 * NS_PER_S)
    await buses.keep_alive(job, wanted=False)
    await buses.leave(job)


async def three_jobs(place: Place) -> None:
    """Three that prepare at once, one of them programs, and they leave one after the other."""
    jobs = [place.job(name) for name in ("a", "b", "c")]

    async def life(n: int, job: Job, buses: AffectedBuses) -> None:
        await buses.keep_alive(job, wanted=True)
        await buses.prepare(job, EXTENDED, (Step.DEFAULT_SESSION, b"\x10\x81"))
        await buses.prepare(job, DTC_OFF, UNDO)
        await buses.enter_programming(job)
        await place.clock.sleep_ns((n + 1) * NS_PER_S)
        await buses.keep_alive(job, wanted=False)
        await buses.leave(job)

    await asyncio.gather(*(life(n, *each) for n, each in enumerate(jobs)))


Watched = tuple[list[tuple[Any, ...]], list[tuple[int, bytes]]]


def watched(before: Story, story: Story) -> Watched:
    """Return the keys of the group every 5 ms of a story, and what was sent in it, instants from its begin."""
    recipe = load_recipe(data_root() / "recipes" / "single_bank.toml")
    keys: list[tuple[Any, ...]] = []
    sent: list[tuple[int, bytes]] = []

    async def main(clock: Clock) -> None:
        place = Place(clock, recipe, Bus(clock), BusGroups())
        await before(place)
        begun_ns, skipped = clock.now_ns(), len(place.bus.sent)
        keys.append(place.key())
        under_way = asyncio.ensure_future(story(place))
        while clock.now_ns() < begun_ns + STORY_NS:
            # Half a millisecond off, so that nothing happens at the instant of a look.
            await clock.sleep_ns(SAMPLE_NS + NS_PER_MS // 2 * (len(keys) == 1))
            keys.append(place.key())
        await under_way
        sent.extend((t_ns - begun_ns, payload) for t_ns, payload in place.bus.sent[skipped:])

    run_on_clock(main, virtual=True)
    return keys, sent


@pytest.mark.parametrize("before", [one_before, beaten_before])
def test_buses_with_equal_keys_go_on_equally_whatever_lay_before(before: Story) -> None:
    fresh, used = watched(nothing, three_jobs), watched(before, three_jobs)
    assert fresh[0][0] == used[0][0]
    assert fresh == used
    assert len(fresh[1]) > 4


def test_keys_are_hashable_and_change_with_everything_that_goes_on() -> None:
    keys, sent = watched(nothing, three_jobs)
    # 5 ms apart, something always runs down while a job is there: a pause, an interval, the age of a request.
    busy = keys[1:500]
    assert len(set(busy)) == len(busy)
    assert keys[-1] == keys[0]
    assert [payload for _, payload in sent if payload == PRESENT] != []


def test_the_line_of_jobs_stands_in_the_key_in_its_order() -> None:
    keys, _ = watched(nothing, three_jobs)
    _, _, (active, programming, kept_alive), sent, orders, _, beat = keys[1]
    assert (active, programming, kept_alive, beat) == (("a", "b", "c"), (), ("a", "b", "c"), (1_994_500_000, False))
    # The first one is on the bus since 1 ms, and waits for P3 (50 ms): sent is what all servers have taken.
    assert sent == ()
    assert [(ecu, left) for ecu, left, _ in orders] == [("a", (EXTENDED,)), ("b", (EXTENDED,)), ("c", (EXTENDED,))]
    assert [sender for *_, sender in orders] == [(EXTENDED, True, 45_500_000), (None, False, 0), (None, False, 0)]
