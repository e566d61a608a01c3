"""What is known of a run by now and wanted by several rules: orders, deliveries, readings, what each ECU does.

It reads every event before the rules do, so that each of these is folded once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from bench.core.records import (
    BootRecord,
    ConditionRecord,
    Crash,
    DidReading,
    EndedBy,
    ExecutionRecord,
    FlashDump,
    HttpRecord,
    Lateness,
    PowerRecord,
    ServerEvent,
)
from bench.oracle.decode_image import HEADER_BYTES, header_or_none
from bench.oracle.delivery import Deliveries
from bench.oracle.facts import Coverage, Facts
from bench.oracle.server_log import ServerLog
from bench.oracle.state import state_of
from bench.oracle.stream import Ended, Event, FaultOver, FaultStruck

APPLICATION = "application"


@dataclass(slots=True)
class EcuNow:
    """The last that was recorded of one ECU."""

    power: PowerRecord | None = None
    boot: BootRecord | None = None
    execution: ExecutionRecord | None = None
    """The application that it began to execute last."""
    left_application_ns: int | None = None
    """When it last entered another stage than its application; None as long as it entered none."""
    had_application: bool = False
    """Whether it ever entered its application."""

    def left_application_after(self, t_ns: int) -> bool:
        """Return whether it entered another stage than its application after an instant."""
        return self.left_application_ns is not None and self.left_application_ns > t_ns


@dataclass(slots=True)
class Disturbance:
    """A fault: when it struck, and when it was over (the same instant where it never was)."""

    t_ns: int
    fault_class: str
    point: str
    over_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What an ECU's non-volatile memory says after the run; `trial` is the bank, `on_trial` the version in it."""

    ecu: str
    floor: int
    trial: str | None
    on_trial: str | None


@dataclass(slots=True)
class Situation:
    """State of the run; rules read it and never change it."""

    facts: Facts
    server: ServerLog
    deliveries: Deliveries
    ecus: dict[str, EcuNow]
    readings: list[DidReading] = field(default_factory=list)
    car: dict[str, ConditionRecord] = field(default_factory=dict)
    """The last accepted change of every value of the car."""
    faults: list[Disturbance] = field(default_factory=list)
    restored_ns: int | None = None
    """When the last fault was over."""
    power_lost_ns: list[int] = field(default_factory=list)
    """Whenever any part lost its supply."""
    stored: dict[str, Stored] = field(default_factory=dict)
    """Where the release floor can be read."""
    began_ns: int | None = None
    """The first event that a part of the bench recorded; the server's own clock is not asked."""
    ended_t_ns: int = 0
    ended_by: EndedBy = "limit"
    crash: Crash | None = None
    coverage: Coverage = field(default_factory=dict)
    lateness: Lateness | None = None
    """How late the bench itself was in real time; known once the run is over."""

    @classmethod
    def of(cls, facts: Facts) -> Situation:
        """Return the situation before anything happened."""
        ecus = {layout.ecu: EcuNow() for layout in facts.layouts}
        return cls(facts, ServerLog(facts.vin), Deliveries(facts), ecus, coverage=facts.coverage)

    def take(self, event: Event) -> None:
        """Read one event."""
        if self.began_ns is None and not isinstance(event, ServerEvent | FlashDump | Ended):
            self.began_ns = event.t_ns
        match event:
            case ServerEvent():
                self.server.take(event)
            case HttpRecord():
                self.deliveries.take(event)
            case DidReading():
                self.readings.append(event)
            case ConditionRecord():
                self._take_condition(event)
            case FlashDump():
                self._take_dump(event)
            case BootRecord() | ExecutionRecord() | PowerRecord():
                self._take_ecu(event)
            case FaultStruck():
                self.faults.append(Disturbance(event.t_ns, event.fault_class, event.point))
            case FaultOver():
                self._take_over(event)
            case Ended():
                self.ended_t_ns, self.coverage, self.lateness = event.t_ns, event.coverage, event.lateness
                self.ended_by, self.crash = event.ended_by, event.crash

    def _take_dump(self, dump: FlashDump) -> None:
        """Keep floor and trial of a dump, nothing else of it."""
        if dump.release_floor is not None:
            slot = None if dump.trial_bank is None else dump.region(f"header:{dump.trial_bank}")
            header = header_or_none(slot.data[:HEADER_BYTES]) if slot is not None else None
            on_trial = None if header is None else header.version
            self.stored[dump.ecu] = Stored(dump.ecu, dump.release_floor, dump.trial_bank, on_trial)

    def _take_condition(self, event: ConditionRecord) -> None:
        if event.accepted:
            self.car[event.key] = event

    def _take_ecu(self, event: BootRecord | ExecutionRecord | PowerRecord) -> None:
        if isinstance(event, PowerRecord):
            if not event.on:
                self.power_lost_ns.append(event.t_ns)
            if event.part in self.ecus:
                self.ecus[event.part].power = event
            return
        ecu = self.ecus.setdefault(event.ecu, EcuNow())
        if isinstance(event, ExecutionRecord):
            ecu.execution = event
            return
        ecu.boot = event
        if event.stage == APPLICATION:
            ecu.had_application = True
        else:
            ecu.left_application_ns = max(ecu.left_application_ns or event.t_ns, event.t_ns)

    def _take_over(self, event: FaultOver) -> None:
        self.restored_ns = event.t_ns if self.restored_ns is None else max(self.restored_ns, event.t_ns)
        same = [f for f in self.faults if f.point == event.point and f.over_ns is None]
        if same:
            same[0].over_ns = event.t_ns

    def reading(self, ecu: str, did: int) -> DidReading | None:
        """Return the last reading of a data identifier, or None when it was not asked for."""
        return next((r for r in reversed(self.readings) if r.ecu == ecu and r.did == did), None)

    def answering(self, ecu: str) -> DidReading | None:
        """Return a reading that was answered, a value before a refusal: the proof that the ECU lives."""
        mine = [r for r in self.readings if r.ecu == ecu and r.answered]
        return next((r for r in mine if r.value is not None), mine[0] if mine else None)

    def key(self) -> Hashable:
        """Return the whole state as one value; what the last event of a run tells is no state that anything follows."""
        return state_of(self, without=("facts", "coverage", "ended_t_ns", "lateness"))
