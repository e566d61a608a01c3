"""Planted defects: small named patches that the oracle must catch (`docs/contracts.md`, Planted defects)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """One wrong behaviour of a part, planted on purpose.

    `breaks` is the id of the invariant that must fail; `apply()` returns a context manager that is active
    while the run is built and executed.
    """

    id: str
    title: str
    part: str
    breaks: str
    apply: Callable[[], AbstractContextManager[object]]
