"""Arming faults at resolved points, and the record of what was injected when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.config import FileModel
from bench.core.points import FaultPoint
from bench.core.records import FaultRecord
from bench.core.world import World
from bench.faults.catalogue import CATALOGUE, Strike
from bench.ports.faults import FaultTarget


@dataclass(frozen=True, slots=True)
class ArmedFault:
    """A fault whose point a golden run has resolved and whose parameters were checked."""

    point: FaultPoint
    parameters: FileModel

    def shown_parameters(self) -> Mapping[str, object]:
        """Return the parameters, defaults included."""
        return self.parameters.model_dump(mode="json")


class Injector:
    """Arms faults in a world and remembers when each struck and when it was over."""

    def __init__(self, world: World, target: FaultTarget, faults: Sequence[ArmedFault]) -> None:
        self._world, self._target, self._faults = world, target, tuple(faults)
        self._struck_ns: dict[int, int] = {}
        self._over_ns: dict[int, int] = {}
        self._limits: dict[int, str] = {}

    def arm(self) -> None:
        """Wait for every fault's point."""
        for index, fault in enumerate(self._faults):
            self._world.points.arm(fault.point, lambda index=index: self._strike(index))  # type: ignore[misc]

    def _strike(self, index: int) -> None:
        fault = self._faults[index]
        self._struck_ns[index] = self._world.clock.now_ns()
        self._world.journal.add(fault.point.part, "fault", str(fault.point))
        kind = CATALOGUE[fault.point.fault_class]
        kind.inject(
            Strike(
                fault.point,
                fault.parameters,
                self._target,
                self._world.clock,
                restored=lambda: self._note_over(index),
                limited=lambda limits: self._note_limits(index, limits),
            )
        )

    def _note_over(self, index: int) -> None:
        self._over_ns[index] = self._world.clock.now_ns()

    def _note_limits(self, index: int, limits: str) -> None:
        self._limits[index] = limits

    @property
    def all_struck_are_over(self) -> bool:
        """Whether nothing that struck is still going on (a point may never be reached)."""
        bounded = (i for i in self._struck_ns if CATALOGUE[self._faults[i].point.fault_class].bounded)
        return all(index in self._over_ns for index in bounded)

    def records(self) -> tuple[FaultRecord, ...]:
        """Return what was injected, in the scenario's order."""
        return tuple(
            FaultRecord(
                fault.point.fault_class,
                str(fault.point),
                fault.shown_parameters(),
                self._struck_ns.get(index),
                self._over_ns.get(index),
                self._limits.get(index, ""),
            )
            for index, fault in enumerate(self._faults)
        )
