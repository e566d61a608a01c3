"""What later behaviour depends on, as plain values: two runs whose values are equal go on equally.

A part gives its own by `state(now_ns)` (by `continuing(now_ns)` where `state` is a word of its trade): numbers, texts,
bytes and tuples of them, instants as what is left of them. A coroutine that waits adds where it waits and its locals
(`suspended`), the clock what is due and in which order (`schedule`). Of an object that is no value only its kind is
named: it gives its state where it belongs.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from types import FrameType
from typing import Any, Protocol

from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation

State = tuple[object, ...]
OBJECT = "object"
"""Marks what is no value; its kind follows."""
_ATOMS = (int, float, str, bytes, type(None))
_OF_THE_LOOP = ("asyncio.", "bench.core.loop", "bench.core.node")
"""Coroutines of these modules wait and nothing else: what they wait for stands in the schedule."""


class Stated(Protocol):
    """A part that gives its state."""

    def state(self, now_ns: int, /) -> State:
        """Return what later behaviour depends on, instants as what is left of them."""
        ...


def left_ns(due_ns: int | None, now_ns: int) -> int | None:
    """Return how long it is until an instant; None when there is none."""
    return None if due_ns is None else due_ns - now_ns


def plain(value: object, now_ns: int) -> object:
    """Return a value as atoms and tuples of them; a part that gives its state counts as that."""
    if isinstance(value, Enum):
        return (type(value).__name__, value.name)
    if isinstance(value, _ATOMS):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    state = getattr(value, "state", None)
    if callable(state) and getattr(getattr(state, "__code__", None), "co_varnames", ())[1:2] == ("now_ns",):
        return (type(value).__name__, state(now_ns))
    return _collected(value, now_ns)


def _collected(value: object, now_ns: int) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return (type(value).__name__, *(plain(getattr(value, each.name), now_ns) for each in fields(value)))
    if isinstance(value, Mapping):
        return tuple((plain(key, now_ns), plain(item, now_ns)) for key, item in value.items())
    if isinstance(value, Set):
        return tuple(sorted((plain(item, now_ns) for item in value), key=repr))
    if isinstance(value, tuple | list | deque | range):
        return tuple(plain(item, now_ns) for item in value)
    if callable(value):
        return called(value, now_ns)
    if inspect.isgenerator(value):
        return _frame(value.gi_frame, now_ns)
    return (OBJECT, type(value).__name__)


def called(callback: Callable[..., object], now_ns: int) -> State:
    """Return what a callback is: its name, and the values that it carries along."""
    if isinstance(callback, partial):
        return (*called(callback.func, now_ns), plain(callback.args, now_ns))
    owner = getattr(callback, "__self__", None)
    name = getattr(callback, "__qualname__", type(callback).__name__)
    if owner is not None:
        return (type(owner).__name__, name)
    code, cells = getattr(callback, "__code__", None), getattr(callback, "__closure__", None)
    if code is None or cells is None:
        return (name,)
    # `self` is who holds the callback: its state is being given.
    carried = zip(code.co_freevars, cells, strict=True)
    return (name, *(plain(cell.cell_contents, now_ns) for free, cell in carried if free != "self"))


# What waits -------------------------------------------------------------------------------------------


def suspended(tasks: Sequence[asyncio.Task[Any]], now_ns: int) -> State:
    """Return of each task that is not done its name and, from the outermost coroutine to the innermost, where it waits
    and what it holds."""
    return tuple((task.get_name(), *_chain(task.get_coro(), now_ns)) for task in tasks if not task.done())


def _chain(coroutine: Any, now_ns: int) -> Iterator[object]:
    while coroutine is not None and inspect.iscoroutine(coroutine):
        yield _frame(coroutine.cr_frame, now_ns)
        coroutine = coroutine.cr_await


def _frame(frame: FrameType | None, now_ns: int) -> State:
    if frame is None:
        return ()
    here = (frame.f_code.co_qualname, frame.f_lasti)
    if str(frame.f_globals.get("__name__", "")).startswith(_OF_THE_LOOP):
        return here
    held = ((name, plain(value, now_ns)) for name, value in sorted(frame.f_locals.items()) if name != "self")
    return (*here, *held)


# What is due ------------------------------------------------------------------------------------------


def schedule(loop: VirtualLoop, parts: Collection[str], now_ns: int) -> State:
    """Return what is due for some parts, in the order in which it will come: how long until then, whose, and what.

    A bare callback belongs to the part that its owner names as `part`. What will do nothing when it comes is left out.
    """
    waiters = {id(getattr(task, "_fut_waiter", None)): task for task in asyncio.all_tasks(loop)}
    found: list[object] = []
    for due_ns, callback, args in loop.scheduled():
        part, what = _whose(loop, callback, args, waiters, now_ns)
        if part in parts:
            found.append((max(0, due_ns - now_ns), part, what))
    return tuple(found)


def _whose(
    loop: VirtualLoop,
    callback: Callable[..., object],
    args: Sequence[object],
    waiters: Mapping[int, asyncio.Task[Any]],
    now_ns: int,
) -> tuple[str | None, object]:
    owner: object = getattr(callback, "__self__", None)
    if isinstance(owner, Incarnation) and len(args) == 2 and callable(args[0]):
        if not owner.alive:
            return None, ()
        return (owner.part, _named(args[0], now_ns)) if _acts(args[0]) else (None, ())
    task = owner if isinstance(owner, asyncio.Task) else waiters.get(id(args[0])) if args else None
    if task is not None:
        life = loop.owner(task)
        alive = life is None or life.alive
        return (task.get_name().split(".")[0], task.get_name()) if alive else (None, ())
    return getattr(owner, "part", None), _named(callback, now_ns)


def _acts(callback: Callable[..., object]) -> bool:
    """Return whether a timer does something: a deadline that was cleared does not."""
    owner = getattr(callback, "__self__", None)
    return getattr(owner, "pending", True) is True


def _named(callback: Callable[..., object], now_ns: int) -> object:
    """Return the callback and which of several equal parts it belongs to (its `label`)."""
    owner = getattr(callback, "__self__", None)
    return (called(callback, now_ns), getattr(owner, "label", ""))


_SPELLED = frozenset((int, str, bool, float, type(None)))


# Its bytes --------------------------------------------------------------------------------------------


def state_bytes(state: object) -> bytes:
    """Return the canonical bytes of a state; TypeError for what is no plain value."""
    words: list[str] = []
    _spell(state, words)
    return "\n".join(words).encode()


def _spell(value: object, words: list[str]) -> None:
    if isinstance(value, tuple):
        words.append("(")
        for item in value:
            _spell(item, words)
        words.append(")")
    elif isinstance(value, bytes):
        words.append(f"b{value.hex()}")
    elif type(value) in _SPELLED:
        words.append(repr(value))
    else:
        raise TypeError(f"{type(value).__name__} is no plain value, so that a state which holds it has no key")


def state_sha256(state: object) -> str:
    """Return the key of a state: 64 hexadecimal digits."""
    return hashlib.sha256(state_bytes(state)).hexdigest()
