"""`otabench ecu --describe`: a kind of ECU in words, as JSON, and its memory map as text and picture."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bench.cli.ecu_map import drawn, size_words
from bench.cli.ecu_output import print_json
from bench.cli.ecu_svg import memory_map_svg
from bench.cli.image.common import write_whole
from bench.cli.output import answers
from bench.rig.ecu_description import EcuDescription, Mode, Service, describe_ecu


def describe(path: Path, ids: Mapping[str, object], *, svg: Path | None, as_json: bool) -> int:
    """Describe the personality in `path`; `ids` are those of the ECU of a vehicle, if it was one that was named."""
    description = describe_ecu(path)
    if svg is not None:
        write_whole(svg, (memory_map_svg(description).encode(),))
    if as_json:
        print_json({**ids, "described": description.model_dump(mode="json"), "svg": None if svg is None else str(svg)})
        return 0
    _show(description, ids)
    if svg is not None:
        click.echo(f"\n{svg}: the memory map as a picture", err=True)
    return 0


def _show(description: EcuDescription, ids: Mapping[str, object]) -> None:
    console = answers()
    _head(console, f"{description.title} ({description.name}), {description.bus}")
    for name, value in ids.items():
        _line(console, name.replace("_", " "), f"0x{value:X}" if isinstance(value, int) else str(value))
    _head(console, "\nMemory map, linked addresses")
    for line in drawn(description, unicode=_speaks_unicode()):
        console.print(line, markup=False, soft_wrap=True)
    nvm = description.nvm
    _line(console, "NVM", f"records of {nvm.record_bytes} bytes, {nvm.record_us / 1000:g} ms each")
    for mode in description.modes:
        _show_mode(console, mode)
    _show_settings(console, description)


def _show_mode(console: Console, mode: Mode) -> None:
    _head(console, f"\n{mode.name.capitalize()}")
    sessions = (f"{session.value:02X} {session.name} (from {_from(session.sessions)})" for session in mode.sessions)
    _line(console, "sessions", ", ".join(sessions))
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("  service", "", "sessions", "security", "sub-functions"):
        table.add_column(name, no_wrap=name != "sub-functions")
    for service in mode.services:
        subs = ", ".join(f"{sub.value:02X} {sub.name}" for sub in service.sub_functions)
        table.add_row(
            f"  0x{service.sid:02X}", service.name, _sessions(service), "yes" if service.unlocked else "", subs
        )
    console.print(table)
    dids = (
        f"{did.did:04X} {did.title}{f' (written in {did.written_in})' if did.written_in else ''}" for did in mode.dids
    )
    _line(console, "DIDs", ", ".join(dids))
    _line(console, "routines", ", ".join(f"{each.routine_id:04X} {each.name}" for each in mode.routines))


def _sessions(service: Service) -> str:
    return _short(service.sessions) if service.served else f"{_short(service.sessions)}: never here"


def _short(names: Iterable[str]) -> str:
    return " ".join(name.split()[0] for name in names)


def _from(names: Iterable[str]) -> str:
    return ", ".join(names)


def _show_settings(console: Console, description: EcuDescription) -> None:
    _head(console, "\nTiming, transport and guard")
    sections: dict[str, Mapping[str, Any] | None] = {
        "boot": description.timing.boot, "UDS": description.timing.uds, "ISO-TP": description.isotp,
        "0x27": description.guard.security, "0x29": description.guard.authentication,
        "download": description.download, "transfer": description.transfer,
    }  # fmt: skip
    for name, values in sections.items():
        if values is not None:
            _line(console, name, ", ".join(f"{key} {value}" for key, value in values.items() if value is not None))
    _line(console, "resume", "yes" if description.resume else "no")
    _line(console, "DTCs", ", ".join(f"{dtc.code:06X} {dtc.name}" for dtc in description.dtcs))
    banks = (f"{bank.name} {size_words(bank.size_bytes)} at 0x{bank.linked_base:08X}" for bank in description.banks)
    _line(console, "banks", ", ".join(banks))


def _head(console: Console, text: str) -> None:
    console.print(text, style="bold", markup=False)


def _line(console: Console, name: str, value: str) -> None:
    console.print(f"  {name:<14}{value}", markup=False, soft_wrap=True)


def _speaks_unicode() -> bool:
    """Return whether standard output can carry lines of boxes."""
    try:
        "┌│⋮".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
