"""A tester on a bench's buses, with the flasher alone: no server, no agent (`otabench flash`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.assembly.channels import note_pacing, open_buses, stays_here
from bench.assembly.images import installed_images
from bench.assembly.vehicle import build_vehicle
from bench.core.clock import NS_PER_MS, Clock
from bench.core.errors import EquipmentError
from bench.core.node import Incarnation, Node
from bench.core.realtime import run_on_clock
from bench.core.records import FrameRecord
from bench.core.world import World
from bench.description.ecu_entry import EcuEntry
from bench.description.ecu_facts import ecu_layouts
from bench.description.load import BenchFiles
from bench.flasher.access import EcuAccess
from bench.flasher.belief import Belief, belief_silent, belief_unconfirmed
from bench.flasher.errors import FlasherError, VersionMismatch
from bench.flasher.identification import Identification, read_identification
from bench.flasher.identity import confirm_ecu, read_identity
from bench.flasher.sequence import no_progress
from bench.flasher.together import FlashOutcome, FlashSession, FlashTarget
from bench.flasher.values import ProgressCallback
from bench.flashing.access import ecu_accesses
from bench.flashing.order import FlashOrder, OrderedEcu
from bench.flashing.supplies import SimulatedSupplies
from bench.flashing.time_spent import AddressInformation, DiagnosticAddresses, TimeSpent, time_spent
from bench.ports.can import CanBus
from bench.ports.diagnostics import SupplySwitch

Started = Callable[[Callable[[], None]], None]
"""Called once with what interrupts the job: everything is restored, then the result comes all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashedEcu:
    """How one ECU fared; `confirmed` is None when it was not asked, else whether the image may stay."""

    outcome: FlashOutcome
    spent: TimeSpent
    confirmed: bool | None
    confirm_problem: str = ""

    @property
    def good(self) -> bool:
        """Return whether the ECU runs its new software, confirmed where it asks for that."""
        return self.outcome.finished and self.outcome.error is None and self.confirmed is not False


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How a confirmation went: what was wrong ("": it stays), and what the ECU was seen to be after that."""

    problem: str = ""
    belief: Belief | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashResult:
    """What a whole order did, with its trace."""

    ecus: tuple[FlashedEcu, ...]
    duration_ns: int
    epoch_ns: int
    """The date that stands for time 0 of the trace, in nanoseconds since 1970 (`Clock.epoch_ns`)."""
    interrupted: bool
    frames: Sequence[FrameRecord]
    journal: tuple[bytes, ...]
    trace_sha256: str

    @property
    def good(self) -> bool:
        """Return whether every ECU runs its new, confirmed software."""
        return not self.interrupted and all(ecu.good for ecu in self.ecus)

    @property
    def sum_ns(self) -> int:
        """Return what the jobs would have taken one after the other."""
        return sum(ecu.outcome.report.duration_ns for ecu in self.ecus)


def is_simulated(files: BenchFiles) -> bool:
    """Return whether no ECU that is really in a car is reached: all simulated, or behind buses of this machine."""
    real = {ecu.tester_channel for ecu in files.vehicle.ecus} - {ecu.tester_channel for ecu in files.simulated}
    return all(stays_here(channel) for channel in files.bench.channels if channel.name in real)


def plug_in_tester(world: World) -> Incarnation:
    """Return a life for a tester with a supply of its own."""
    node = Node(world, "tester", lambda _life: None)
    node.power_on("tester plugged in")
    assert node.incarnation is not None
    return node.incarnation


def run_flash(
    order: FlashOrder,
    *,
    seed: int = 1,
    parallel: bool = True,
    progress: ProgressCallback = no_progress,
    started: Started = lambda _interrupt: None,
) -> FlashResult:
    """Flash the order's ECUs on its bench.

    ImageMismatch before any ECU was touched; EquipmentError when the bench fails.
    """

    async def main(clock: Clock) -> FlashResult:
        world = World(clock, seed)
        task = asyncio.current_task()
        assert task is not None
        started(lambda: _cancel_soon(task))
        with open_buses(world, order.files) as buses:
            life, supplies = await _ready_bench(world, order.files, buses, seed)
            accesses = ecu_accesses(order.files, buses, life)
            return await flash_order(
                world, life, order, accesses, progress, parallel=parallel, buses=buses, supplies=supplies
            )

    return run_on_clock(main, virtual=order.files.bench.clock == "virtual")


def _cancel_soon(task: asyncio.Task[Any]) -> None:
    """Cancel a job from within a signal handler, which may come when the job is over and its loop closed."""
    if not task.get_loop().is_closed():
        task.get_loop().call_soon(task.cancel)


async def _ready_bench(
    world: World, files: BenchFiles, buses: Mapping[str, CanBus], seed: int
) -> tuple[Incarnation, dict[str, SupplySwitch]]:
    """Power the simulated ECUs, let them boot, plug the tester in; returns it, and what switches which ECU's supply."""
    supplies: dict[str, SupplySwitch] = {}
    if files.simulated:
        vehicle = build_vehicle(world, files, buses, installed_images(files, seed))
        vehicle.power_on()
        limits_ms = [layout.boot_time_limit_ms for layout in ecu_layouts(files, files.simulated)]
        await world.clock.sleep_ns(max(limits_ms) * NS_PER_MS)
        supplies = {ecu.id: SimulatedSupplies(vehicle, world.clock) for ecu in files.simulated}
    return plug_in_tester(world), supplies


async def flash_order(
    world: World,
    life: Incarnation,
    order: FlashOrder,
    accesses: Mapping[str, EcuAccess],
    progress: ProgressCallback,
    *,
    parallel: bool,
    buses: Mapping[str, CanBus] | None = None,
    supplies: Mapping[str, SupplySwitch] | None = None,
) -> FlashResult:
    """Flash the order's ECUs, confirm them, seal the run; cancelled, the result says how far it came."""
    session = FlashSession(_targets(order, accesses, supplies or {}), life, world.points, progress, parallel=parallel)
    start_ns, interrupted, confirmed = life.now_ns(), False, {}
    try:
        await session.flash()
        end_ns = life.now_ns()
        confirmed = await _confirm_all(session, order, accesses, life)
    except asyncio.CancelledError:
        end_ns, interrupted = life.now_ns(), True
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
    if world.crash is not None and isinstance(world.crash.error, EquipmentError):
        raise world.crash.error
    if world.crash is not None:
        raise EquipmentError(f"the simulated vehicle crashed: {world.crash}")
    note_pacing(world, order.files, buses or {})
    world.seal()
    trace = world.journal.trace()
    return FlashResult(
        ecus=tuple(_flashed(world, order.files, outcome, confirmed) for outcome in session.outcomes()),
        duration_ns=end_ns - start_ns,
        epoch_ns=world.clock.epoch_ns,
        interrupted=interrupted,
        frames=world.journal.frames(),
        journal=trace.lines,
        trace_sha256=trace.sha256,
    )


def _targets(
    order: FlashOrder, accesses: Mapping[str, EcuAccess], supplies: Mapping[str, SupplySwitch]
) -> list[FlashTarget]:
    reached = [(ecu.job, accesses[ecu.entry.id]) for ecu in order.ecus]
    return [
        FlashTarget(
            job,
            access.link,
            access.functional,
            access.recipe,
            tuple(access.elsewhere.values()),
            supplies.get(access.ecu),
        )
        for job, access in reached
    ]


async def _confirm_all(
    session: FlashSession, order: FlashOrder, accesses: Mapping[str, EcuAccess], life: Incarnation
) -> dict[str, Confirmation]:
    """Once every ECU runs its new software, tell each that it may stay; returns how that went, by ECU."""
    if any(outcome.error is not None for outcome in session.outcomes()):
        return {}
    return {
        ecu.entry.id: await _confirm(accesses[ecu.entry.id], ecu, life)
        for ecu in order.ecus
        if accesses[ecu.entry.id].recipe.routines.confirm is not None
    }


async def _confirm(access: EcuAccess, ecu: OrderedEcu, life: Incarnation) -> Confirmation:
    """Confirm one ECU; when that fails, look what it is now: it may have crashed while it was watched."""
    try:
        await confirm_ecu(access.ecu, ecu.version, access.link, access.recipe, life)
    except FlasherError as error:
        gave_up = isinstance(error, VersionMismatch)
        try:
            now = await read_identity(access.ecu, access.link, access.recipe, life)
        except FlasherError as silent:
            return Confirmation(str(error), belief_silent(silent, erased=True))
        runs_target = (now.software_id, now.version) == (ecu.software_id, ecu.version)
        return Confirmation(str(error), belief_unconfirmed(now, runs_target=runs_target, gave_up=gave_up))
    return Confirmation()


def _flashed(
    world: World, files: BenchFiles, outcome: FlashOutcome, confirmed: Mapping[str, Confirmation]
) -> FlashedEcu:
    confirmation = confirmed.get(outcome.ecu)
    entry = next(ecu for ecu in files.vehicle.ecus if ecu.id == outcome.ecu)
    if confirmation is not None and confirmation.belief is not None:
        outcome = replace(outcome, belief=confirmation.belief)
    return FlashedEcu(
        outcome=outcome,
        spent=_spent(world.journal.frames(), files, entry, outcome),
        confirmed=None if confirmation is None else not confirmation.problem,
        confirm_problem="" if confirmation is None else confirmation.problem,
    )


def _spent(frames: Sequence[FrameRecord], files: BenchFiles, ecu: EcuEntry, outcome: FlashOutcome) -> TimeSpent:
    channel = next(channel for channel in files.bench.channels if channel.name == ecu.tester_channel)
    rates = (channel.bitrate_bit_s, channel.data_bitrate_bit_s or channel.bitrate_bit_s)
    start_ns = outcome.report.started_ns
    heard = (frame for frame in frames if frame.channel == ecu.tester_channel)
    return time_spent(heard, diagnostic_addresses(files, ecu), rates, start_ns, start_ns + outcome.report.duration_ns)


def diagnostic_addresses(files: BenchFiles, ecu: EcuEntry) -> DiagnosticAddresses:
    """Return how the frames between tester and ECU are recognised."""
    address, to_all = ecu.address(), files.vehicle.functional_address(ecu.tester_channel)
    recipe = files.recipes[ecu.id]
    routines = recipe.routines
    checks = (routines.check_memory, routines.check_dependencies, *(rule.routine for rule in recipe.check.listed))
    answers = b"" if address.rx_extension is None else bytes((address.rx_extension,))
    return DiagnosticAddresses(
        request=AddressInformation(address.tx_id, address.flags, address.prefix),
        response=AddressInformation(address.rx_id, address.flags, answers),
        functional=AddressInformation(to_all.tx_id, to_all.flags, to_all.prefix),
        erase_routine=routines.erase,
        check_routines=tuple(routine for routine in checks if routine is not None),
    )


# Reading --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What every ECU said of itself, and the frames of all buses meanwhile."""

    ecus: tuple[Identification, ...]
    frames: Sequence[FrameRecord]


def run_read(files: BenchFiles, *, seed: int = 1, reading: Callable[[str], None] = lambda _ecu: None) -> ReadResult:
    """Read the identification of every ECU of the bench's vehicle; `reading` is called with each before it is asked."""

    async def main(clock: Clock) -> ReadResult:
        world = World(clock, seed)
        with open_buses(world, files) as buses:
            life, _ = await _ready_bench(world, files, buses, seed)
            links = ecu_accesses(files, buses, life)
            found = []
            for each in links.values():
                reading(each.ecu)
                found.append(await read_identification(each.ecu, each.link, each.recipe, life))
            world.seal()
            return ReadResult(tuple(found), world.journal.frames())

    return run_on_clock(main, virtual=files.bench.clock == "virtual")
