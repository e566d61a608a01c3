"""What a kind of fault is: a name, parameters, where it may strike, and a strike over small ports.

A kind never imports the part that it strikes: it names the ports that it needs (`bench.ports.faults`), and the parts
of a bench offer theirs (`bench.core.offers`). So neither core nor a rig has to change for a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bench.config import FileModel
from bench.core.clock import NS_PER_MS, Clock
from bench.core.offers import Offers, Port
from bench.core.points import FaultPoint

Offered = TypeVar("Offered")
ECU, AGENT = "ecu", "agent"
"""Kinds of part that faults strike at; a package may bring others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultTargets:
    """What a vehicle and an order give faults to aim at."""

    parts: Mapping[str, str]
    """By part: which kind of part it is (`ecu`, `agent`)."""
    packages: Mapping[str, Sequence[str]]
    """By package of an order: the ECUs that it has images for."""
    areas: Mapping[tuple[str, str], range]
    """By ECU and area (`image`, `header`): the addresses that it has."""

    def of_kinds(self, kinds: Sequence[str]) -> list[str]:
        """Return the parts of these kinds, in their order."""
        return [part for part, kind in self.parts.items() if kind in kinds]


@dataclass(frozen=True, slots=True)
class Strike:
    """What a fault is handed when its point is reached."""

    point: FaultPoint
    parameters: Any
    whom: str
    """The part that is struck."""
    offers: Offers
    clock: Clock
    restored: Callable[[], None]
    """To be called once a bounded fault is over."""
    limited: Callable[[str], None]
    """To be called with what of the fault this bench cannot do: it stands in the fault's record."""

    def port(self, port: Port[Offered]) -> Offered:
        """Return what the struck part, or the bench, offers."""
        return self.offers.find(port, self.whom)

    def end_after(self, duration_ns: int, undo: Callable[[], None] = lambda: None) -> None:
        """Have the fault undone and over after that time."""

        def end() -> None:
            undo()
            self.restored()

        self.clock.call_at_ns(self.clock.now_ns() + duration_ns, end)

    def end_after_ms(self, duration_ms: int, undo: Callable[[], None]) -> None:
        """See `end_after`."""
        self.end_after(duration_ms * NS_PER_MS, undo)


def _the_points_part(point: FaultPoint, parameters: Any) -> str:
    del parameters
    return point.part


def _nothing_more(point: FaultPoint, parameters: Any, targets: FaultTargets) -> None:
    """Nothing more is demanded of the parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """A kind of fault, as it is registered."""

    fault_class: str
    title: str
    strikes: tuple[str, ...]
    """Kinds of part at whose events it is armed."""
    parameters: type[FileModel]
    inject: Callable[[Strike], None]
    ports: tuple[Port[Any], ...]
    """What it needs of the struck part or of the bench; a bench that lacks one refuses the fault by name."""
    bounded: bool
    """Whether the bench undoes it by itself; `live` counts from then."""
    events: tuple[str, ...] | None = None
    """Where it may strike; None: at each kind of event that such parts announce."""
    whom: Callable[[FaultPoint, Any], str] = _the_points_part
    """Which part is struck; by default the one at whose event it is armed."""
    files: tuple[tuple[str, str], ...] = ()
    """Folder of data files, and the parameter that names a file in it."""
    refuse_unfit: Callable[[FaultPoint, Any, FaultTargets], None] = _nothing_more
    """Raises `Unfit` for parameters that this vehicle or order has no use for."""


class Unfit(ValueError):
    """Parameters of a fault that do not fit the vehicle: the key, what was found, what is allowed."""

    def __init__(self, problem: str, *, key: str, found: str, allowed: str) -> None:
        super().__init__(problem)
        self.problem, self.key, self.found, self.allowed = problem, key, found, allowed
