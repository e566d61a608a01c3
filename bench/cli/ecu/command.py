"""`otabench ecu`: a simulated ECU on a CAN adapter of this machine, or the ECUs of a vehicle."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import click

from bench.cli.ecu.can_option import DEFAULT_BITRATE_BIT_S, adapters
from bench.cli.ecu.describe import describe as show_description
from bench.cli.ecu.flow_control import flow_control_by_ecu
from bench.cli.ecu.listing import built_in, ecu_ids, list_all, list_ecus
from bench.cli.ecu.misbehave import orders_by_ecu, show_all, warnings
from bench.cli.ecu.output import print_json
from bench.cli.options import debug_only, find
from bench.cli.output import messages
from bench.core.errors import InputError, unwritable
from bench.core.realtime import run_on_clock
from bench.ports.can import ChannelSpec
from bench.serving.ecu_server import ServedEcu, ServedVehicle, load_vehicle, serve_ecus

LIST = "list"


@click.command(short_help="a simulated ECU on a CAN adapter")
@click.argument("vehicle", required=False)
@click.argument("ecu_id", metavar="[ECU]", required=False)
@click.option("--all", "serves_all", is_flag=True, help="Serve every ECU of VEHICLE, each channel on its adapter.")
@click.option(
    "--can",
    metavar="[CHANNEL=]KEY=VALUE,…",
    multiple=True,
    help="The adapter: interface, channel, and what its driver takes. With --all one for each channel.",
)
@click.option(
    "--bitrate",
    type=click.IntRange(10_000, 1_000_000),
    default=DEFAULT_BITRATE_BIT_S,
    show_default=True,
    help="Nominal bit rate in bit/s, where python-can sets it (socketcan: ip link does).",
)
@click.option("--data-bitrate", type=click.IntRange(10_000, 8_000_000), help="Of the data phase: makes it CAN FD.")
@click.option("--journal", type=click.Path(path_type=Path, dir_okay=False), help="Write what happens to this file.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Of all random bytes.")
@click.option(
    "--misbehave",
    metavar="WHAT[@WHEN]",
    multiple=True,
    help="What it does wrong: SERVICE:DO[=VALUE] of UDS, or NAME of ISO-TP. Repeatable; `list` prints all.",
)
@click.option(
    "--flow-control",
    metavar="[ECU/]BS,STMIN",
    multiple=True,
    help="What it asks of testers for long requests: block size and STmin as encoded (8,0xF5). Repeatable.",
)
@click.option("--list", "lists", is_flag=True, help="List the vehicle's ECUs; without VEHICLE all that is built in.")
@click.option(
    "--describe",
    metavar="[PERSONALITY]",
    is_flag=False,
    flag_value="",
    help="Describe a kind of ECU, or the ECU.",
)
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="With --describe: draw its memory map.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout.")
@debug_only
def ecu(
    vehicle: str | None,
    ecu_id: str | None,
    serves_all: bool,
    can: tuple[str, ...],
    bitrate: int,
    data_bitrate: int | None,
    journal: Path | None,
    seed: int,
    misbehave: tuple[str, ...],
    flow_control: tuple[str, ...],
    lists: bool,
    describe: str | None,
    svg: Path | None,
    as_json: bool,
) -> int:
    """Serve simulated ECUs of VEHICLE (a file, or the name of a built-in one) until Ctrl-C, in real time.

    Ends with 0 on Ctrl-C or SIGTERM.

    \b
    Examples:
      otabench ecu --list
      otabench ecu --describe head_unit --svg head_unit.svg
      otabench ecu two_ecu_car --list
      otabench ecu two_ecu_car body --describe
      otabench ecu two_ecu_car body --can interface=socketcan,channel=vcan0
      otabench ecu two_ecu_car gateway --can interface=udp_multicast,channel=239.74.163.2,hop_limit=0
      otabench ecu two_ecu_car --all --can interface=socketcan,channel=vcan0
      otabench ecu gateway_car --all --can can0=interface=socketcan,channel=vcan0 \\
          --can can1=interface=socketcan,channel=vcan1 --misbehave body/0x36:nrc=0x72@5
      otabench ecu two_ecu_car body --can interface=socketcan,channel=vcan0 --misbehave overflow@3
      otabench ecu two_ecu_car body --can interface=socketcan,channel=vcan0 --misbehave 0x31.01FF00:slow=above_p2_star@1
      otabench ecu two_ecu_car body --can interface=udp_multicast,channel=239.74.163.2 --flow-control 8,0xF5
      otabench ecu --misbehave list
    """
    if LIST in misbehave:
        return show_all(as_json=as_json)
    if describe is not None or svg is not None:
        return _describe(vehicle, ecu_id, describe, svg, as_json=as_json)
    if lists and vehicle is None:
        return list_all(as_json=as_json)
    if vehicle is None:
        raise InputError("VEHICLE is missing", allowed="a vehicle file or name", hint="otabench ecu --help")
    path = find("vehicles", vehicle)
    if lists:
        return list_ecus(load_vehicle(path), as_json=as_json)
    served = _served(path, vehicle, ecu_id, misbehave, flow_control, serves_all=serves_all)
    specs = adapters(served, can, bitrate, data_bitrate)
    for line in warnings(served):
        messages().print(line, markup=False, soft_wrap=True)

    def ready() -> None:
        _tell_ready(served, specs, serves_all=serves_all, as_json=as_json)

    with ExitStack() as opened:
        file = None if journal is None else _open(journal, opened)
        run_on_clock(lambda clock: serve_ecus(clock, served, specs, seed, file, ready, _tell_lost), virtual=False)
    messages().print("ended: nothing is left running", markup=False)
    return 0


def _served(
    path: Path,
    vehicle: str,
    ecu_id: str | None,
    misbehave: tuple[str, ...],
    flow_control: tuple[str, ...],
    *,
    serves_all: bool,
) -> ServedVehicle:
    """Return the ECUs that are meant, each with what it does wrong and asks of testers."""
    known = [entry.id for entry in load_vehicle(path).ecus]
    if ecu_id is None and not serves_all:
        allowed = f"ECUs of {vehicle}: {', '.join(known)}, or --all"
        raise InputError("ECU is missing", allowed=allowed, hint="otabench ecu --help")
    if ecu_id is not None and serves_all:
        raise InputError("one ECU and all of them", key="--all", found=ecu_id, allowed=f"--all, or {ecu_id} alone")
    chosen = known if ecu_id is None else [ecu_id]
    orders, asked = orders_by_ecu(misbehave, chosen), flow_control_by_ecu(flow_control, chosen)
    return ServedVehicle([ServedEcu(path, each, orders.get(each, ()), asked.get(each)) for each in chosen])


def _describe(vehicle: str | None, ecu_id: str | None, kind: str | None, svg: Path | None, *, as_json: bool) -> int:
    if kind is None:
        raise InputError("--svg without --describe", key="--svg", found=svg, allowed="--svg beside --describe")
    if kind and vehicle is not None:
        raise InputError(
            "a kind of ECU and a vehicle", key="--describe", found=f"{kind} and {vehicle}",
            allowed="--describe PERSONALITY, or VEHICLE ECU --describe",
        )  # fmt: skip
    if kind:
        return show_description(find("ecus", kind), {}, None, svg=svg, as_json=as_json)
    if vehicle is None or ecu_id is None:
        names = ", ".join(path.stem for path in built_in("ecus"))
        raise InputError(
            "nothing to describe is named", key="--describe", found="no name",
            allowed=f"a file, one of {names}, or VEHICLE ECU --describe", hint="otabench ecu --list",
        )  # fmt: skip
    served = ServedEcu(find("vehicles", vehicle), ecu_id)
    known = {"vehicle": served.vehicle.name, **ecu_ids(served.vehicle, served.entry)}
    return show_description(served.personality_path, known, served.network(), svg=svg, as_json=as_json)


def _open(journal: Path, opened: ExitStack) -> IO[bytes]:
    try:
        return opened.enter_context(journal.open("wb"))
    except OSError as error:
        hint = "name a file in a folder that exists"
        raise unwritable("the journal", str(journal), error, key="--journal", hint=hint) from None


def _tell_lost(channel: str, text: str) -> None:
    line = f"lost: {channel}: {text}; with --flow-control BS,STMIN testers send more slowly"
    messages().print(line, markup=False, soft_wrap=True)


def _tell_ready(served: ServedVehicle, specs: Sequence[ChannelSpec], *, serves_all: bool, as_json: bool) -> None:
    """Print a line for each ECU (or one object) that says that it listens."""
    by_channel = {spec.name: spec for spec in specs}
    ready = [(ecu, by_channel[ecu.entry.channel]) for ecu in served.ecus]
    if as_json:
        rows = [_ready_json(ecu, spec) for ecu, spec in ready]
        print_json({"vehicle": served.vehicle.name, **({"ecus": rows} if serves_all else rows[0])})
        return
    for ecu, spec in ready:
        entry = ecu.entry
        numbers = {name: value for name, value in ecu_ids(ecu.vehicle, entry).items() if isinstance(value, int)}
        ids = ", ".join(f"{name.removesuffix('_id')} 0x{value:X}" for name, value in numbers.items())
        wild = f", misbehaves: {', '.join(map(str, ecu.misbehave))}" if ecu.misbehave else ""
        where = f"{spec.interface} {spec.channel}"
        click.echo(f"ready: {entry.id} of {ecu.vehicle.name} on {where}, {ids}{wild}; Ctrl-C ends")


def _ready_json(ecu: ServedEcu, spec: ChannelSpec) -> dict[str, object]:
    adapter = {"interface": spec.interface, "adapter_channel": spec.channel, "fd": spec.fd}
    return {**ecu_ids(ecu.vehicle, ecu.entry), **adapter, "misbehave": [str(each) for each in ecu.misbehave]}
