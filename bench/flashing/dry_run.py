"""A dry run: the real flasher against ideal ECUs in virtual time, so that what is shown cannot drift from what is done.

No bus of the bench is opened. Its channels are simulated with their bit rates; every frame takes its real duration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from bench.core.clock import NS_PER_MS, Clock
from bench.core.errors import InputError
from bench.core.node import Incarnation, Node
from bench.core.realtime import run_on_clock
from bench.core.world import World
from bench.flasher.access import EcuAccess
from bench.flasher.values import Progress
from bench.flashing.access import ecu_accesses
from bench.flashing.ideal_ecu import IdealEcu
from bench.flashing.ideal_times import EcuTimes, known_times
from bench.flashing.order import FlashOrder
from bench.flashing.run import FlashResult, flash_order, plug_in_tester
from bench.link.sim_bus import SimCanBus
from bench.ports.can import CanBus
from bench.ports.diagnostics import DiagLink, FunctionalLink

BOOT_NS = 1_000 * NS_PER_MS
TO_ALL = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its answers; `ecu` is empty when it goes to all of `channel`. Times from the job's start."""

    t_ns: int
    duration_ns: int
    ecu: str
    channel: str
    step: str
    request: bytes
    answers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class DryRun:
    """The whole sequence in order of time, the estimate, and the ECUs whose erase and program times nobody knows."""

    exchanges: tuple[Exchange, ...]
    result: FlashResult
    unknown_times: tuple[str, ...]


class _Record:
    """Collects the exchanges of one dry run."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.start_ns = clock, 0
        self.steps: dict[str, str] = {}
        self.exchanges: list[Exchange] = []

    def progress(self, event: Progress) -> None:
        """Note the step that an ECU's job is at."""
        self.steps[event.ecu] = event.step

    def began(self, ecu: str, channel: str, request: bytes) -> int:
        """Note a request that begins now; returns its place."""
        step = self.steps.get(ecu, "")
        self.exchanges.append(Exchange(self.clock.now_ns() - self.start_ns, 0, ecu, channel, step, request, ()))
        return len(self.exchanges) - 1

    def went_on(self, place: int, answer: bytes | None) -> None:
        """Note that an exchange lasted until now, with one more answer if there is one."""
        known = self.exchanges[place]
        answers = known.answers if answer is None else (*known.answers, answer)
        duration_ns = self.clock.now_ns() - self.start_ns - known.t_ns
        self.exchanges[place] = replace(known, duration_ns=duration_ns, answers=answers)


class _RecordedLink:
    """A `DiagLink` whose exchanges are noted."""

    def __init__(self, link: DiagLink, record: _Record, ecu: str, channel: str) -> None:
        self._link, self._record, self._ecu, self._channel = link, record, ecu, channel
        self._place = 0

    async def send(self, payload: bytes) -> None:
        """See `DiagLink`."""
        self._place = self._record.began(self._ecu, self._channel, payload)
        await self._link.send(payload)
        self._record.went_on(self._place, None)

    async def receive(self, start_within_ns: int) -> bytes:
        """See `DiagLink`."""
        answer = await self._link.receive(start_within_ns)
        self._record.went_on(self._place, answer)
        return answer

    def discard(self) -> int:
        """See `DiagLink`."""
        return self._link.discard()


class _RecordedFunctional:
    """A `FunctionalLink` whose requests are noted."""

    def __init__(self, link: FunctionalLink, record: _Record, channel: str) -> None:
        self._link, self._record, self._channel = link, record, channel

    async def send(self, payload: bytes) -> None:
        """See `FunctionalLink`."""
        place = self._record.began(TO_ALL, self._channel, payload)
        await self._link.send(payload)
        self._record.went_on(place, None)


def dry_run(order: FlashOrder, *, parallel: bool = True) -> DryRun:
    """Go through the order against ideal ECUs; `InputError` when the recipe's own sequence cannot be gone through."""
    files = order.files
    times = {
        ecu.id: None if ecu.personality is None else known_times(files.personality_files[ecu.personality])
        for ecu in files.vehicle.ecus
    }

    async def main(clock: Clock) -> DryRun:
        world = World(clock, 1)
        buses: dict[str, CanBus] = {
            c.name: SimCanBus(world, c.name, c.bitrate_bit_s, c.data_bitrate_bit_s) for c in files.bench.channels
        }
        _power_ideal_vehicle(world, order, buses, times)
        await clock.sleep_ns(BOOT_NS)
        life = plug_in_tester(world)
        record = _Record(life)
        record.start_ns = clock.now_ns()
        accesses = _recorded(order, ecu_accesses(files, buses, life), record)
        result = await flash_order(world, life, order, accesses, record.progress, parallel=parallel)
        ordered = [ecu.entry.id for ecu in order.ecus]
        return DryRun(tuple(record.exchanges), result, tuple(ecu for ecu in ordered if times[ecu] is None))

    found = run_on_clock(main, virtual=True)
    _check(order, found.result)
    return found


def _power_ideal_vehicle(
    world: World, order: FlashOrder, buses: Mapping[str, CanBus], times: Mapping[str, EcuTimes | None]
) -> None:
    new = {ecu.entry.id: ecu.job.software(order.files.recipes[ecu.entry.id]) for ecu in order.ecus}
    for entry in order.files.vehicle.ecus:
        recipe = order.files.recipes[entry.id]
        known = times[entry.id] or EcuTimes()
        IdealEcu(world, buses[entry.tester_channel], entry, recipe, known, new.get(entry.id)).node.power_on("dry run")
    reached = {entry.tester_channel for entry in order.files.vehicle.ecus}
    for bus in (buses[name] for name in buses if name not in reached):
        Node(world, "others", partial(_acknowledge, bus)).power_on("dry run")


def _acknowledge(bus: CanBus, life: Incarnation) -> None:
    """Be there: else a functional request on a bus where no tester reaches an ECU would find nobody."""
    bus.attach(life)


def _recorded(order: FlashOrder, accesses: Mapping[str, EcuAccess], record: _Record) -> dict[str, EcuAccess]:
    channels = {ecu.id: ecu.tester_channel for ecu in order.files.vehicle.ecus}
    functional: dict[str, FunctionalLink] = {}
    for ecu, access in accesses.items():
        for channel, link in {channels[ecu]: access.functional, **access.elsewhere}.items():
            functional.setdefault(channel, _RecordedFunctional(link, record, channel))
    return {
        ecu: replace(
            access,
            link=_RecordedLink(access.link, record, ecu, channels[ecu]),
            functional=functional[channels[ecu]],
            elsewhere={channel: functional[channel] for channel in access.elsewhere},
        )
        for ecu, access in accesses.items()
    }


def _check(order: FlashOrder, result: FlashResult) -> None:
    for ordered, ecu in zip(order.ecus, result.ecus, strict=True):
        problem = ecu.confirm_problem if ecu.outcome.error is None else str(ecu.outcome.error)
        if problem:
            raise InputError(
                f"the sequence of ECU {ordered.entry.id} cannot be gone through: {problem}",
                key="steps",
                found=f"recipe {ordered.entry.recipe}",
            )
