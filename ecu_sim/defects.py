"""Planted defects of simulated ECUs: boot managers that leave out a check (`docs/contracts.md`, Planted defects)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bench.core.defects import Defect
from ecu_sim.boot import manager


def _accept(*_arguments: object) -> bool:
    """Stand for a check that always says yes."""
    return True


@contextmanager
def _without(*checks: str) -> Iterator[None]:
    """Take checks out of `ecu_sim.boot`, and put them back."""
    genuine = {name: getattr(manager, name) for name in checks}
    try:
        for name in genuine:
            setattr(manager, name, _accept)
        yield
    finally:
        for name, check in genuine.items():
            setattr(manager, name, check)


DEFECTS: list[Defect] = [
    Defect(
        id="ecu-boot-no-verification",
        title="the boot manager verifies neither hash nor signature",
        part="bootloader",
        breaks="authentic",
        apply=partial(_without, "signature_ok", "hash_ok"),
    ),
    Defect(
        id="ecu-boot-no-signature",
        title="the boot manager does not verify the signature",
        part="bootloader",
        breaks="authentic",
        apply=partial(_without, "signature_ok"),
    ),
    Defect(
        id="ecu-boot-no-hardware-check",
        title="the boot manager does not compare the hardware id",
        part="bootloader",
        breaks="authentic",
        apply=partial(_without, "hardware_ok"),
    ),
]
