"""Asks whoever simulates a kind of ECU what it is and offers (entry point `otabench.ecu`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.assembly.plugs import plug_in
from bench.description.ecu_description import EcuDescription

Describe = Callable[[Path], dict[str, Any]]
"""Reads a personality file; returns what `EcuDescription` holds. InputError names what is wrong in the file."""
KEPT = 32
"""How many kinds of ECU are kept: more than a vehicle has."""


def describe_ecu(path: Path) -> EcuDescription:
    """Read a personality file with whoever simulates it; the same bytes are described once."""
    return _described(plug_in("otabench.ecu", "sim"), path, path.read_bytes() if path.is_file() else b"")


@lru_cache(maxsize=KEPT)
def _described(describe: Describe, path: Path, _content: bytes) -> EcuDescription:
    return EcuDescription.model_validate(describe(path))
