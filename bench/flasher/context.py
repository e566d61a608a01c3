"""What the steps of one job share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from bench.core.clock import NS_PER_MS, Clock
from bench.core.points import Points
from bench.flasher.affected import AffectedBuses
from bench.flasher.client import UdsClient
from bench.flasher.errors import TransportError, UdsError, VersionMismatch
from bench.flasher.recipe import Recipe, Step
from bench.flasher.state import FRESH, DurableState, JobState, KeepState, keep_nothing
from bench.flasher.tries import NOT_STARTED, Transfer
from bench.flasher.values import FlashJob, FlashReport, Progress, ProgressCallback, Tally
from bench.ports.diagnostics import SupplySwitch
from bench.wire.image_header import ImageHeader

PHASES: dict[Step, str] = {
    Step.EXTENDED_SESSION: "pre",
    Step.DTC_OFF: "pre",
    Step.COMMUNICATION_OFF: "pre",
    Step.CHECK_PRECONDITIONS: "pre",
    Step.PROGRAMMING_SESSION: "programming",
    Step.SECURITY_ACCESS: "programming",
    Step.AUTHENTICATION: "programming",
    Step.FINGERPRINT: "programming",
    Step.ERASE: "erase",
    Step.DOWNLOAD_IMAGE: "transfer",
    Step.PROGRAM_BLOCKS: "transfer",
    Step.DOWNLOAD_HEADER: "header",
    Step.CHECK_MEMORY: "check",
    Step.CHECK_DEPENDENCIES: "check",
    Step.ACTIVATE: "activate",
    Step.RESET: "reset",
    Step.VERIFY_VERSION: "reset",
    Step.COMMUNICATION_ON: "post",
    Step.DTC_ON: "post",
    Step.CLEAR_DTCS: "post",
    Step.READ_BACK: "post",
    Step.DEFAULT_SESSION: "post",
}
"""What the fault points of the ECU are said to be in while a step runs."""


@dataclass(slots=True, kw_only=True)
class FlashContext:
    """One job under way: its parts, and what is known of the ECU so far."""

    job: FlashJob
    header: ImageHeader
    recipe: Recipe
    clock: Clock
    client: UdsClient
    buses: AffectedBuses
    points: Points
    tally: Tally
    on_progress: ProgressCallback
    started_ns: int
    supply: SupplySwitch | None = None
    """What switches the ECU's supply; None where the bench cannot."""

    step: str = "identify"
    version: str = ""
    downloads: int = 0
    acknowledged_bytes: int = 0
    pass_bytes: int = 0
    try_started_ns: int = 0
    asking: bool = False
    """Whether the ECU is being asked who it is, before anything is done to it."""
    entered_programming: bool = False
    state: JobState = FRESH
    keep: KeepState = keep_nothing
    kept: DurableState = FRESH.durable
    """What was stored last of the state."""
    transfer: Transfer = NOT_STARTED
    """Where the download under way stands."""

    _phase: str = ""
    _phase_since_ns: int = 0
    _phase_ns: dict[str, int] = field(default_factory=dict)

    def enter(self, step: str, phase: str) -> None:
        """Name the step and phase that begin now, for fault points, progress and the report."""
        now_ns = self.clock.now_ns()
        self._close_phase(now_ns)
        self.step, self._phase, self._phase_since_ns = step, phase, now_ns
        if step in (Step.ERASE, Step.PROGRAM_BLOCKS):
            self.state = replace(self.state.writing(), erased=True)
        self.points.set_phase(self.job.ecu, phase)
        self.tell()

    async def keep_state(self) -> None:
        """Have what must outlive the tester stored, if it changed, before anything else is done at the ECU."""
        durable = self.state.durable
        if durable != self.kept:
            await self.keep(durable)
            self.kept = durable

    def tell(self) -> None:
        """Report progress."""
        total_bytes = len(self.job.image) + len(self.job.header)
        self.on_progress(Progress(self.job.ecu, self.step, self.pass_bytes, total_bytes, self.clock.now_ns()))

    def acknowledged(self, sent_bytes: int, image_bytes: int) -> None:
        """Count payload that the ECU took, and what it stands for unpacked."""
        self.acknowledged_bytes += sent_bytes
        self.pass_bytes += image_bytes
        self.tell()

    async def pause_ms(self, duration_ms: int) -> None:
        """Wait on the job's clock."""
        await self.clock.sleep_ns(duration_ms * NS_PER_MS)

    async def poll(self, probe: Callable[[], Awaitable[bool]]) -> None:
        """Probe a rebooting ECU until it gives the wanted answer; after `reboot_wait_ms` the last failure is raised."""
        # ISO 14229-1 has no limit for a reboot: powerDownTime of 0x11 is for standby alone. The recipe sets one.
        deadline_ns = self.clock.now_ns() + self.recipe.timing.reboot_wait_ms * NS_PER_MS
        while True:
            try:
                if await probe():
                    return
                problem: UdsError | VersionMismatch = TransportError("REBOOT", "the ECU did not reach the wanted state")
            except (UdsError, VersionMismatch) as error:
                problem = error
            if self.clock.now_ns() >= deadline_ns:
                raise problem
            self.tally.count("reboot_poll", problem=problem)
            await self.pause_ms(self.recipe.timing.reboot_poll_ms)

    def report(self) -> FlashReport:
        """Return what was done so far."""
        now_ns = self.clock.now_ns()
        self._close_phase(now_ns)
        return FlashReport(
            ecu=self.job.ecu,
            version=self.version,
            downloads=self.downloads,
            sent_bytes=self.acknowledged_bytes,
            counts=self.tally.values(),
            phase_ns=dict(self._phase_ns),
            duration_ns=now_ns - self.started_ns,
            started_ns=self.started_ns,
            step=self.step,
            events=tuple(self.tally.events),
        )

    def _close_phase(self, now_ns: int) -> None:
        if self._phase:
            self._phase_ns[self._phase] = self._phase_ns.get(self._phase, 0) + now_ns - self._phase_since_ns
            self._phase_since_ns = now_ns
