"""`otabench ecu`: the list, wrong usage, a missing adapter. Serving is tested with two processes (tests/interop)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.cli.ecu.misbehave import warnings
from bench.config import data_root
from bench.serving.ecu_server import ServedEcu, ServedVehicle
from bench.wire.ecu_misbehave import KINDS, parse
from bench.wire.isotp_misbehave import INJECTORS

Cli = Callable[..., Any]
VIRTUAL = "interface=virtual,channel=x"


def test_list_shows_every_ecu_with_its_identifiers(otabench: Cli) -> None:
    ended = otabench("ecu", "two_ecu_car", "--list", "--json")
    assert ended.code == 0
    assert ended.json["vehicle"] == "two_ecu_car"
    rows = [(row["ecu"], row["request_id"], row["response_id"], row["functional_id"]) for row in ended.json["ecus"]]
    assert rows == [("body", 0x7A0, 0x7A8, 0x7DF), ("gateway", 0x7A1, 0x7A9, 0x7DF)]
    assert "0x7A9" in otabench("ecu", "two_ecu_car", "--list").out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["two_ecu_car"], 2, ("ECU is missing", "body, gateway")),
        (["two_ecu_car", "body"], 2, ("--can is missing",)),
        (
            ["two_ecu_car", "door", "--can", VIRTUAL],
            2,
            ("no such ECU", "door", "body, gateway", "name one of these ECUs"),
        ),
        (["no_such_car", "--list"], 2, ("no such vehicle", "two_ecu_car")),
        (["two_ecu_car", "body", "--can", "socketcan"], 2, ("KEY=VALUE", "interface=socketcan,channel=vcan0")),
        (["two_ecu_car", "body", "--can", "interface=virtual"], 2, ("lacks channel",)),
        (["two_ecu_car", "body", "--can", f"{VIRTUAL},channel=y"], 2, ("names a key twice",)),
        (["two_ecu_car", "body", "--can", "interface=warp,channel=x"], 2, ("warp", "socketcan")),
        (["two_ecu_car", "body", "--can", VIRTUAL, "--data-bitrate", "10000"], 2, ("--data-bitrate", "500000")),
        (["two_ecu_car", "body", "--can", VIRTUAL, "--journal", "none/x"], 2, ("--journal", "none/x")),
        ([], 2, ("VEHICLE is missing", "--help")),
        (["two_ecu_car", "body", "--all", "--can", VIRTUAL], 2, ("--all", "body")),
        (["two_ecu_car", "--all"], 2, ("--can is missing", "none")),
        (["two_ecu_car", "--all", "--can", VIRTUAL, "--can", VIRTUAL], 2, ("two adapters for can0",)),
        (["two_bus_car", "--all", "--can", VIRTUAL], 2, ("names no channel", "can0=interface", "can1=interface")),
        (["two_bus_car", "--all", "--can", f"can0={VIRTUAL}"], 2, ("--can is missing", "none for can1")),
        (
            ["two_ecu_car", "--all", "--can", VIRTUAL, "--misbehave", "overflow"],
            2,
            ("which ECU", "body/overflow or gateway/overflow"),
        ),
        (["two_ecu_car", "--all", "--can", VIRTUAL, "--misbehave", "door/overflow"], 2, ("no such ECU", "gateway/")),
        (["two_ecu_car", "body", "--can", VIRTUAL, "--flow-control", "8"], 2, ("--flow-control", "BS,STMIN")),
        (["two_ecu_car", "body", "--can", VIRTUAL, "--flow-control", "256,0"], 2, ("--flow-control", "256,0", "byte")),
        (["two_ecu_car", "body", "--can", VIRTUAL, "--flow-control", "door/8,0"], 2, ("no such ECU", "body/")),
        (["two_ecu_car", "body", "--can", VIRTUAL, "--misbehave", "0x36:warp"], 2, ("0x36:warp", "lost_answer")),
        (
            ["two_ecu_car", "body", "--can", VIRTUAL, "--misbehave", "0x36:nrc@5"],
            2,
            ("nrc needs a value", "0x36:nrc@5", "0x01 to 0xFF"),
        ),
        (["two_ecu_car", "body", "--can", VIRTUAL, "--misbehave", "0x36"], 2, (":DO is missing", "0x36:DO", "silent")),
        (
            ["two_ecu_car", "body", "--can", VIRTUAL, "--misbehave", "0x36.ZZ:silent"],
            2,
            (".HEX is wrong: 'ZZ'", "0x22.F190"),
        ),
        (
            ["two_ecu_car", "body", "--can", VIRTUAL, "--misbehave", "overflow@x"],
            2,
            ("when it strikes is not readable: @x", "@everyK"),
        ),
        (["two_ecu_car", "body", "--can", VIRTUAL, "--misbehave", "36:silent"], 2, ("36:silent", "SERVICE[.HEX]:DO")),
        (["two_ecu_car", "body", "--can", VIRTUAL, "--misbehave", "warp"], 2, ("--misbehave", "warp", "wait_for_ever")),
        (["two_ecu_car", "body", "--can", VIRTUAL, "--misbehave", "overflow@0"], 2, ("overflow@0", "@N..M")),
        (["two_ecu_car", "body", "--can", "interface=slcan,channel=/dev/none"], 3, ("can0", "slcan", "doctor")),
        (
            ["two_ecu_car", "body", "--can", "interface=socketcan,channel=vcan77"],
            3,
            ("key     --can", "found   ", "allowed ", "ip link add dev vcan77 type vcan", "doctor"),
        ),
        (["two_ecu_car", "body", "--can", "interface=pcan,channel=PCAN_NONE"], 3, ("key     --can", "driver for pcan")),
    ],
)
def test_wrong_usage_is_refused_and_a_missing_adapter_is_an_equipment_error(
    otabench: Cli, arguments: list[str], code: int, words: tuple[str, ...]
) -> None:
    ended = otabench("ecu", *arguments)
    assert ended.code == code, ended.err
    assert (ended.out, "Traceback" in ended.err) == ("", False)
    for word in words:
        assert word in ended.err


def test_order_for_a_service_that_the_ecu_lacks_is_warned_about() -> None:
    path = data_root() / "vehicles" / "two_ecu_car.toml"
    orders = (parse("0x99:nrc=0x72"), parse("0x36:silent"), parse("any:silent"))
    warned = warnings(ServedVehicle([ServedEcu(path, "body", orders)]))
    assert [("body" in line, "0x99:nrc=0x72" in line) for line in warned] == [(True, True)]


def test_misbehave_list_shows_every_injector_with_what_the_tester_ends_in(otabench: Cli) -> None:
    ended = otabench("ecu", "--misbehave", "list", "--json")
    ends = {row["name"]: row["tester_ends_in"] for row in ended.json["misbehave"]}
    assert (ended.code, list(ends)) == (0, list(INJECTORS))
    assert (ends["overflow"], ends["late_flow_control"]) == ("N_BUFFER_OVFLW", "N_TIMEOUT_Bs")
    kinds = ended.json["ecu_misbehave"]
    assert [each["name"] for each in kinds] == list(KINDS)
    assert all(each["value"] and each["does"] and each["tester_sees"] for each in kinds)
    shown = otabench("ecu", "--misbehave", "list").out
    assert all(name in shown for name in (*INJECTORS, *KINDS))
    assert "@everyK" in shown


def test_doctor_says_which_transports_work_and_how_exactly_gaps_are_kept(otabench: Cli) -> None:
    checks = {check["name"]: check for check in otabench("doctor", "--json").json["checks"]}
    assert "own, can-isotp" in checks["ISO-TP transports"]["found"]
    assert checks["CAN drivers"]["found"].startswith("sim, python-can")
    assert checks["gaps below 1 ms"]["found"].startswith("writer thread: asked 300 us, got ")
