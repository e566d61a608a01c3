"""Arming faults at resolved points, and the record of what was injected when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.config import FileModel
from bench.core.errors import InputError
from bench.core.points import FaultPoint
from bench.core.records import FaultRecord
from bench.core.world import World
from bench.faults.catalogue import fault_kinds
from bench.faults.kinds import FaultKind, Strike


@dataclass(frozen=True, slots=True)
class ArmedFault:
    """A fault whose point a golden run has resolved and whose parameters were checked."""

    point: FaultPoint
    parameters: FileModel

    @property
    def kind(self) -> FaultKind:
        """What kind of fault it is."""
        return fault_kinds()[self.point.fault_class]

    @property
    def whom(self) -> str:
        """The part that it strikes."""
        return self.kind.whom(self.point, self.parameters)

    def shown_parameters(self) -> Mapping[str, object]:
        """Return the parameters, defaults included."""
        return self.parameters.model_dump(mode="json")


class Injector:
    """Arms faults in a world and remembers when each struck and when it was over."""

    def __init__(self, world: World, faults: Sequence[ArmedFault]) -> None:
        self._world, self._faults = world, tuple(faults)
        self._struck_ns: dict[int, int] = {}
        self._over_ns: dict[int, int] = {}
        self._limits: dict[int, str] = {}

    def refuse_what_cannot_strike(self) -> None:
        """Raise `InputError` for the first fault that needs a port which no part of this bench offers."""
        offers = self._world.offers
        for fault in self._faults:
            for port in fault.kind.ports:
                if not offers.has(port, fault.whom):
                    whose = "" if port.of_bench else f" of {fault.whom}"
                    raise InputError(
                        f"{fault.point.fault_class} cannot strike on this bench: nothing offers {port.name!r}{whose}",
                        key="faults.point", found=str(fault.point), allowed=", ".join(offers.parts(port)) or "no part",
                        hint="name a part that offers it, or a bench that simulates it",
                    )  # fmt: skip

    def arm(self) -> None:
        """Wait for every fault's point."""
        for index, fault in enumerate(self._faults):
            self._world.points.arm(fault.point, lambda index=index: self._strike(index))  # type: ignore[misc]

    def _strike(self, index: int) -> None:
        fault = self._faults[index]
        self._struck_ns[index] = self._world.clock.now_ns()
        self._world.journal.add(fault.point.part, "fault", str(fault.point))
        world = self._world
        fault.kind.inject(
            Strike(
                fault.point,
                fault.parameters,
                fault.whom,
                world.offers,
                world.clock,
                restored=partial(self._note_over, index),
                limited=partial(self._note_limits, index),
            )
        )

    def _note_over(self, index: int) -> None:
        self._over_ns[index] = self._world.clock.now_ns()

    def _note_limits(self, index: int, limits: str) -> None:
        self._limits[index] = limits

    @property
    def all_struck_are_over(self) -> bool:
        """Whether nothing that struck is still going on (a point may never be reached)."""
        bounded = (i for i in self._struck_ns if self._faults[i].kind.bounded)
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
