"""Data identifiers: 0x22 and 0x2E, by service and condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.config import data_root
from bench.core.errors import InputError
from ecu_sim.personality.personality import load_personality

Drive = Callable[..., Any]


async def read(car: Any, did: int) -> bytes:
    """Return the value of one identifier."""
    answer: bytes = await car.good(b"\x22" + did.to_bytes(2, "big"))
    return answer[3:]


def test_0x22_tells_what_the_standard_names_for_a_running_application(drive: Drive) -> None:
    async def story(car: Any) -> None:
        told = car.rules.identification
        expected = {
            0xF180: b"\x01OTABENCH-BOOT-1.0", 0xF181: b"\x01APP 1.0.0", 0xF184: bytes(10), 0xF15A: bytes(10),
            0xF186: b"\x01", 0xF187: told.part_number.encode(), 0xF188: b"APP", 0xF189: b"1.0.0",
            0xF18A: told.supplier.encode(), 0xF18B: bytes.fromhex("20290614"), 0xF190: b"ZZZ00TABENCH00001",
            0xF191: b"BCM-HW-03", 0xF193: told.hardware_version.encode(),
            0xF194: told.supplier_software_number.encode(), 0xF195: told.supplier_software_version.encode(),
            0xF1EF: told.rxswin.encode(),
        }  # fmt: skip
        for did, value in expected.items():
            assert await read(car, did) == value, f"{did:04X}"
        assert (await read(car, 0xF18C)).startswith(b"SN")

    drive(story)


def test_0x22_of_the_bootloader_lacks_what_only_an_application_has(drive: Drive) -> None:
    async def story(car: Any) -> None:
        for did in (0xF181, 0xF188, 0xF189, 0xF194, 0xF195, 0xF1EF, 0x0200):
            assert await car.ask(b"\x22" + did.to_bytes(2, "big")) == bytes.fromhex("7F2231"), f"{did:04X}"
        assert await read(car, 0xF187) == car.rules.identification.part_number.encode()

    drive(story, installed=False)


@pytest.mark.parametrize("session", [None, "1003"])
def test_rxswin_is_answered_to_a_functional_request_without_session_and_security(
    drive: Drive, session: str | None
) -> None:
    async def story(car: Any) -> None:
        if session:
            await car.good(session)
        (answer,) = await car.tester.tell_all(bytes.fromhex("22F1EF"), 300)
        assert answer[3:] == car.rules.identification.rxswin.encode()
        assert await car.tester.tell_all(bytes.fromhex("22F1EE")) == []

    drive(story)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.9.9", "R48 0001"),
        ("2.0.0", "R48 0002"),
        ("2.10.0", "R48 0003"),
        ("2.1.0", "R48 0002"),
        ("20.0.0", "R48 0001"),
    ],
)
def test_rxswin_follows_the_running_software_by_the_longest_beginning_of_its_version(
    drive: Drive, changed_ecus: Any, version: str, told: str
) -> None:
    async def story(car: Any) -> None:
        assert await read(car, 0xF1EF) == b"R48 0001", "version 1.0.0"
        await car.flash(car.image(version))
        assert await read(car, 0xF189) == version.encode()
        assert await read(car, 0xF1EF) == told.encode()

    table = 'rxswin_by_version = { "2" = "R48 0002", "2.10" = "R48 0003" }'
    text = (data_root() / "ecus" / "body_controller.toml").read_text()
    shipped = "\n".join(line for line in text.splitlines() if line.startswith("rxswin"))
    drive(story, root=changed_ecus(shipped, f'rxswin = "R48 0001"\n{table}'))


@pytest.mark.parametrize(
    ("table", "word"),
    [('{ "2" = "" }', "rxswin"), ('{ "" = "R48 0002" }', "version"), ('{ "2." = "R48 0002" }', "version")],
)
def test_rxswin_table_that_could_not_be_told_is_refused(changed_ecus: Any, table: str, word: str) -> None:
    root = changed_ecus("[identification]\n", f"[identification]\nrxswin_by_version = {table}\n")
    with pytest.raises(InputError, match=word):
        load_personality(root / "ecus" / "door_module.toml")


def test_rxswin_has_the_identifier_that_the_personality_says(drive: Drive, changed_ecus: Any) -> None:
    async def story(car: Any) -> None:
        assert await read(car, 0xF1A4) == car.rules.identification.rxswin.encode()
        assert await car.hex("22 F1 EF") == "7F 22 31"

    drive(story, root=changed_ecus("[identification]\n", "[identification]\nrxswin_did = 0xF1A4\n"))


def test_0x22_more_identifiers_than_the_ecu_takes_are_refused_with_nrc_13(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert (await car.good(b"\x22" + b"\xf1\x86" * 32)) == b"\x62" + b"\xf1\x86\x01" * 32
        assert await car.ask(b"\x22" + b"\xf1\x86" * 33) == bytes.fromhex("7F2213")
        assert await car.ask(b"\x22" + b"\x12\x34" * 33) == bytes.fromhex("7F2213")

    drive(story, "gateway")


def test_0x22_uptime_counts_and_supply_is_told(drive: Drive) -> None:
    async def story(car: Any) -> None:
        first = int.from_bytes(await read(car, 0xD002), "big")
        await car.wait_ms(1_000)
        assert 1_000 <= int.from_bytes(await read(car, 0xD002), "big") - first < 1_010
        assert int.from_bytes(await read(car, 0xD001), "big") == 13_500

    drive(story)


# 0x2E -----------------------------------------------------------------------------------------------


def test_0x2e_writes_configuration_that_outlives_power_cuts_and_reprogramming(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert await read(car, 0x0200) == bytes.fromhex("0A05")
        await car.unlock_application()
        assert await car.hex("2E 02 00 0B 06") == "6E 02 00"
        assert await read(car, 0x0200) == bytes.fromhex("0B06")
        assert await read(car, 0x0201) == b"\x01"
        car.node.cut("test")
        await car.awake()
        assert await read(car, 0x0200) == bytes.fromhex("0B06")
        await car.flash(car.image())
        assert await read(car, 0x0200) == bytes.fromhex("0B06")

    drive(story)


def test_0x2e_refuses_in_the_order_identifier_security_length_conditions(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("2E 02 00 0B 06") == "7F 2E 7F"
        await car.good("1003")
        for request, nrc in (
            ("2E 02 00", "13"), ("2E F1 91 00", "31"), ("2E F1 5A 00", "31"), ("2E 02 00 0B", "33"),
            ("2E F1 90 00", "33"),
        ):  # fmt: skip
            assert await car.hex(request) == f"7F 2E {nrc}", request
        await car.unlock_application()
        for request, nrc in (
            ("2E 02 00 0B", "13"), ("2E 02 00 0B 06 07", "13"), ("2E F1 90 00", "13"), ("2E 02 02 00", "31"),
        ):  # fmt: skip
            assert await car.hex(request) == f"7F 2E {nrc}", request
        vin = b"ZZZ00TABENCH00002"
        assert await car.ask(b"\x2e\xf1\x90" + vin) == bytes.fromhex("7F2E22")
        assert await read(car, 0xF190) == b"ZZZ00TABENCH00001"

    drive(story)


def test_0x2e_cut_in_the_middle_leaves_the_old_configuration(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.unlock_application()
        car.tester.put(bytes.fromhex("2E02000B06"))
        await car.wait_ms(1)
        car.node.cut("test")
        await car.awake()
        assert await read(car, 0x0200) == bytes.fromhex("0A05")

    drive(story)
