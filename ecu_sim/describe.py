"""A kind of ECU described as plain values: the entry point `otabench.ecu`, so that a bench can show and use it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.config import FileModel
from bench.core.clock import NS_PER_MS, NS_PER_US
from ecu_sim.memory.nvm import RECORD_BYTES
from ecu_sim.personality.personality import Personality, load_personality
from ecu_sim.personality.region import FlashRegion
from ecu_sim.uds.description import described


def describe(path: Path) -> dict[str, Any]:
    """Return what the personality file says and what its ECU's tables hold (`bench.description.ecu_description`).

    `InputError` names what is wrong in the file.
    """
    personality = load_personality(path)
    server = asdict(described(personality))
    return {
        "name": personality.name,
        "title": personality.title,
        "header_address": personality.header_address,
        "mark_address": personality.mark_address,
        "banks": [bank.model_dump() for bank in personality.banks],
        "regions": [_region(region) for region in personality.regions()],
        "nvm": {"record_bytes": RECORD_BYTES, "record_us": personality.nvm.record_us},
        "bus": "CAN FD" if personality.isotp.fd else "classic CAN",
        "modes": server["modes"],
        "dtcs": [{"code": code, "name": name} for code, name in server["dtcs"]],
        "timing": {"boot": personality.boot.model_dump(), "uds": personality.uds.model_dump()},
        "isotp": personality.isotp.model_dump(mode="json"),
        "guard": _guard(personality),
        "download": personality.download.model_dump(mode="json"),
        "transfer": personality.transfer.model_dump(mode="json"),
        "resume": personality.resume,
        "preconditions": personality.preconditions.model_dump(exclude_none=True),
        "supply": personality.supply.model_dump(),
        "watchdog": personality.watchdog.model_dump(),
        "staging": _section(personality.staging),
        "bootloader_update": _section(personality.bootloader_update),
        "user_data": _section(personality.user_data),
    }


def _region(region: FlashRegion) -> dict[str, Any]:
    return {
        "name": region.name,
        "base_address": region.base_address,
        "size_bytes": region.size_bytes,
        "unit_bytes": region.unit_bytes,
        "program_us": region.program_ns // NS_PER_US,
        "sectors": [
            {"count": run.count, "size_bytes": run.size_bytes, "erase_ms": run.erase_ns // NS_PER_MS}
            for run in region.runs
        ],
        "protected": region.protected,
    }


def _guard(personality: Personality) -> dict[str, Any]:
    """Return what stands before programming: SecurityAccess, Authentication, or both."""
    return {
        "security": _section(personality.security),
        "authentication": _section(personality.authentication),
    }


def _section(section: FileModel | None) -> dict[str, Any] | None:
    """Return an optional section of the file."""
    return None if section is None else section.model_dump(mode="json")
