"""Strategies that a recipe chooses by name: how a part is erased, how what was sent is checked.

More of them come from packages of others, as entry points of the group `otabench.flash_strategy`: the name is
`erase.NAME` or `check.NAME`, the value an `EraseStrategy` or a `CheckStrategy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

from bench.core.errors import InputError
from bench.flasher.recipe_checks import CheckRule
from bench.flasher.task import Piece, Plan, Task

GROUP = "otabench.flash_strategy"
EraseStrategy = Callable[[Plan, int], Iterable[Task]]
"""Given the plan and the place of a part: what erases it."""
CheckStrategy = Callable[[Plan, CheckRule, Piece | None], Task]
"""Given the plan, the rule and what is to be checked (a segment; the first segment of a part; None for everything)."""
S = TypeVar("S")


@lru_cache(maxsize=1)
def found() -> Mapping[str, Any]:
    """Return the strategies of installed packages, by name."""
    return {each.name: each.load() for each in entry_points(group=GROUP)}


def strategy(kind: str, name: str, built_in: Mapping[str, S]) -> S:
    """Return a strategy by its name; `InputError` names those that there are."""
    others = {key.removeprefix(f"{kind}."): each for key, each in found().items() if key.startswith(f"{kind}.")}
    chosen: Any = built_in.get(name) or others.get(name)
    if chosen is None:
        raise InputError(
            f"the recipe names a strategy that there is not: {kind} by {name}",
            key=f"{kind}.by" if kind == "erase" else "check.rules.by",
            found=name,
            allowed=", ".join([*built_in, *others]),
            hint=f"a strategy of your own is an entry point {kind}.{name} of the group {GROUP}",
        )
    of_that_kind: S = chosen
    return of_that_kind
