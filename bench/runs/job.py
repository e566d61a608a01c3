"""A job: a scenario, the bench to run it on, and how to build that bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.core.points import PointTable
from bench.core.records import Limits, RunRecord
from bench.core.world import World
from bench.faults.inject import ArmedFault
from bench.runs.scenario import Scenario


class Rig(Protocol):
    """A bench assembled for one run."""

    points: PointTable
    """What was announced until the story's end: the bench's own reading of the ECUs afterwards is no part of it."""

    besides_ns: int
    """How long the bench looked at the vehicle before the story, and drove it after it: no part of the story."""

    async def drive(self, ends_within_ns: int) -> bool:
        """Look at the vehicle; place the order, power up, wait until all is quiet or the time is over; drive, read.

        Returns whether it became quiet.
        """

    def collect(self, limits: Limits) -> RunRecord:
        """Freeze what was observed."""

    def close(self) -> None:
        """Give back what the bench holds (server, folders)."""


BuildRig = Callable[[World, Sequence[ArmedFault]], Rig]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything one run needs. `inputs` are the bytes of all input files by name below `inputs/`."""

    scenario: Scenario
    scenario_file: str
    bench: str
    seed: int
    virtual: bool
    poll_interval_ns: int
    inputs: Mapping[str, bytes]
    build: BuildRig
    notes: tuple[str, ...] = ()
    firmware_options: tuple[str, ...] = ()
    """Words of a command line that name the user's own firmware again: a replay needs them."""
