"""Equal keys go on equally: whole cars, reached by different faults, with the same requests from then on."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bench.core.clock import NS_PER_MS
from bench.core.continuing import OBJECT, state_sha256
from bench.wire.ecu_misbehave import parse
from ecu_sim.memory.torn import TornReads
from ecu_sim.personality.geometry import image_region
from tests.ecu_sim.conftest import Car

IMAGE_BYTES = 3_000
REQUESTS = (b"\x02\x3e\x00", b"\x02\x3e\x80", b"\x03\x22\xf1\x89", b"\x02\x10\x03", b"\x02\x10\x01", b"\x02\x27\x01",
            b"\x03\x22\xd0\x02", b"\x04\x31\x03\xff\x00", b"\x02\x11\x01", b"\x03\x19\x02\xff")  # fmt: skip
PERSONALITIES = ("body_controller", "head_unit", "adas", "ev_battery")
Drive = Callable[..., Any]


def key_state(car: Car) -> tuple[Any, ...]:
    """Car, bus, and both testers' transport, as one value."""
    now_ns = car.world.clock.now_ns()
    testers = tuple(each._endpoint.state(now_ns) for each in (car.tester, car.second))
    return car.vehicle.continuing(now_ns), car.tester._bus.state(now_ns), testers


def objects(state: object) -> set[str]:
    """The kinds of what is no value in a state."""
    if not isinstance(state, tuple):
        return set()
    if len(state) == 2 and state[0] == OBJECT:
        return {str(state[1])}
    return set().union(*(objects(item) for item in state))


@dataclass
class Seen:
    """A key, and what the car showed after it; times count from then."""

    key: str
    frames: list[Any]
    boots: list[Any]
    ending: str
    memory: str
    """The key of the memory alone."""


async def go_on(car: Car) -> Seen:
    """Take the key, then do the same to every car for some seconds: requests, a cut, a boot."""
    rng = random.Random(7)
    state, began_ns, boots = key_state(car), car.world.clock.now_ns(), len(car.world.recorder.boots)
    position, memory = car.world.journal.length, state_sha256(car.memory.continuing(began_ns))
    for _ in range(8):
        car.tester.put_frame(0x7A0, rng.choice(REQUESTS))
        await car.wait_ms(rng.randrange(3, 400))
    car.node.cut("later")
    await car.wait_ms(20)
    car.node.power_on()
    await car.wait_ms(1_500)
    frames = [each._replace(t_ns=each.t_ns - began_ns) for each in car.world.journal.frames_from(position)]
    booted = [(each.t_ns - began_ns, each.stage, each.bank, each.reason) for each in car.world.recorder.boots[boots:]]
    return Seen(state_sha256(state), frames, booted, state_sha256(key_state(car)), memory)


async def job(car: Car) -> None:
    """A flashing job as far as it comes: whoever cuts the power stops the answers."""
    with contextlib.suppress(AssertionError):
        await car.flash(car.image(length=IMAGE_BYTES))


def lived(history: tuple[int, ...], into_job_ms: int) -> Callable[[Car], Any]:
    """A car that was cut so long after each of its first boots, then boots, is flashed for a while and goes on."""

    async def story(car: Car) -> Seen:
        for after_ms in history:
            await car.wait_ms(after_ms)
            car.node.cut("earlier")
            await car.wait_ms(2_000 + after_ms)
            car.node.power_on()
        await car.wait_ms(400)
        work = asyncio.ensure_future(job(car))
        await car.wait_ms(into_job_ms)
        try:
            return await go_on(car)
        finally:
            work.cancel()

    return story


def flashed(cuts_ms: tuple[int, ...]) -> Callable[[Car], Any]:
    """A car whose flashing job was cut so late, as often as told, and goes on after the boot that follows."""

    async def story(car: Car) -> Seen:
        for after_ms in cuts_ms:
            work = asyncio.ensure_future(job(car))
            await car.wait_ms(after_ms)
            car.node.cut("in the job")
            work.cancel()
            await car.wait_ms(5_000)
            car.node.power_on()
            await car.wait_ms(1_000)
        return await go_on(car)

    return story


def each_key_means_one_thing(seen: list[Seen], at_least: int) -> None:
    first: dict[str, Seen] = {}
    for one in seen:
        known = first.setdefault(one.key, one)
        assert (one.frames, one.boots, one.ending) == (known.frames, known.boots, known.ending)
    assert len(seen) - len(first) >= at_least, f"{len(first)} keys of {len(seen)} runs"


@pytest.mark.parametrize("personality", PERSONALITIES)
def test_cars_with_different_pasts_and_equal_keys_go_on_equally_in_the_middle_of_a_job(
    drive: Drive, personality: str
) -> None:
    rng, seen = random.Random(personality), []
    for into_job_ms in sorted(rng.sample(range(1, 2_500), 5)):
        for history in ((50,), (210,), (3, 77)):
            seen.append(drive(lived(history, into_job_ms), personality))
    each_key_means_one_thing(seen, 8)


def test_cars_whose_jobs_were_cut_and_that_have_equal_keys_go_on_equally(drive: Drive) -> None:
    rng = random.Random(11)
    cuts = [(rng.randrange(1, 900),) for _ in range(10)] + [
        (rng.randrange(1, 300), rng.randrange(1, 900)) for _ in range(6)
    ]
    each_key_means_one_thing([drive(flashed(each)) for each in cuts], 6)


def test_memory_alone_is_no_key_of_a_car(drive: Drive) -> None:
    """The check sees what a key leaves out: equal memories go on differently where sessions and requests differ."""
    seen = [drive(lived((50,), into_job_ms)) for into_job_ms in (10, 40, 90, 150)]
    each_key_means_one_thing(seen, 0)
    with pytest.raises(AssertionError):
        each_key_means_one_thing([replace(one, key=one.memory) for one in seen], 0)


# What differs is told apart --------------------------------------------------------------------------


def _ecu(car: Car) -> Any:
    return car.vehicle._ecus["ecu"]


def _server(car: Car) -> Any:
    return _ecu(car).server


def _transfer(car: Car) -> Any:
    return next(part for part in _ecu(car)._mode.parts if type(part).__name__ == "Transfers")._parties[0]


def _sender(car: Car) -> Any:
    return _ecu(car)._connections_of_life[0]._endpoint._sender


PLANTED: dict[str, Callable[[Car], object]] = {
    "session": lambda car: setattr(_ecu(car).state, "session", 3),
    "lock": lambda car: setattr(_ecu(car).state, "security_open", False),
    "communication": lambda car: _ecu(car).state.control_communication(3, 1),
    "request begun": lambda car: _server(car).reception_began(),
    "closing": lambda car: setattr(_server(car), "_closing", True),
    "outbox": lambda car: _server(car)._outboxes[1]._queue.append((b"\x7f\x10\x21", print)),
    "S3": lambda car: _server(car)._s3.set(car.world.clock.now_ns() + 1),
    "misbehaviour": lambda car: _ecu(car).misbehaviours.add(parse("0x36:nrc=0x72@5")),
    "block counter": lambda car: setattr(_transfer(car)._download, "last_counter", 9),
    "bytes so far": lambda car: setattr(_transfer(car)._download, "received", 1),
    "flash failed": lambda car: setattr(_transfer(car), "_failed", True),
    "DTC setting": lambda car: setattr(_ecu(car).dtcs, "setting_on", False),
    "supply cut": lambda car: setattr(_ecu(car).supply, "_cuts", 1),
    "reset register": lambda car: setattr(_ecu(car).watchdog, "_bank", "x"),
    "condition": lambda car: car.vehicle.set_condition("ecu", 9, met=False),
    "car": lambda car: car.vehicle.set_car("ignition", False, "test"),
    "receiver": lambda car: _ecu(car)._connections_of_life[0]._endpoint.hold(held=True),
    "error counter": lambda car: setattr(car.tester._bus.ports[0].confined, "rec", 1),
    "queued frame": lambda car: car.second.put_frame(0x123, b"\x01"),
    "flash cell": lambda car: car.memory.flash.flip_bit(image_region(car.rules.banks[0].name), 0, 0),
    "torn reads": lambda car: car.memory.tear_as(TornReads.VALID),
    "timer": lambda car: _server(car)._life.call_at_ns(car.world.clock.now_ns() + 5, print),
    "seed drawn": lambda car: car.world.seeds.draw("ecu", "security seed", 4),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_key_tells_a_planted_difference_apart(drive: Drive, planted: str) -> None:
    async def story(car: Car) -> tuple[str, str]:
        image = car.image(length=IMAGE_BYTES)
        await car.programming()
        await car.erase(image)
        base = car.rules.banks[0].linked_base.to_bytes(4, "big")
        await car.good(bytes.fromhex("340044") + base + len(image.data).to_bytes(4, "big"))
        await car.good(bytes((0x36, 1)) + image.data[:1_000])
        await car.wait_ms(3)
        before = state_sha256(key_state(car))
        assert state_sha256(key_state(car)) == before, "asking changes nothing"
        PLANTED[planted](car)
        return before, state_sha256(key_state(car))

    before, after = drive(story)
    assert before != after


# What is no value -------------------------------------------------------------------------------------

NO_VALUES = {
    "EcuMemory": "gives its own in the state of the ECU",
    "Incarnation": "a life: its tasks and what is due are in the state",
    "BootTiming": "configuration",
    "World": "the surroundings; what was drawn of its seeds is in the state of the vehicle",
    "Task": "one of the life's own",
    "coroutine": "awaited where it is held, or one of the life's own tasks",
    "Effect": "a fault point: faults belong to the bench",
    "RegionStore": "cells: hashed in the state of the memory",
    "NvmBlock": "hashed in the state of the memory",
    "BootloaderRoutines": "keeps no state",
    "ApplicationRoutines": "keeps no state",
}


def test_coroutines_of_a_job_hold_nothing_that_has_no_state_elsewhere(drive: Drive) -> None:
    """What the tasks of an ECU hold beside values, at many instants of a job: parts whose state is given elsewhere."""

    async def story(car: Car) -> set[str]:
        work, kinds = asyncio.ensure_future(job(car)), set[str]()
        for _ in range(400):
            await car.world.clock.sleep_ns(7 * NS_PER_MS + 13)
            kinds |= objects(car.vehicle.continuing(car.world.clock.now_ns()))
        work.cancel()
        return kinds

    found = set().union(*(drive(story, personality) for personality in PERSONALITIES))
    assert found <= set(NO_VALUES), f"{sorted(found - set(NO_VALUES))}: where is their state?"
