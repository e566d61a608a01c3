"""A job: a scenario, the bench to run it on, and how to build that bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.core.records import Limits, RunRecord
from bench.core.world import World
from bench.faults.inject import ArmedFault
from bench.runs.scenario import Scenario


class Rig(Protocol):
    """A bench assembled for one run."""

    async def drive(self, ends_within_ns: int) -> None:
        """Place the order, power up, wait until everything is quiet (or the time is over), read the ECUs."""

    def collect(self, limits: Limits) -> RunRecord:
        """Freeze what was observed."""

    def close(self) -> None:
        """Give back what the bench holds (server, folders)."""


BuildRig = Callable[[World, Sequence[ArmedFault]], Rig]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything one run needs. `inputs` are the bytes of all input files by name below `inputs/`."""

    scenario: Scenario
    bench: str
    seed: int
    virtual: bool
    poll_interval_ns: int
    inputs: Mapping[str, bytes]
    build: BuildRig
    notes: tuple[str, ...] = ()
