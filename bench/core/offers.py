"""What the parts of a run offer to others, looked up by the name of a port and by part.

Whoever needs something of a part (an injector, a tester) asks for it here by its port and gets a value with that
port's few methods; neither side imports the other, and a bench that lacks a part says so by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from bench.core.errors import InputError

Offered = TypeVar("Offered")
ONE_OF_A_BENCH = ""
"""Stands where a part's name stands, for what a bench has once."""


@dataclass(frozen=True)  # slots and a subscripted generic do not go together (Python 3.11)
class Port(Generic[Offered]):
    """The name under which something is offered, and with it the type of what is offered.

    `of_bench`: a bench has it once (the car, the maker of packages); else each part offers its own.
    """

    name: str
    of_bench: bool = False


class Offers:
    """What the parts of one run offer."""

    def __init__(self) -> None:
        self._offered: dict[tuple[str, str], Any] = {}

    def offer(self, port: Port[Offered], offered: Offered, part: str = ONE_OF_A_BENCH) -> None:
        """Offer something of a part, or of the whole bench; ValueError when that is offered already."""
        key = self._key(port, part)
        if key in self._offered:
            raise ValueError(f"{port.name} of {part or 'the bench'} is offered twice")
        self._offered[key] = offered

    def has(self, port: Port[Any], part: str = ONE_OF_A_BENCH) -> bool:
        """Return whether that is offered."""
        return self._key(port, part) in self._offered

    def find(self, port: Port[Offered], part: str = ONE_OF_A_BENCH) -> Offered:
        """Return what was offered; `InputError` names the port, the part, and who does offer it."""
        key = self._key(port, part)
        if key not in self._offered:
            whose = "" if port.of_bench else f" of {part!r}"
            raise InputError(
                f"nothing on this bench offers {port.name!r}{whose}",
                found=part or port.name, allowed=", ".join(self.parts(port)) or "nothing: no part of it does",
            )  # fmt: skip
        return cast(Offered, self._offered[key])

    def parts(self, port: Port[Any]) -> tuple[str, ...]:
        """Return the parts that offer a port."""
        return tuple(part for name, part in self._offered if name == port.name and part != ONE_OF_A_BENCH)

    @staticmethod
    def _key(port: Port[Any], part: str) -> tuple[str, str]:
        return port.name, ONE_OF_A_BENCH if port.of_bench else part
