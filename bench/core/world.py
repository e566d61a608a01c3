"""What every part is handed at construction: clock, journal, fault points, seeds, and the run's records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from bench.core.canonical import canonical_json
from bench.core.clock import Clock
from bench.core.entropy import Entropy, SystemEntropy
from bench.core.journal import Journal
from bench.core.loop import speaks_for_the_dead
from bench.core.offers import Offers
from bench.core.points import Points
from bench.core.records import (
    BootRecord,
    ConditionRecord,
    Crash,
    ExecutionRecord,
    FlashOperation,
    HttpRecord,
    PowerRecord,
    ServerEvent,
    VoltageRecord,
)
from bench.core.seeds import Seeds


class PartCrashed(RuntimeError):
    """A part's code failed with an exception of its own: what was proven before stands, and nothing else."""

    def __init__(self, part: str, error: BaseException, t_ns: int = 0) -> None:
        super().__init__(f"{part}: {type(error).__name__}: {error}")
        self.part, self.error, self.t_ns = part, error, t_ns
        self.__cause__ = error


class Stoppable(Protocol):
    """What the end of a run stops: `bench.core.node.Node`."""

    def stop(self, reason: str) -> None:
        """End the running life, if any."""


@dataclass(slots=True)
class Recorder:
    """Lists that grow while the run goes on; `bench/rig` freezes them for the oracle."""

    power: list[PowerRecord] = field(default_factory=list)
    boots: list[BootRecord] = field(default_factory=list)
    executions: list[ExecutionRecord] = field(default_factory=list)
    bootloader_runs: list[ExecutionRecord] = field(default_factory=list)
    flash: list[FlashOperation] = field(default_factory=list)
    http: list[HttpRecord] = field(default_factory=list)
    server: list[ServerEvent] = field(default_factory=list)
    voltages: list[VoltageRecord] = field(default_factory=list)
    conditions: list[ConditionRecord] = field(default_factory=list)


class World:
    """One run's surroundings. Everything here is a value or handed in; nothing is global."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self.clock = clock
        self.journal = Journal(clock)
        self.points = Points(clock)
        self.seeds = Seeds(seed)
        self.entropy: Entropy = self.seeds if clock.virtual else SystemEntropy()
        self.recorder = Recorder()
        self.offers = Offers()
        self.nodes: list[Stoppable] = []
        self.crash: PartCrashed | None = None
        self.on_crash: Callable[[], None] = lambda: None

    def power(self, record: PowerRecord) -> None:
        """Record that a part got or lost its supply."""
        self.recorder.power.append(record)
        self.journal.add(record.part, "power", f"{'on' if record.on else 'off'} {record.cause}")

    def boot(self, record: BootRecord) -> None:
        """Record that an ECU entered a stage of its boot."""
        if speaks_for_the_dead():
            return
        self.recorder.boots.append(record)
        self.journal.add(record.ecu, "boot", f"{record.stage} {record.bank or '-'} {record.reason}")

    def execution(self, record: ExecutionRecord) -> None:
        """Record that an ECU began to execute an image."""
        if speaks_for_the_dead():
            return
        self.recorder.executions.append(record)
        text = f"{record.bank} entry=0x{record.entry_address:08X} sha256={record.image_sha256}"
        self.journal.add(record.ecu, "execute", text)

    def bootloader_run(self, record: ExecutionRecord) -> None:
        """Record that an ECU began to execute its bootloader; the journal has the boot stage for it."""
        if not speaks_for_the_dead():
            self.recorder.bootloader_runs.append(record)

    def execution_ended(self, ecu: str, cause: str) -> None:
        """Record that what an ECU executed is executed no more from this instant on."""
        for runs in (self.recorder.executions, self.recorder.bootloader_runs):
            for n in reversed(range(len(runs))):
                if runs[n].ecu == ecu:
                    if runs[n].ended_t_ns is None:
                        runs[n] = replace(runs[n], ended_t_ns=self.clock.now_ns(), end_cause=cause)
                    break

    def flash_operation(self, record: FlashOperation) -> None:
        """Record that an ECU's flash begins to change; the journal has the driver's own line for it."""
        if not speaks_for_the_dead():
            self.recorder.flash.append(record)

    def voltage(self, record: VoltageRecord) -> None:
        """Record what a supply does to the voltage at a part; the journal has the profile's name for it."""
        self.recorder.voltages.append(record)

    def condition(self, record: ConditionRecord) -> None:
        """Record that a value of the car's state changed, or that the car refused the change."""
        self.recorder.conditions.append(record)
        ending = "" if record.accepted else " refused"
        self.journal.add("car", "condition", f"{record.key} {record.value}{ending} {record.cause}")

    def server_event(self, record: ServerEvent) -> None:
        """Record an event of the DM server's log, at the instant it was accepted."""
        self.recorder.server.append(record)
        self.journal.add("server", record.kind, canonical_json(record.data))

    def http(self, record: HttpRecord) -> int:
        """Record an HTTP exchange whose head has come; returns its number, for `http_delivered`."""
        if speaks_for_the_dead():
            return -1
        self.recorder.http.append(record)
        self.journal.add(record.part, "http", f"{record.method} {record.url} {record.status}")
        self.journal.add(record.part, "http.request", record.request_body)
        self.journal.add(record.part, "http.response", record.response_body)
        return len(self.recorder.http) - 1

    def http_delivered(self, number: int, size_bytes: int) -> None:
        """Record that so many bytes of the body of an exchange have come by now."""
        if number >= 0 and not speaks_for_the_dead():
            record = self.recorder.http[number]
            self.recorder.http[number] = replace(record, delivered_bytes=size_bytes, ended_t_ns=self.clock.now_ns())

    def crash_record(self) -> Crash | None:
        """Return the first crash of a part as the oracle gets it."""
        crash = self.crash
        return None if crash is None else Crash(crash.t_ns, crash.part, f"{type(crash.error).__name__}: {crash.error}")

    def seal(self) -> None:
        """End the run: the journal is closed and every life retired, so that teardown reaches nothing (D3)."""
        self.journal.seal()
        for node in self.nodes:
            node.stop("the run is over")

    def crashed(self, part: str, error: BaseException) -> None:
        """Note the first crash of a part and tell whoever drives the run (`on_crash`)."""
        if self.crash is None:
            self.crash = PartCrashed(part, error, self.clock.now_ns())
            self.on_crash()
