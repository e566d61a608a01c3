"""0x34, 0x36, 0x37 and the routines around them, up to a whole update."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from bench.trust.keys import signing_key
from ecu_sim.memory.pages import Cell
from ecu_sim.personality.geometry import header_region, image_region, mark_region

BODY, GATEWAY = "body_controller", "gateway"
ERASE = "31 01 FF 00 44 00 00 00 00 00 00 10 00"
DOWNLOAD = "34 00 44 00 00 00 00 00 00 10 00"


def unlocked(drive: Any, exchanges: list[tuple[str, str | None]], *, erased: bool = True) -> None:
    """Ask in the unlocked programming session of a blank body controller."""

    async def story(car: Any) -> None:
        await car.programming()
        if erased:
            await car.erase(car.image())
        for request, expected in exchanges:
            assert await car.hex(request, 2_000) == expected, request

    drive(story, installed=False)


@pytest.mark.parametrize("personality", [BODY, GATEWAY])
def test_whole_update_runs_the_new_image_and_leaves_memory_exact(drive: Any, personality: str) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=9_000)
        await car.flash(image)
        await car.confirm()
        assert await car.version() == "2.0.0"
        bank = "B" if personality == GATEWAY else "A"
        dump = car.vehicle.dump("ecu")
        assert dump.region(f"image:{bank}").data == image.data + b"\xff" * (0x40000 - 9_000)
        assert dump.region(f"header:{bank}").data == image.header.encode()
        assert dump.region(f"header:{bank}").base_address == 0xF0_0000
        assert dump.region(f"mark:{bank}").data == b"OTABENCH-VALID-1"
        assert (dump.driver_faults, dump.erases, dump.programs) == ((), 3, 6)
        assert all(region.torn == () for region in dump.regions)

    drive(story, personality)


def test_update_of_the_gateway_does_not_touch_the_active_bank(drive: Any) -> None:
    async def story(car: Any) -> None:
        before = [car.vehicle.dump("ecu").region(f"{kind}:A") for kind in ("mark", "header", "image")]
        await car.flash(car.image())
        assert before == [car.vehicle.dump("ecu").region(f"{kind}:A") for kind in ("mark", "header", "image")]

    drive(story, GATEWAY)


@pytest.mark.parametrize("block", [1, 7, 255, 256, 257, 3840, 4093])
def test_blocks_of_any_size_program_the_same_bytes(drive: Any, block: int) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=300 if block == 1 else 5_000)
        await car.programming()
        await car.erase(image)
        await car.download(0, image.data, block)
        region = car.vehicle.dump("ecu").region("image:A")
        assert region.data[: len(image.data) + 8] == image.data + b"\xff" * 8

    drive(story, installed=False)


def test_erase_goes_mark_first_then_header_then_image(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await car.erase(car.image(length=20_000))
        erases = [e.payload for e in car.world.journal.entries() if e.kind == "flash.erase"]
        assert erases == ["mark:A sectors 0..0", "header:A sectors 0..0", "image:A sectors 0..1"]

    drive(story)


@pytest.mark.parametrize(
    "option",
    ["44 00 03 FF FF 00 00 00 02", "44 00 00 00 00 00 00 00 00", "44 00 F0 00 00 00 00 01 00", "33 00 00 00 00 10 00"],
)
def test_0x31_erase_outside_the_image_is_refused_with_nrc_31(drive: Any, option: str) -> None:
    unlocked(drive, [(f"31 01 FF 00 {option}", "7F 31 31")], erased=False)


def test_0x34_answers_the_longest_block(drive: Any) -> None:
    unlocked(drive, [(DOWNLOAD, "74 20 0F FF")])


@pytest.mark.parametrize(
    "request_",
    [
        "34 10 44 00 00 00 00 00 00 10 00",  # compressed
        "34 01 44 00 00 00 00 00 00 10 00",  # encrypted
        "34 00 33 00 00 00 00 10 00",  # three-byte address and size
        "34 00 44 00 04 00 00 00 00 00 10",  # behind the bank
        "34 00 44 00 03 FF 00 00 00 02 00",  # over its end
        "34 00 44 00 00 00 01 00 00 00 10",  # not at a unit's begin
        "34 00 44 00 00 00 00 00 00 00 00",  # nothing
        "34 00 44 00 F0 00 00 00 00 01 01",  # more than a header
        "34 00 44 00 F4 00 00 00 00 00 10",  # the validity mark
        "34 00 44 00 F8 00 00 00 00 01 00",  # the bootloader
    ],
)
def test_0x34_out_of_range_is_refused_with_nrc_31(drive: Any, request_: str) -> None:
    unlocked(drive, [(request_, "7F 34 31")])


def test_0x34_of_wrong_length_is_refused_with_nrc_13(drive: Any) -> None:
    unlocked(drive, [("34 00 44 00 00 00 00 00 00 10", "7F 34 13"), ("34 00", "7F 34 13")])


def test_0x34_into_memory_that_is_not_erased_is_refused_with_nrc_70(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        assert await car.hex(DOWNLOAD) == "7F 34 70"
        assert await car.hex("34 00 44 00 01 00 00 00 00 10 00") == "7F 34 70"  # blank, but the old image is valid
        assert car.vehicle.dump("ecu").driver_faults == ()

    drive(story)


def test_0x34_during_a_download_with_data_is_refused_with_nrc_22_but_may_be_repeated_before(drive: Any) -> None:
    block = "36 01" + " AA" * 256
    unlocked(drive, [(DOWNLOAD, "74 20 0F FF"), (DOWNLOAD, "74 20 0F FF"), (block, "76 01"), (DOWNLOAD, "7F 34 22")])


def test_0x36_and_0x37_without_0x34_are_refused_with_nrc_24(drive: Any) -> None:
    unlocked(drive, [("36 01 00", "7F 36 24"), ("37", "7F 37 24")])


def test_0x36_without_data_and_0x37_with_some_are_refused_with_nrc_13(drive: Any) -> None:
    unlocked(drive, [(DOWNLOAD, "74 20 0F FF"), ("36 01", "7F 36 13"), ("37 00", "7F 37 13")])


@pytest.mark.parametrize("counter", ["00", "02", "FF"])
def test_0x36_wrong_first_counter_is_refused_with_nrc_73(drive: Any, counter: str) -> None:
    unlocked(drive, [(DOWNLOAD, "74 20 0F FF"), (f"36 {counter} AA", "7F 36 73"), ("36 01 AA", "76 01")])


def test_0x36_repeated_counter_is_answered_and_not_written_twice(drive: Any) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=1024)
        await car.programming()
        await car.erase(image)
        await car.good("3400440000000000000400")
        for counter, at in ((1, 0), (1, 0), (2, 512), (2, 512)):
            assert await car.good(bytes((0x36, counter)) + image.data[at : at + 512]) == bytes((0x76, counter))
        assert await car.good(bytes((0x36, 2)) + image.data[512:]) == b"\x76\x02"
        assert await car.hex("36 03 00") == "7F 36 24"
        await car.good("37")
        dump = car.vehicle.dump("ecu")
        assert dump.region("image:A").data[:1024] == image.data
        assert (dump.programs, dump.driver_faults) == (2, ())

    drive(story, installed=False)


def test_0x36_counter_wraps_from_ff_to_00(drive: Any) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=300)
        await car.programming()
        await car.erase(image)
        await car.download(0, image.data, 1)
        assert car.vehicle.dump("ecu").region("image:A").data[:300] == image.data

    drive(story, installed=False)


def test_0x36_beyond_the_announced_size_is_refused_with_nrc_71(drive: Any) -> None:
    unlocked(
        drive,
        [
            ("34 00 44 00 00 00 00 00 00 00 10", "74 20 0F FF"),
            ("36 01" + " AA" * 17, "7F 36 71"),
            ("36 01" + " AA" * 16, "76 01"),
            ("37", "77"),
        ],
    )


def test_0x37_before_the_announced_length_came_is_refused_with_nrc_24(drive: Any) -> None:
    unlocked(drive, [(DOWNLOAD, "74 20 0F FF"), ("36 01 AA", "76 01"), ("37", "7F 37 24"), ("36 02 AA", "76 02")])


def test_erase_aborts_a_download(drive: Any) -> None:
    unlocked(
        drive, [(DOWNLOAD, "74 20 0F FF"), ("36 01 AA", "76 01"), (ERASE, "71 01 FF 00 00"), ("36 02 AA", "7F 36 24")]
    )


# Check memory, activate -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, "00"),
        ({"key": signing_key("x")}, "01"),
        ({"hardware_id": "OTHER"}, "02"),
        ({"counter": 0}, "03"),
    ],
)
def test_0x31_check_memory_answers_what_is_wrong(drive: Any, changed: dict[str, Any], status: str) -> None:
    async def story(car: Any) -> None:
        await car.put_image(car.image(**changed))
        assert await car.hex("31 01 02 02") == f"71 01 02 02 {status}"
        assert await car.hex("31 01 FF 01") == f"71 01 FF 01 {'00' if status == '00' else '01'}"
        marked = car.memory.mark("A") == b"OTABENCH-VALID-1"
        assert marked == (status == "00")

    drive(story)


def test_0x31_check_memory_of_a_wrong_byte_answers_04_and_of_nothing_05(drive: Any) -> None:
    async def story(car: Any) -> None:
        image = car.image()
        await car.programming()
        await car.erase(image)
        assert await car.hex("31 01 02 02") == "71 01 02 02 05"
        await car.download(0, image.data[:-1] + bytes((image.data[-1] ^ 1,)))
        await car.download(0xF0_0000, image.header.encode())
        assert await car.hex("31 01 02 02") == "71 01 02 02 04"

    drive(story)


def test_0x31_check_memory_twice_programs_the_mark_once(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.put_image(car.image())
        before = car.memory.flash.programs
        assert await car.hex("31 01 02 02") == await car.hex("31 01 02 02") == "71 01 02 02 00"
        assert car.memory.flash.programs == before + 1

    drive(story)


def test_0x31_activate_without_a_checked_image_is_refused_with_nrc_22(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.put_image(car.image())
        assert await car.hex("31 01 02 03") == "7F 31 22"
        await car.good("31010202")
        assert await car.hex("31 01 02 03") == "71 01 02 03 00"

    drive(story, GATEWAY)


def test_0x31_activate_on_a_single_bank_is_refused_with_nrc_31(drive: Any) -> None:
    unlocked(drive, [("31 01 02 03", "7F 31 31")], erased=False)


def test_0x31_confirm_is_known_in_the_application_only(drive: Any) -> None:
    unlocked(drive, [("31 01 02 04", "7F 31 31")], erased=False)


def test_driver_fault_is_answered_with_nrc_72_and_ends_the_download(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await car.erase(car.image())
        await car.good("3400440000000000001000")
        car.memory.flash.preload(image_region("A"), 0, bytes(256))  # somebody else programmed the unit meanwhile
        beside = car.memory.personality.flash.while_receiving
        if beside:  # the block is answered once it is in RAM: what went wrong is told at the next one
            assert await car.ask(b"\x36\x01" + bytes(256)) == bytes.fromhex("7601")
        counter = 2 if beside else 1
        assert await car.ask(bytes((0x36, counter)) + bytes(256)) == bytes.fromhex("7F3672")
        assert await car.hex("36 01 00") == "7F 36 24"
        assert len(car.vehicle.dump("ecu").driver_faults) == 1

    drive(story, installed=False)


def test_block_is_programmed_while_the_next_one_comes_and_0x37_waits_for_it(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await car.erase(car.image())
        await car.good("3400440000000000001000")
        assert await car.ask(b"\x36\x01" + bytes(2048)) == bytes.fromhex("7601")
        assert car.memory.flash.is_erased(image_region("A"), 0, 2048)
        assert await car.ask(b"\x36\x02" + bytes(2048)) == bytes.fromhex("7602")
        assert not car.memory.flash.is_erased(image_region("A"), 0, 256)
        assert await car.hex("37") == "77"
        assert not car.memory.flash.is_erased(image_region("A"), 3840, 256)

    drive(story, installed=False)


@pytest.mark.parametrize("reset", ["11 01", "11 02", "11 03"])
def test_0x11_waits_for_the_block_that_is_being_programmed_and_tears_no_unit(drive: Any, reset: str) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await car.erase(car.image())
        await car.good("3400440000000000001000")
        assert await car.ask(b"\x36\x01" + bytes(2048)) == bytes.fromhex("7601")
        assert await car.hex(reset) == f"51 {reset[3:]}"
        await car.wait_ms(300)
        cells = car.memory.flash.cells(image_region("A"), 0, 4096)
        half = len(cells) // 2
        assert (set(cells[:half]), set(cells[half:])) == ({Cell.PROGRAMMED}, {Cell.ERASED})

    drive(story, installed=False)


# Power cuts -----------------------------------------------------------------------------------------

CUTS = [
    *(f"erase:{n}:{where}" for n in (1, 2, 3) for where in ("before", "torn=0", "after")),
    *(f"program:{n}:{where}" for n in (1, 2, 3, 4) for where in ("before", "torn=0", "after")),
    *(f"program:1:torn={k}" for k in (1, 3, 6)),
    *(f"boot:{n}:{where}" for n in (2, 3) for where in ("before", "torn=0", "torn=1", "after")),
]


@pytest.mark.parametrize("personality", [BODY, GATEWAY])
@pytest.mark.parametrize("cut", CUTS)
def test_power_cut_at_every_flash_operation_leaves_an_ecu_that_answers_and_can_be_flashed(
    drive: Any, personality: str, cut: str
) -> None:
    async def story(car: Any) -> None:
        image = car.image()
        car.arm_cut(f"power.ecu:ecu:{cut}")

        with suppress(AssertionError):  # whatever the tester was doing when the ECU fell silent
            await car.flash(image)
        assert not car.node.powered, "the cut never came"
        await car.awake()
        found = await car.version()
        assert found in (("1.0.0", "2.0.0") if personality == GATEWAY else ("1.0.0", "2.0.0", None))
        await car.flash(image)
        assert await car.version() == "2.0.0"
        dump = car.vehicle.dump("ecu")
        assert dump.driver_faults == ()
        assert all(execution.image_sha256 for execution in car.world.recorder.executions)

    drive(story, personality)


def test_torn_mark_is_seen_and_does_not_boot(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.put_image(car.image())
        car.arm_cut("power.ecu:ecu:program:4:torn=0")
        assert await car.ask(bytes.fromhex("31010202"), 3_000) is None
        await car.awake()
        assert car.stages()[-1] == ("bootloader", None)
        assert car.vehicle.dump("ecu").region(mark_region("A")).torn == ((0, 16),)
        await car.programming()
        assert await car.hex("31 01 02 02") == "7F 31 72"
        assert car.memory.flash.torn(header_region("A")) == ()

    drive(story)
