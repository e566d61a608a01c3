"""`otabench ecu --list`: the kinds of ECU and vehicles that are built in, or the ECUs of one vehicle."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.table import Table

from bench.assembly.describe_ecu import describe_ecu
from bench.cli.ecu.output import print_json
from bench.cli.output import answers
from bench.config import data_root
from bench.description.ecu_description import EcuDescription
from bench.description.ecu_entry import EcuEntry
from bench.description.vehicle_file import VehicleFile
from bench.serving.ecu_server import load_vehicle
from bench.serving.memory_map import size_words


def built_in(kind: str) -> list[Path]:
    """Return the files that come with otabench: `ecus` or `vehicles`."""
    return sorted((data_root() / kind).glob("*.toml"))


def ecu_ids(vehicle: VehicleFile, entry: EcuEntry) -> dict[str, object]:
    """Return ECU of docs/contracts.md."""
    address = entry.address()
    return {
        "ecu": entry.id,
        "personality": entry.personality,
        "recipe": entry.recipe,
        "channel": entry.channel,
        "addressing": entry.addressing.value,
        "request_id": address.tx_id,
        "response_id": address.rx_id,
        "functional_id": vehicle.functional_address(entry.channel).tx_id,
    }


def list_ecus(vehicle: VehicleFile, *, as_json: bool) -> int:
    """Print the ECUs of a vehicle."""
    rows = [ecu_ids(vehicle, entry) for entry in vehicle.ecus]
    if as_json:
        print_json({"vehicle": vehicle.name, "ecus": rows})
        return 0
    names = ("ECU", "personality", "recipe", "channel", "addressing", "request", "response", "functional")
    values = ([_cell(value) for value in row.values()] for row in rows)
    _print_table(names, values)
    return 0


def _cell(value: object) -> str:
    return "-" if value is None else f"0x{value:X}" if isinstance(value, int) else str(value)


def list_all(*, as_json: bool) -> int:
    """Print every kind of ECU and every vehicle that is built in."""
    kinds = [describe_ecu(path) for path in built_in("ecus")]
    vehicles = [load_vehicle(path) for path in built_in("vehicles")]
    if as_json:
        print_json(
            {
                "personalities": [_kind(each) for each in kinds],
                "vehicles": [
                    {"vehicle": each.name, "vin": each.vin, "ecus": [ecu_ids(each, entry) for entry in each.ecus]}
                    for each in vehicles
                ],
            }
        )
        return 0
    _print_table(("personality", "title", "banks", "bus", "sessions"), (_kind_row(each) for each in kinds))
    rows = (
        [each.name, f"{each.manufacturer} {each.model}", ", ".join(f"{e.id} ({e.personality})" for e in each.ecus)]
        for each in vehicles
    )
    _print_table(("vehicle", "model", "ECUs"), rows)
    return 0


def _kind(each: EcuDescription) -> dict[str, object]:
    return {
        "name": each.name,
        "title": each.title,
        "banks": [bank.model_dump() for bank in each.banks],
        "flash_bytes": sum(region.size_bytes for region in each.regions),
        "sessions": list(each.session_names),
        "bus": each.bus,
    }


def _kind_row(each: EcuDescription) -> list[str]:
    banks = ", ".join(f"{bank.name} {size_words(bank.size_bytes)}" for bank in each.banks)
    return [each.name, each.title, banks, each.bus, ", ".join(each.session_names)]


def _print_table(names: tuple[str, ...], rows: Iterable[list[str]]) -> None:
    table = Table(header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=name not in ("title", "ECUs", "sessions"))
    for row in rows:
        table.add_row(*row)
    answers().print(table)
