"""What an ECU is said to offer is what it does: the description against answers, for every personality and mode."""

from __future__ import annotations

from typing import Any

import pytest

from bench.config import data_root
from ecu_sim.personality.personality import load_personality
from ecu_sim.uds.description import DescribedMode, described

PERSONALITIES = sorted(path.stem for path in (data_root() / "ecus").glob("*.toml"))
RESETS = (0x10, 0x11)


def mode_of(personality: str, name: str) -> DescribedMode:
    """Return one mode as described."""
    description = described(load_personality(data_root() / "ecus" / f"{personality}.toml"))
    return next(mode for mode in description.modes if mode.name == name)


@pytest.mark.parametrize("personality", PERSONALITIES)
@pytest.mark.parametrize("mode", ["application", "bootloader"])
def test_described_identifiers_are_those_that_are_answered(drive: Any, personality: str, mode: str) -> None:
    async def story(car: Any) -> None:
        expected = {did.did for did in mode_of(personality, mode).dids}
        told = set()
        for did in (*range(0xF100, 0xF200), *range(0xD000, 0xD110), *range(0x0100, 0x0800)):
            answer = await car.ask(b"\x22" + did.to_bytes(2, "big"))
            if answer is not None and answer[0] == 0x62:
                told.add(did)
        assert told == expected

    drive(story, personality, installed=mode == "application")


@pytest.mark.parametrize("personality", PERSONALITIES)
@pytest.mark.parametrize("mode", ["application", "bootloader"])
def test_every_service_that_is_not_described_is_refused_with_nrc_11_and_no_other(
    drive: Any, personality: str, mode: str
) -> None:
    async def story(car: Any) -> None:
        services = {service.sid: service for service in mode_of(personality, mode).services}
        for sid in range(256):
            answer = await car.ask(bytes((sid,)))
            refused = None if answer is None else answer[2]
            if sid not in services:
                assert refused == 0x11, f"{sid:02X}"
            elif "default" not in services[sid].sessions:
                assert refused == 0x7F, f"{sid:02X}"
            else:
                assert refused not in (0x11, 0x7F), f"{sid:02X}"

    drive(story, personality, installed=mode == "application")


@pytest.mark.parametrize("personality", PERSONALITIES)
@pytest.mark.parametrize("mode", ["application", "bootloader"])
def test_every_sub_function_is_there_in_the_sessions_described(drive: Any, personality: str, mode: str) -> None:
    """One byte too many, so that nothing happens: 0x13 when the sub-function is there, else 0x12 or 0x7E."""

    async def story(car: Any) -> None:
        session = "extended" if mode == "application" else "programming"
        await car.good("1003" if mode == "application" else "1002")
        for service in mode_of(personality, mode).services:
            if not service.sub_functions or session not in service.sessions or service.sid == 0x31:
                continue
            known = {sub.value: sub.sessions for sub in service.sub_functions}
            for value in range(0x80):
                answer = await car.ask(bytes((service.sid, value)) + bytes(7))
                expected = 0x12 if value not in known else 0x13 if session in known[value] else 0x7E
                assert answer == bytes((0x7F, service.sid, expected)), f"{service.sid:02X} {value:02X}"

    drive(story, personality, installed=mode == "application")


@pytest.mark.parametrize("personality", PERSONALITIES)
def test_described_routines_are_known_and_no_other(drive: Any, personality: str) -> None:
    async def story(car: Any) -> None:
        await car.unlock_application()
        expected = {routine.routine_id for routine in mode_of(personality, "application").routines}
        for routine_id in (*range(0x0200, 0x0220), *range(0xFF00, 0xFF04)):
            answer = await car.ask(b"\x31\x7f" + routine_id.to_bytes(2, "big"))
            assert answer == bytes((0x7F, 0x31, 0x12 if routine_id in expected else 0x31))

    drive(story, personality)


def test_description_names_sessions_services_and_dtcs() -> None:
    body = described(load_personality(data_root() / "ecus" / "body_controller.toml"))
    application, bootloader = body.modes
    assert [session.name for session in application.sessions] == ["default", "programming", "extended", "safety"]
    assert [session.name for session in bootloader.sessions] == ["default", "programming", "extended"]
    assert {0x23, 0x35, 0x3D} <= {service.sid for service in bootloader.services}
    download = next(service for service in bootloader.services if service.sid == 0x34)
    assert (download.name, download.sessions, download.unlocked) == ("request download", ("programming",), True)
    assert next(did for did in application.dids if did.did == 0x0200).written_in == "extended"
    assert (0xF00316, "undervoltage") in body.dtcs
