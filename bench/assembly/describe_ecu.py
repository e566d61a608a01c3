"""Asks whoever simulates a kind of ECU what it is and offers (entry point `otabench.ecu`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.assembly.plugs import plug_in
from bench.description.ecu_description import EcuDescription

Describe = Callable[[Path], dict[str, Any]]
"""Reads a personality file; returns what `EcuDescription` holds. InputError names what is wrong in the file."""


def describe_ecu(path: Path) -> EcuDescription:
    """Read a personality file with whoever simulates it."""
    describe: Describe = plug_in("otabench.ecu", "sim")
    return EcuDescription.model_validate(describe(path))
