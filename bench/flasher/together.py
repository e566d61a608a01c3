"""Several ECUs flashed in one go: concurrently where their recipes allow it, each with an outcome of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.core.clock import Clock
from bench.core.points import Points
from bench.flasher.affected import BusGroups
from bench.flasher.belief import Belief
from bench.flasher.errors import FlasherError
from bench.flasher.recipe import Recipe
from bench.flasher.sequence import FlashRun, no_progress
from bench.flasher.software import Job
from bench.flasher.task import cause
from bench.flasher.values import FlashReport, ProgressCallback
from bench.ports.diagnostics import DiagLink, FunctionalLink, SupplySwitch


@dataclass(frozen=True, slots=True)
class FlashTarget:
    """A job and how its ECU is reached; ECUs of one bus have the same `functional` link.

    `elsewhere` are the functional links of the other buses on which frames go missing meanwhile.
    """

    job: Job
    link: DiagLink
    functional: FunctionalLink
    recipe: Recipe
    elsewhere: tuple[FunctionalLink, ...] = ()
    supply: SupplySwitch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashOutcome:
    """How one job ended: `error` is None when the new version was read back; `finished` is False when cancelled."""

    ecu: str
    report: FlashReport
    belief: Belief
    error: FlasherError | None
    finished: bool


class FlashSession:
    """A coordinated job over many ECUs, in one life of the tester (D3)."""

    def __init__(
        self,
        targets: Sequence[FlashTarget],
        clock: Clock,
        points: Points,
        progress: ProgressCallback = no_progress,
        *,
        parallel: bool = True,
    ) -> None:
        """Check every image before any ECU is touched: ImageMismatch names both sides."""
        groups = BusGroups()
        self._runs = {
            target.job.ecu: FlashRun(
                target.job,
                target.link,
                groups.affected(target.functional, target.elsewhere),
                target.recipe,
                clock,
                points,
                progress,
                supply=target.supply,
            )
            for target in targets
        }
        willing = {target.job.ecu: parallel and target.recipe.parallel for target in targets}
        self._batches = batches(list(willing), willing.__getitem__)
        self._errors: dict[str, FlasherError] = {}
        self._finished: set[str] = set()

    async def flash(self) -> None:
        """Flash them all; an ECU that fails harms no other. Cancelled, every job restores what it can first."""
        for batch in self._batches:
            # Each job catches its own FlasherError: one that left the group as an exception would cancel the others in
            # mid-erase.
            async with asyncio.TaskGroup() as group:
                for ecu in batch:
                    group.create_task(self._flash_one(ecu), name=f"flash {ecu}")

    async def _flash_one(self, ecu: str) -> None:
        try:
            await self._runs[ecu].flash()
        except FlasherError as error:
            self._errors[ecu] = error
        self._finished.add(ecu)

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return what decides how the jobs go on, instants as what is left of them."""
        under_way = tuple((ecu, run.continuing(now_ns)) for ecu, run in self._runs.items())
        return under_way, tuple(sorted(self._finished)), tuple((ecu, cause(self._errors[ecu])) for ecu in self._errors)

    def outcomes(self) -> tuple[FlashOutcome, ...]:
        """Return how each job ended, or how far it came, in the order of the targets."""
        return tuple(
            FlashOutcome(
                ecu=ecu,
                report=run.report(),
                belief=run.belief,
                error=self._errors.get(ecu),
                finished=ecu in self._finished,
            )
            for ecu, run in self._runs.items()
        )


def batches(ecus: Sequence[str], may_be_parallel: Callable[[str], bool]) -> list[list[str]]:
    """Return what is flashed at the same time: all that may be together, then each other one alone."""
    together = [ecu for ecu in ecus if may_be_parallel(ecu)]
    alone = [[ecu] for ecu in ecus if not may_be_parallel(ecu)]
    # Those that must be alone come last: what disturbs them (another download on their bus) is over then.
    return [together, *alone] if together else alone
