"""One execution of a job: build the rig, drive it, seal the journal, collect the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.core.clock import NS_PER_S, Clock, RealClock, Stopwatch
from bench.core.errors import EquipmentError
from bench.core.journal import Trace
from bench.core.points import PointTable
from bench.core.realtime import run_on_clock
from bench.core.records import Limits, RunRecord
from bench.core.world import PartCrashed, World
from bench.faults.inject import ArmedFault
from bench.runs.job import Job

NO_LIMIT = Limits(live_within_ns=0, poll_interval_ns=0)
LIVE_FACTOR, LIVE_POLLS = 4, 2
"""`live` gives four times the golden story's time plus two poll intervals (docs/contracts.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What one execution left behind."""

    record: RunRecord
    points: PointTable
    trace: Trace
    virtual_ns: int
    story_ns: int
    """Of that, without what the bench did before and after the story."""
    epoch_ns: int
    """The date at which the run began, in nanoseconds since 1970 (`Clock.epoch_ns`)."""
    wall_s: float
    crash: PartCrashed | None
    quiet: bool
    """Whether the story came to an end by itself, and not by the limit."""

    @property
    def journal(self) -> tuple[bytes, ...]:
        """The canonical journal's lines, without line ends."""
        return self.trace.lines

    @property
    def trace_sha256(self) -> str:
        """The hash of the journal: equal for equal runs."""
        return self.trace.sha256

    def judged_by(self, limits: Limits, *, expects_update: bool) -> Execution:
        """Return the same execution with what its record is judged by: limits, and the end that is expected."""
        return replace(self, record=replace(self.record, limits=limits, expects_update=expects_update))


def execute(job: Job, faults: Sequence[ArmedFault], ends_within_ns: int) -> Execution:
    """Run the job once with `faults` armed."""
    watch = Stopwatch()

    async def main(clock: Clock) -> Execution:
        world = World(clock, job.seed)
        if isinstance(clock, RealClock):
            clock.watch_host()
        rig = job.build(world, faults)
        try:
            quiet = await rig.drive(ends_within_ns)
            if world.crash is not None and isinstance(world.crash.error, EquipmentError):
                raise world.crash.error  # nothing is said about the vehicle
            world.seal()
            lateness = clock.lateness() if isinstance(clock, RealClock) else None
            return Execution(
                record=replace(rig.collect(NO_LIMIT), lateness=lateness),
                points=rig.points,
                trace=world.journal.trace(),
                virtual_ns=clock.now_ns(),
                story_ns=clock.now_ns() - rig.besides_ns,
                epoch_ns=clock.epoch_ns,
                wall_s=watch.elapsed_s(),
                crash=world.crash,
                quiet=quiet,
            )
        finally:
            rig.close()

    return run_on_clock(main, virtual=job.virtual)


def live_limits(job: Job, golden: Execution) -> Limits:
    """Return the limits that the scenario names or the golden run gives.

    A golden run that never became quiet gives no measure: then the scenario's whole time is the limit, and is over.
    """
    poll_ns = job.poll_interval_ns
    if not golden.quiet:
        return Limits(round(job.scenario.ends_within_s * NS_PER_S), poll_ns)
    if job.scenario.live_within_s is not None:
        return Limits(round(job.scenario.live_within_s * NS_PER_S), poll_ns)
    return Limits(LIVE_FACTOR * golden.story_ns + LIVE_POLLS * poll_ns, poll_ns)
