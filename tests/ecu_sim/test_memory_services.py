"""Memory by address and upload (0x23, 0x3D, 0x35 with 0x36 and 0x37), by service and condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.core.clock import NS_PER_MS
from bench.wire.bootloader_update import BOOT_BASE
from ecu_sim.memory.dtcs import Dtc

Drive = Callable[..., Any]
UNIT = 256


def at(address: int, size: int) -> bytes:
    """Return format, address and size."""
    return b"\x44" + address.to_bytes(4, "big") + size.to_bytes(4, "big")


async def nrc(car: Any, pdu: bytes) -> int:
    """Ask and insist on a refusal; its code."""
    answer = await car.ask(pdu)
    assert answer is not None
    assert answer[:2] == bytes((0x7F, pdu[0])), answer.hex(" ")
    return int(answer[2])


# 0x23 -----------------------------------------------------------------------------------------------


def test_0x23_reads_the_running_image_and_its_header_in_the_unlocked_extended_session(drive: Drive) -> None:
    async def story(car: Any) -> None:
        image = car.image("1.0.0", 1)
        await car.unlock_application()
        assert await car.good(b"\x23" + at(100, 50)) == b"\x63" + image.data[100:150]
        assert await car.good(b"\x23" + at(0, 4094)) == b"\x63" + image.data[:4094]
        assert await car.good(b"\x23" + at(car.rules.header_address, 256)) == b"\x63" + image.header.encode()
        assert await car.good(b"\x23" + at(0x3FFFF, 1)) == b"\x63\xff"

    drive(story)


def test_0x23_refuses_session_security_length_range_and_too_much(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert await nrc(car, b"\x23" + at(0, 16)) == 0x7F
        await car.good("1003")
        assert await nrc(car, b"\x23") == 0x33
        await car.unlock_application()
        for pdu, code in (
            (b"\x23", 0x13), (b"\x23\x44\x00", 0x13), (b"\x23" + at(0, 16) + b"\x00", 0x13),
            (bytes.fromhex("2322000000 10"), 0x31), (b"\x23" + at(0, 0), 0x31), (b"\x23" + at(0x3FFFF, 2), 0x31),
            (b"\x23" + at(BOOT_BASE, 16), 0x31), (b"\x23" + at(car.rules.mark_address, 16), 0x31),
            (b"\x23" + at(car.rules.header_address, 257), 0x31), (b"\x23" + at(0, 4095), 0x31),
            (b"\x23" + at(0xFFFF_FFFF, 0xFFFF_FFFF), 0x31),
        ):  # fmt: skip
            assert await nrc(car, pdu) == code, pdu.hex(" ")

    drive(story)


def test_0x23_in_the_bootloader_needs_the_programming_session_and_security(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert await nrc(car, b"\x23" + at(0, 16)) == 0x7F
        await car.good("1002")
        assert await nrc(car, b"\x23" + at(0, 16)) == 0x33
        await car.unlock()
        assert await car.good(b"\x23" + at(0, 16)) == b"\x63" + b"\xff" * 16

    drive(story, installed=False)


def test_0x23_0x35_0x3d_are_unknown_where_the_personality_lacks_them(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        for sid in (0x23, 0x35, 0x3D):
            assert await nrc(car, bytes((sid,)) + at(0, 16)) == 0x11
        await car.programming()
        for sid in (0x23, 0x35, 0x3D):
            assert await nrc(car, bytes((sid,)) + at(0, 16)) == 0x11

    drive(story, "gateway")


@pytest.mark.parametrize("service", [b"\x23", b"\x35\x00"])
def test_torn_unit_is_not_read_out_but_refused_with_nrc_22_and_sets_the_memory_fault(
    drive: Drive, service: bytes
) -> None:
    async def story(car: Any) -> None:
        image = car.image()
        await car.programming()
        await car.erase(image)
        car.arm_cut("power.ecu:ecu:program:1:torn=2")
        await car.good(b"\x34\x00" + at(0, 4096))
        await car.ask(b"\x36\x01" + image.data[:3840], 500)
        await car.wait_ms(20)
        assert not car.node.powered
        await car.awake()
        await car.programming()
        assert await car.good(b"\x23" + at(0, 2 * UNIT)) == b"\x63" + image.data[: 2 * UNIT]
        assert await nrc(car, service + at(UNIT, 2 * UNIT)) == 0x22
        assert Dtc.MEMORY_FAULT.to_bytes(3, "big") in await car.good("190201")

    drive(story, installed=False)


# 0x3D -----------------------------------------------------------------------------------------------


def test_0x3d_programs_whole_erased_units_of_the_bank_and_takes_its_time(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        data = bytes(range(256)) * 4
        began_ns = car.world.clock.now_ns()
        answer = await car.good(b"\x3d" + at(UNIT, len(data)) + data)
        assert answer == b"\x7d" + at(UNIT, len(data))
        assert car.world.clock.now_ns() - began_ns > 4 * NS_PER_MS
        assert await car.good(b"\x23" + at(UNIT, len(data))) == b"\x63" + data
        assert await nrc(car, b"\x3d" + at(UNIT, len(data)) + data) == 0x22

    drive(story, installed=False)


def test_0x3d_refuses_session_security_length_alignment_range_and_a_valid_bank(drive: Drive) -> None:
    async def story(car: Any) -> None:
        unit = bytes(UNIT)
        assert await nrc(car, b"\x3d" + at(0, UNIT) + unit) == 0x7F
        await car.good("1003")
        await car.good("1002")
        await car.wait_ms(100)
        assert await nrc(car, b"\x3d") == 0x33
        await car.unlock()
        for pdu, code in (
            (b"\x3d\x44", 0x13), (b"\x3d" + at(0, UNIT) + unit[1:], 0x13),
            (b"\x3d" + at(0, UNIT) + unit + b"\x00", 0x13),
            (b"\x3d" + at(1, UNIT) + unit, 0x31), (b"\x3d" + at(0, 10) + bytes(10), 0x31),
            (b"\x3d" + at(BOOT_BASE, UNIT) + unit, 0x31), (b"\x3d" + at(car.rules.mark_address, UNIT) + unit, 0x31),
            (b"\x3d" + at(0x40000, UNIT) + unit, 0x31), (b"\x3d" + at(0, 0), 0x31),
            (b"\x3d" + at(0x20000, UNIT) + unit, 0x22),
        ):  # fmt: skip
            assert await nrc(car, pdu) == code, pdu[:10].hex(" ")
        assert car.vehicle.dump("ecu").driver_faults == ()

    drive(story)


def test_image_written_by_0x3d_runs_only_once_its_signature_was_checked(drive: Drive) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=4096)
        await car.programming()
        for begin in range(0, 4096, 2048):
            await car.good(b"\x3d" + at(begin, 2048) + image.data[begin : begin + 2048])
        await car.good(b"\x3d" + at(car.rules.header_address, 256) + image.header.encode())
        await car.good("1101")
        await car.wait_ms(300)
        assert await car.version() is None
        await car.programming()
        assert await car.good("31010202") == bytes.fromhex("7101020200")
        await car.good("1101")
        await car.wait_ms(300)
        assert await car.version() == "2.0.0"

    drive(story, installed=False)


# 0x35 -----------------------------------------------------------------------------------------------


async def upload(car: Any, address: int, size: int) -> bytes:
    """Upload a range; what came."""
    assert await car.good(b"\x35\x00" + at(address, size)) == bytes.fromhex("75200FFF")
    came = b""
    for n in range(1, 10_000):
        if len(came) == size:
            break
        came += (await car.good(bytes((0x36, n & 0xFF))))[2:]
    assert await car.good("37") == b"\x77"
    return came


def test_0x35_uploads_a_bank_in_blocks_as_long_as_the_ecu_allows(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        image = car.image("1.0.0", 1)
        assert await upload(car, 0, 10_000) == image.data + b"\xff" * (10_000 - len(image.data))
        assert await upload(car, 7, 1) == image.data[7:8]
        assert await car.hex("37") == "7F 37 24"

    drive(story)


def test_0x36_of_an_upload_repeats_the_last_block_and_refuses_other_counters_data_and_more(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await car.good(b"\x35\x00" + at(0, 5_000))
        assert await nrc(car, b"\x36\x02") == 0x73
        first = await car.good("3601")
        assert len(first) == 4095
        assert await car.good("3601") == first
        assert await nrc(car, b"\x37") == 0x24
        assert await nrc(car, b"\x36\x02\x00") == 0x13
        assert await nrc(car, b"\x36\x03") == 0x73
        last = await car.good("3602")
        assert len(last) == 2 + 5_000 - 4_093
        assert await nrc(car, b"\x36\x03") == 0x24
        assert await car.good("3602") == last
        await car.good("37")

    drive(story)


def test_0x35_refuses_security_format_range_and_a_second_transfer(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1002")
        assert await nrc(car, b"\x35\x00" + at(0, 16)) == 0x33
        await car.unlock()
        for pdu, code in (
            (b"\x35", 0x13), (b"\x35\x00\x44", 0x13), (b"\x35\x10" + at(0, 16), 0x31), (b"\x35\x00" + at(0, 0), 0x31),
            (b"\x35\x00" + at(BOOT_BASE, 16), 0x31), (b"\x35\x00\x11\x00\x10", 0x31),
        ):  # fmt: skip
            assert await nrc(car, pdu) == code, pdu.hex(" ")
        await car.good(b"\x35\x00" + at(0, 16))
        assert await nrc(car, b"\x35\x00" + at(0, 16)) == 0x22
        assert await nrc(car, b"\x34\x00" + at(0, 4096)) == 0x22
        await car.good("1002")
        assert await nrc(car, b"\x36\x01") == 0x24
        await car.unlock()
        await car.good(b"\x34\x00" + at(0, 4096))
        assert await nrc(car, b"\x35\x00" + at(0, 16)) == 0x22
        assert await nrc(car, b"\x36\x01") == 0x13

    drive(story, installed=False)
