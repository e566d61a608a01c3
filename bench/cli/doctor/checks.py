"""What `otabench doctor` finds: one value per finding."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: `ok`, `missing` (something optional) or `wrong` (otabench cannot work)."""

    name: str
    state: str
    found: str
    advice: str = ""
