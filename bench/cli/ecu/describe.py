"""`otabench ecu --describe`: a kind of ECU in words, as JSON, and its memory map as text and picture."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bench.assembly.describe_ecu import describe_ecu
from bench.cli.ecu.output import print_json
from bench.cli.ecu.settings import settings
from bench.cli.image.common import write_whole
from bench.cli.output import answers
from bench.description.ecu_description import EcuDescription, Mode, Service, SubFunction
from bench.serving.memory_map import drawn, size_words
from bench.serving.memory_map_svg import memory_map_svg

LINE_LETTERS = 100


def describe(
    path: Path, ids: Mapping[str, object], network: Mapping[str, Any] | None, *, svg: Path | None, as_json: bool
) -> int:
    """Describe the personality in `path`.

    `ids` and `network` (frames, partners, routes, management) are those of the ECU of a vehicle, if one was named.
    """
    description = describe_ecu(path)
    if svg is not None:
        write_whole(svg, (memory_map_svg(description).encode(),), option="--svg")
    if as_json:
        more = {} if network is None else {"network": network}
        described = description.model_dump(mode="json")
        print_json({**ids, "described": described, **more, "svg": None if svg is None else str(svg)})
        return 0
    _show(description, ids, network)
    if svg is not None:
        click.echo(f"\n{svg}: the memory map as a picture", err=True)
    return 0


def _show(description: EcuDescription, ids: Mapping[str, object], network: Mapping[str, Any] | None) -> None:
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
    if network is not None:
        _show_network(console, network)


def _show_mode(console: Console, mode: Mode) -> None:
    _head(console, f"\n{mode.name.capitalize()}")
    for number, session in enumerate(mode.sessions):
        text = f"{session.value:02X} {session.name} (from {', '.join(session.sessions)})"
        _line(console, "" if number else "sessions", text)
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("  service", "", "sessions", "security", "sub-functions"):
        table.add_column(name, no_wrap=name != "sub-functions")
    for service in mode.services:
        subs = ", ".join(_sub_function(sub, service) for sub in service.sub_functions)
        table.add_row(
            f"  0x{service.sid:02X}", service.name, _sessions(service), "yes" if service.unlocked else "", subs
        )
    console.print(table)
    for number, did in enumerate(mode.dids):
        written = f" (written in {did.written_in})" if did.written_in else ""
        _line(console, "" if number else "DIDs", f"{did.did:04X} {did.title}{written}")
    _list(console, "routines", [f"{each.routine_id:04X} {each.name}" for each in mode.routines])


def _sub_function(sub: SubFunction, service: Service) -> str:
    never = service.served and not set(sub.sessions) & set(service.sessions)
    return f"{sub.value:02X} {sub.name}{' (never here)' if never else ''}"


def _sessions(service: Service) -> str:
    return _short(service.sessions) if service.served else f"{_short(service.sessions)}: never here"


def _short(names: Iterable[str]) -> str:
    return " ".join(name.split()[0] for name in names)


def _show_settings(console: Console, description: EcuDescription) -> None:
    _head(console, "\nTiming, transport and guard")
    sections: dict[str, Mapping[str, Any] | None] = {
        "boot": description.timing.boot, "UDS": description.timing.uds, "ISO-TP": description.isotp,
        "0x27": description.guard.security, "0x29": description.guard.authentication,
        "download": description.download, "transfer": description.transfer,
    }  # fmt: skip
    for name, values in sections.items():
        if values is not None:
            _list(console, name, settings(values))
    _line(console, "resume", "yes" if description.resume else "no")
    _list(console, "DTCs", [f"{dtc.code:06X} {dtc.name}" for dtc in description.dtcs])
    banks = [f"{bank.name} {size_words(bank.size_bytes)} at 0x{bank.linked_base:08X}" for bank in description.banks]
    _list(console, "banks", banks)
    _head(console, "\nSupply, watchdog and what it demands")
    _list(console, "supply", settings(description.supply))
    _list(console, "watchdog", settings(description.watchdog))
    _list(console, "preconditions", settings(description.preconditions) or ["none"])
    parts = (description.staging, description.bootloader_update, description.user_data)
    for name, values in zip(("staging", "boot update", "user data"), parts, strict=True):
        _list(console, name, ["none"] if values is None else settings(values))


def _show_network(console: Console, network: Mapping[str, Any]) -> None:
    """Print what the vehicle file says of the ECU on its buses."""
    _head(console, "\nIn this vehicle")
    for name, values in network.items():
        rows = [values] if isinstance(values, Mapping) else values or []
        for number, row in enumerate(rows):
            given = {key: value for key, value in row.items() if value is not False}
            _list(console, "" if number else name, settings(given))
        if not rows:
            _line(console, name, "none")


def _head(console: Console, text: str) -> None:
    console.print(text, style="bold", markup=False)


def _line(console: Console, name: str, value: str) -> None:
    console.print(f"  {name:<14}{value}", markup=False, soft_wrap=True)


def _list(console: Console, name: str, values: Sequence[str]) -> None:
    """Print values behind their name, wrapped between two of them."""
    line = ""
    for value in values:
        if line and len(line) + len(value) > LINE_LETTERS:
            _line(console, name, f"{line},")
            name, line = "", value
        else:
            line = f"{line}, {value}" if line else value
    _line(console, name, line)


def _speaks_unicode() -> bool:
    """Return whether standard output can carry lines of boxes."""
    try:
        "┌│⋮".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
