"""What goes into a flash job, what it tells while it runs, and what comes out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from bench.core.clock import Clock

LOG = logging.getLogger("otabench.flasher")
MAX_EVENTS = 1000
"""A report keeps the first ones; all are counted."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is at `t_ns`; `sent_bytes` counts payload that the ECU took in the running download pass."""

    ecu: str
    step: str
    sent_bytes: int
    total_bytes: int
    t_ns: int


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class EcuIdentity:
    """Who answers: `software_id` and `version` are empty when it is the bootloader."""

    hardware_id: str
    software_id: str
    version: str
    tells_version: bool = True
    """False: no identifier of this ECU tells what runs."""

    @property
    def in_bootloader(self) -> bool:
        """Return whether the bootloader answered, as far as that can be told."""
        return self.tells_version and not self.version

    def __str__(self) -> str:
        if not self.tells_version:
            return f"{self.hardware_id or 'an ECU'} that does not tell what runs"
        what = "its bootloader" if self.in_bootloader else f"{self.software_id} {self.version}"
        return f"{self.hardware_id} running {what}"


@dataclass(frozen=True, slots=True)
class Stored:
    """What an ECU has of an interrupted job: bytes of the image from its begin, and whether the whole header."""

    image_bytes: int = 0
    header: bool = False


NOTHING_STORED = Stored()


@dataclass(slots=True)
class Counts:
    """Every repetition and oddity of a job, each counted where it happened."""

    job_retry: int = 0
    download_restart: int = 0
    block_repeat: int = 0
    block_resend: int = 0
    step_repeat: int = 0
    busy_repeat: int = 0
    pending: int = 0
    late_answer: int = 0
    unexpected_answer: int = 0
    foreign_answer: int = 0
    security_wait: int = 0
    reboot_poll: int = 0
    extended_by_address: int = 0
    resumed_after_check: int = 0
    resumed_transfer: int = 0
    image_kept: int = 0
    reset_refused: int = 0
    reset_not_made: int = 0
    partial_erase: int = 0
    tester_present_failed: int = 0
    undo_failed: int = 0


@dataclass(frozen=True, slots=True)
class FlashEvent:
    """Something worth a line: when, what (a field of `Counts`, or another name), and details."""

    t_ns: int
    name: str
    detail: str


class Tally:
    """Counts and events of one job, shared by client, keep-alive and sequence."""

    def __init__(self, ecu: str, clock: Clock) -> None:
        self.ecu, self._clock = ecu, clock
        self.counts = Counts()
        self.events: list[FlashEvent] = []

    def count(self, name: str, /, **details: object) -> None:
        """Add one to the count `name` and note it as an event."""
        setattr(self.counts, name, getattr(self.counts, name) + 1)
        self.note(name, **details)

    def note(self, name: str, /, **details: object) -> None:
        """Note an event: one log line with named fields and the run's time."""
        text = " ".join(f"{key}={value}" for key, value in details.items())
        event = FlashEvent(self._clock.now_ns(), name, text)
        if len(self.events) < MAX_EVENTS:
            self.events.append(event)
        LOG.debug("%s ecu=%s %s t_ns=%d", name, self.ecu, text, event.t_ns)

    def values(self) -> dict[str, int]:
        """Return the counts by name, in the order of `Counts`."""
        return {each.name: int(getattr(self.counts, each.name)) for each in fields(self.counts)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashReport:
    """What a job did, up to `step`. `version` is what the ECU said last ("" when it was not asked or gave none)."""

    ecu: str
    version: str
    downloads: int
    sent_bytes: int
    counts: Mapping[str, int]
    phase_ns: Mapping[str, int]
    duration_ns: int
    started_ns: int
    step: str
    events: tuple[FlashEvent, ...] = field(default=(), repr=False)
