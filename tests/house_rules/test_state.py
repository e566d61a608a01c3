"""What the flasher keeps during a job stands in a key: each attribute in `state()`, or in a table with the reason.

A class whose attributes change after it was made gives a `state()` that names them, or is no part of how a job goes on.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PACKAGE = "bench/flasher/"
KEYS = ("state", "continuing")
"""Methods that give a key; `continuing(self, ...)` in one gives all fields."""

OF_ITS_CONSTRUCTION = "given at its construction, never another"
WAKES = "wakes who waits; who waits for what stands in the orders and in what the jobs ask"

NOT_IN_KEY: Mapping[str, Mapping[str, str]] = {
    "FlashState": {
        "plan": "equal keys are those of jobs with one plan",
        "ask": "stands in the key as its action; a request's bytes stand in its exchange",
        "exchange_action": "stands in the key as its action",
        "step": "stands in the key by its name",
    },
    "Request": {
        "call": "its bytes stand in the exchange, how the answer is read follows from the task",
        "newest": "stands in the exchange",
    },
    "Memory": {"unanswered": "in its key without what is overdue"},
    "FunctionalSender": dict.fromkeys(("link", "_timing", "_clock"), OF_ITS_CONSTRUCTION),
    "Beat": {"clock": OF_ITS_CONSTRUCTION},
    "BusGroup": {
        "link": OF_ITS_CONSTRUCTION,
        "sent_ns": "compared with the begin of a job's wait: in the key of that job's link",
        "_turn": WAKES,
        "_waiting": WAKES,
        "_beating": "does what stands in `_beat`",
    },
    "SharedLink": dict.fromkeys(("_link", "_clock"), OF_ITS_CONSTRUCTION),
    "AffectedBuses": dict.fromkeys(("home", "_elsewhere"), "in `_groups`"),
    "FlashRun": {
        **dict.fromkeys(("recipe", "clock", "_plan", "_supply", "_keep", "_before"), OF_ITS_CONSTRUCTION),
        "_reporter": "tells what was done and decides nothing",
        "_ended": "the report, made when the job is over",
    },
    "FlashSession": {"_batches": OF_ITS_CONSTRUCTION},
}
"""Attributes of classes with a key that do not stand in it, with the reason."""

NO_KEY: Mapping[str, str] = {
    "Tally": "counts and tells; decides nothing",
    "Counts": "counts of a report",
    "Reporter": "tells what was done and decides nothing",
    "BusGroups": "finds the group of a link; each group gives its own state",
    "UdsClient": "one request at a time outside of a job: its exchange and memory are values, who calls it is not",
    "_Guarded": "a buffer of one call of a key library",
    "_Move": "lives within one call of FlashState.next",
}
"""Classes with changing attributes that give no key, with the reason."""


@dataclass(frozen=True)
class Kind:
    """A class: its attributes, whether instances stay as they were made, and the names that its key reads."""

    name: str
    attributes: frozenset[str]
    frozen: bool
    in_key: frozenset[str] | None

    def missing(self) -> Iterator[str]:
        """Yield the attributes that neither key nor tables know."""
        if self.in_key is None:
            if not self.frozen and self.attributes and self.name not in NO_KEY:
                yield f"{self.name} has changing attributes and no state()"
            return
        for attribute in sorted(self.attributes - self.in_key - set(NOT_IN_KEY.get(self.name, {}))):
            yield f"{self.name}.{attribute} is not in its key"


def kinds(source: str) -> Iterator[Kind]:
    """Yield every class of a module that makes instances with attributes of this house."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and not settled(node):
            decorated = [ast.unparse(each) for each in node.decorator_list]
            is_dataclass = any(each.startswith("dataclass") for each in decorated)
            attributes = {name for name in assigned(node) if not name.isupper()}
            if is_dataclass:
                attributes |= {name for each in node.body if (name := field_name(each)) is not None}
            frozen = any("frozen=True" in each for each in decorated)
            yield Kind(node.name, frozenset(attributes), frozen, key_of(node, attributes))


def settled(node: ast.ClassDef) -> bool:
    """Return whether instances are errors, members of an enumeration, tables of a file or a Protocol."""
    bases = " ".join(ast.unparse(each) for each in node.bases)
    return any(
        word in bases for word in ("Error", "CheckFailed", "Enum", "FileModel", "Protocol", "Mismatch", "NamedTuple")
    )


def field_name(node: ast.stmt) -> str | None:
    """Return the name of a dataclass's field; None for any other statement of a class."""
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
        return None
    return None if "ClassVar" in ast.unparse(node) else node.target.id


def assigned(node: ast.ClassDef) -> Iterator[str]:
    """Yield what is ever assigned to an attribute of `self`."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store) and ast.unparse(each.value) == "self":
            yield each.attr


def key_of(node: ast.ClassDef, attributes: set[str]) -> frozenset[str] | None:
    """Return which attributes the key reads; None without a key."""
    found = [
        each
        for each in node.body
        if isinstance(each, ast.FunctionDef) and each.name in KEYS and not each.decorator_list
    ]
    if any("continuing(self, now_ns)" in ast.unparse(each) for each in found):
        return frozenset(attributes)
    read = {
        each.attr
        for method in found
        for each in ast.walk(method)
        if isinstance(each, ast.Attribute) and ast.unparse(each.value) == "self"
    }
    return frozenset(read) if found else None


def test_whatever_a_job_keeps_stands_in_a_key_or_in_a_table(sources: dict[str, str]) -> None:
    found = [kind for path, text in sources.items() if path.startswith(PACKAGE) for kind in kinds(text)]
    assert [problem for kind in found for problem in kind.missing()] == []
    by_name = {kind.name: kind for kind in found}
    # A table that names what is gone would let the next one of that name pass.
    stale = [
        f"{name}.{each}" for name, table in NOT_IN_KEY.items() for each in table if each not in by_name[name].attributes
    ]
    assert stale + [name for name in NO_KEY if name not in by_name] == []
    assert len([kind for kind in found if kind.in_key is not None]) > 10


PLANTED = """
class Queue:
    def __init__(self):
        self.waiting = []

    def take(self):
        self.given = self.waiting.pop()

    def state(self, now_ns):
        return tuple(self.waiting)
"""


def test_a_planted_attribute_is_caught() -> None:
    assert [problem for kind in kinds(PLANTED) for problem in kind.missing()] == ["Queue.given is not in its key"]
    without_key = PLANTED.replace("def state", "def shown")
    assert [problem for kind in kinds(without_key) for problem in kind.missing()] == [
        "Queue has changing attributes and no state()"
    ]
    assert [problem for kind in kinds(PLANTED.replace("self.given = ", "")) for problem in kind.missing()] == []


def test_an_attribute_planted_into_the_flasher_is_caught(sources: dict[str, str]) -> None:
    group = sources["bench/flasher/group.py"].replace(
        "self.quiet = False", "self.quiet = False\n        self.beats = 0"
    )
    assert [problem for kind in kinds(group) for problem in kind.missing()] == ["BusGroup.beats is not in its key"]
    state = sources["bench/flasher/flash_state.py"].replace(
        "    called_off: bool", "    hidden: int = 0\n    called_off: bool"
    )
    assert [problem for kind in kinds(state) for problem in kind.missing()] == ["FlashState.hidden is not in its key"]
