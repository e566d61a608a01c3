"""Benches for the figures: the built-in files with other sizes and times, written to a folder of their own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.description.load import BenchFiles

Changes = Mapping[str, Any]
"""Keys with dots and their new values: `flash.program_us`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A built-in bench, the ECU that is flashed on it, and what is changed in that ECU's files."""

    bench: str
    ecu: str
    personality: Changes = field(default_factory=dict)
    recipe: Changes = field(default_factory=dict)


BODY = Setting(bench="sim_van", ecu="body")
HEAD_UNIT = Setting(bench="sim_fd", ecu="head_unit")
NO_FLASH_TIME = {"flash.program_us": 1, "flash.erase_ms": 1}


def large_body(size_bytes: int) -> Setting:
    """Return the body controller with a bank of `size_bytes`, its header slot moved out of the way."""
    slots = {"header_address": 0x0F00_0000, "mark_address": 0x0F40_0000}
    bank = {"name": "A", "linked_base": 0x1000_0000, "size_bytes": size_bytes}
    memory = {
        "memory.region_base": 0x1000_0000,
        "memory.region_size": size_bytes,
        "memory.header_address": slots["header_address"],
    }
    return Setting(bench="sim_van", ecu="body", personality={**slots, "banks": [bank]}, recipe=memory)


@contextmanager
def loaded(setting: Setting) -> Iterator[BenchFiles]:
    """Read the bench of a setting with its changes."""
    built_in = load_bench(data_root() / "benches" / f"{setting.bench}.toml")
    ecu = next(ecu for ecu in built_in.vehicle.ecus if ecu.id == setting.ecu)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        _copy(root, f"benches/{setting.bench}.toml", {})
        _copy(root, f"ecus/{ecu.personality}.toml", setting.personality)
        _copy(root, f"recipes/{ecu.recipe}.toml", setting.recipe)
        yield load_bench(root / "benches" / f"{setting.bench}.toml")


def _copy(root: Path, name: str, changes: Changes) -> None:
    values = tomllib.loads((data_root() / name).read_text(encoding="utf-8"))
    for key, value in changes.items():
        *folders, last = key.split(".")
        place = values
        for each in folders:
            place = place[each]
        place[last] = value
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
