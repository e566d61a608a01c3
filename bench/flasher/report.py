"""What a job did, put together from its notes."""

from __future__ import annotations

from collections.abc import Iterable

from bench.core.clock import Clock
from bench.core.points import Points
from bench.flasher.notes import Acknowledged, Entered, JobNote, PassBegun, VersionSeen
from bench.flasher.values import FlashReport, Progress, ProgressCallback, Tally


class Reporter:
    """Takes a job's notes; tells steps and progress as they come, and all of it in the end."""

    def __init__(self, ecu: str, total_bytes: int, clock: Clock, points: Points, on_progress: ProgressCallback) -> None:
        self.tally = Tally(ecu, clock)
        self._ecu, self._total_bytes = ecu, total_bytes
        self._clock, self._points, self._on_progress = clock, points, on_progress
        self._started_ns = clock.now_ns()
        self._step, self._version = "identify", ""
        self._downloads = self._sent_bytes = self._pass_bytes = 0
        self._phase, self._phase_since_ns = "", 0
        self._phase_ns: dict[str, int] = {}

    def begin(self) -> None:
        """Count time from now on."""
        self._started_ns = self._clock.now_ns()

    def take(self, notes: Iterable[JobNote]) -> None:
        """Take what a turn has told."""
        for note in notes:
            match note:
                case Acknowledged():
                    self._sent_bytes += note.sent_bytes
                    self._pass_bytes += note.image_bytes
                    self._tell()
                case Entered():
                    self._enter(note)
                case PassBegun():
                    self._pass_bytes = note.stored_bytes
                    self._downloads += note.download
                case VersionSeen():
                    self._version = note.version
                case _:
                    (self.tally.count if note.counted else self.tally.note)(note.name, **dict(note.details))

    def _enter(self, entered: Entered) -> None:
        """Name the step and phase that begin now, for fault points, progress and the report."""
        now_ns = self._clock.now_ns()
        self._close_phase(now_ns)
        self._step, self._phase, self._phase_since_ns = entered.step, entered.phase, now_ns
        self._points.set_phase(self._ecu, entered.phase)
        self._tell()

    def _tell(self) -> None:
        self._on_progress(Progress(self._ecu, self._step, self._pass_bytes, self._total_bytes, self._clock.now_ns()))

    def _close_phase(self, now_ns: int) -> None:
        if self._phase:
            self._phase_ns[self._phase] = self._phase_ns.get(self._phase, 0) + now_ns - self._phase_since_ns
            self._phase_since_ns = now_ns

    def report(self) -> FlashReport:
        """Return what was done so far."""
        now_ns = self._clock.now_ns()
        self._close_phase(now_ns)
        return FlashReport(
            ecu=self._ecu,
            version=self._version,
            downloads=self._downloads,
            sent_bytes=self._sent_bytes,
            counts=self.tally.values(),
            phase_ns=dict(self._phase_ns),
            duration_ns=now_ns - self._started_ns,
            started_ns=self._started_ns,
            step=self._step,
            events=tuple(self.tally.events),
        )
