"""Put a changed function in the place of the one that runs, so that nothing needs to be loaded again.

A change inside a function shows in that function's code object alone; whoever holds the function runs the new code.
A change of what runs at import (a constant, a default, a class body) has no such place: it needs a load of its own.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import cache
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType

from .changes import Mutant

Places = dict[tuple[str, str, int], list[FunctionType]]
"""Functions by file, qualified name and first line; equal ones may exist more than once."""


def loaded_functions(root: str) -> Places:
    """Return every function whose code is in a file below `root`."""
    found: Places = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(root):
            code = each.__code__
            file = str(Path(code.co_filename).relative_to(Path.cwd()))
            found.setdefault((file, code.co_qualname, code.co_firstlineno), []).append(each)
    return found


def replacements(mutant: Mutant, places: Places) -> list[tuple[FunctionType, CodeType]] | None:
    """Return which functions get which code; None when more than code of loaded functions changes."""
    path = str(Path(mutant.file).resolve())
    pairs = _changed(_unchanged(path), compile(mutant.source(), path, "exec", dont_inherit=True))
    if pairs is None:
        return None
    found = []
    for old, new in pairs:
        functions = places.get((mutant.file, old.co_qualname, old.co_firstlineno), [])
        if not functions or any(each.__code__.co_freevars != new.co_freevars for each in functions):
            return None
        found += [(function, new) for function in functions]
    return found


@cache
def _unchanged(path: str) -> CodeType:
    code: CodeType = compile(Path(path).read_text(encoding="utf-8"), path, "exec", dont_inherit=True)
    return code


def _changed(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    """Return the outermost functions that differ in two codes of a module or class; None when it differs itself."""
    if _own(old) != _own(new):
        return None
    found = []
    for before, after in zip(_inner(old), _inner(new), strict=True):
        if before.co_flags & CO_OPTIMIZED:
            found += [(before, after)] if _all(before) != _all(after) else []
            continue
        inside = _changed(before, after)
        if inside is None:
            return None
        found += inside
    return found


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _own(code: CodeType) -> tuple[object, ...]:
    """Return what a code does by itself; where its lines are does not count."""
    constants = [None if isinstance(each, CodeType) else (type(each), repr(each)) for each in code.co_consts]
    return (
        code.co_name, code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
        code.co_flags, code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_exceptiontable,
    )  # fmt: skip


def _all(code: CodeType) -> tuple[object, ...]:
    return _own(code), [_all(each) for each in _inner(code)]


def called_names(qualified: str) -> Iterator[str]:
    """Yield a function's name as explanations write it, then those around it."""
    name = qualified.replace(".<locals>", "")
    while name:
        yield name
        name = name.rpartition(".")[0]
