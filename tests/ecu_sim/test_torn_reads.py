"""What a cut leaves torn is a state; how it reads is chosen: mixed, valid, invalid, changing, ECC error."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import pytest

from bench.core.loop import VirtualLoop
from bench.core.node import Node
from bench.core.world import World
from ecu_sim.memory.dtcs import Dtc, DtcMemory
from ecu_sim.memory.flash import EccError, FlashFault
from ecu_sim.memory.nvm import COPY_BYTES, Nvm, NvmBlock, NvmDevice, NvmRecord
from ecu_sim.memory.pages import Cell
from ecu_sim.memory.torn import RULES, TornReads
from tests.ecu_sim.chips import ERASE_NS, PROGRAM_NS, SECTOR, UNIT, Chip, run

OLD, NEW, BLANK = bytes(range(64)), bytes(range(100, 100 + UNIT)), b"\xff" * SECTOR
BOOTS = 4


async def torn_program(chip: Chip, reads: TornReads) -> None:
    chip.flash.torn_reads = reads
    chip.start(lambda life: chip.flash.program(life, "app", 0, NEW * 2))
    await chip.after_ns(PROGRAM_NS + PROGRAM_NS // 2)
    chip.node.cut("test")


async def torn_erase(chip: Chip, reads: TornReads) -> None:
    chip.flash.preload("app", 0, OLD * 2)
    chip.flash.torn_reads = reads
    chip.start(lambda life: chip.flash.erase(life, "app", 0, 2))
    await chip.after_ns(ERASE_NS + ERASE_NS // 2)
    chip.node.cut("test")


def read_at_boots(chip: Chip, offset: int, length: int) -> list[bytes | None]:
    """Read twice in each of some boots; None is an ECC error."""
    found: list[bytes | None] = []
    for _ in range(BOOTS):
        chip.node.power_on()
        try:
            found.append(chip.flash.read("app", offset, length))
            assert chip.flash.read("app", offset, length) == found[-1], "within a boot it does not change"
        except EccError:
            found.append(None)
        chip.node.cut("test")
    return found


def reading_of(reads: TornReads, *, erase: bool) -> list[bytes | None]:
    async def story(chip: Chip) -> list[bytes | None]:
        await (torn_erase if erase else torn_program)(chip, reads)
        offset, length = (SECTOR, SECTOR) if erase else (UNIT, UNIT)
        found = read_at_boots(chip, offset, length)
        chip.node.power_on()
        assert set(chip.flash.cells("app", offset, length)) == {Cell.TORN}
        assert chip.flash.torn("app") == ((offset, length),)
        done = BLANK if erase else NEW
        assert chip.flash.read("app", 0, offset) == done, "what was complete is whole"
        with pytest.raises(FlashFault, match="not erased"):
            await chip.flash.program(chip.life, "app", offset, NEW)
        return found

    result: list[bytes | None] = run(story)
    return result


@pytest.mark.parametrize(("erase", "old", "new"), [(False, BLANK[:UNIT], NEW), (True, OLD, BLANK)])
def test_torn_cells_read_as_the_chosen_reading_says(erase: bool, old: bytes, new: bytes) -> None:
    found = {reads: reading_of(reads, erase=erase) for reads in RULES}
    mix = found[TornReads.MIXED][0]
    assert mix not in (old, new, None)
    assert found[TornReads.MIXED] == [mix] * BOOTS
    assert found[TornReads.VALID] == [new] * BOOTS
    assert found[TornReads.INVALID] == [mix if erase else old] * BOOTS
    assert found[TornReads.CHANGING] in ([new, mix] * (BOOTS // 2), [mix, new] * (BOOTS // 2))
    assert found[TornReads.ECC_ERROR] == [None] * BOOTS


def test_torn_erase_leaves_a_sector_that_is_neither_until_it_is_erased_again() -> None:
    async def story(chip: Chip) -> None:
        await torn_erase(chip, TornReads.VALID)
        chip.node.power_on()
        assert chip.flash.read("app", SECTOR, SECTOR) == BLANK
        assert not chip.flash.is_erased("app", SECTOR, SECTOR), "it reads as erased and is not"
        await chip.flash.erase(chip.life, "app", 1, 1)
        assert chip.flash.is_erased("app", SECTOR, SECTOR)
        assert chip.flash.torn("app") == ()

    run(story)


def test_reading_of_one_cut_is_not_that_of_the_next() -> None:
    async def story(chip: Chip) -> None:
        await torn_program(chip, TornReads.ECC_ERROR)
        chip.node.power_on()
        chip.start(lambda life: chip.flash.program(life, "app", SECTOR, NEW))
        await chip.after_ns(PROGRAM_NS // 2)
        chip.node.reset()
        assert chip.flash.read("app", SECTOR, UNIT) not in (NEW, BLANK[:UNIT])
        with pytest.raises(EccError):
            chip.flash.read("app", 0, SECTOR)

    run(story)


def test_ecc_error_is_no_fault_of_the_driver_and_stands_in_the_journal() -> None:
    async def story(chip: Chip) -> None:
        await torn_program(chip, TornReads.ECC_ERROR)
        chip.node.power_on()
        with pytest.raises(EccError):
            chip.flash.digest("app", 0, SECTOR)
        assert chip.flash.read("app", 0, UNIT) == NEW
        assert chip.flash.raw("app", UNIT, UNIT) not in (NEW, BLANK[:UNIT]), "who reads the chip finds a mix"
        assert chip.flash.driver_faults == []
        assert [e.kind for e in chip.world.journal.entries()].count("flash.ecc") == 1

    run(story)


# A validity mark, at boots --------------------------------------------------------------------------

MARK_PROGRAM = 3
"""Image in one block, header, mark."""
BOOTED = {
    TornReads.MIXED: {"bootloader"},
    TornReads.VALID: {"application"},
    TornReads.INVALID: {"bootloader"},
    TornReads.CHANGING: {"application", "bootloader"},
    TornReads.ECC_ERROR: {"bootloader"},
}


@pytest.mark.parametrize("reads", RULES)
def test_torn_validity_mark_boots_or_not_as_it_reads_and_the_next_flash_succeeds(drive: Any, reads: TornReads) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=2048)
        await car.put_image(image)
        car.memory.tear_as(reads)
        car.arm_cut(f"power.ecu:ecu:program:{MARK_PROGRAM}:torn=0")
        assert await car.ask(bytes.fromhex("31010202")) is None
        stages = set()
        for _ in range(2):
            await car.awake()
            stages.add(car.stages()[-1][0])
            car.node.cut("test")
        assert stages == BOOTED[reads]
        await car.awake()
        assert memory_faults(car) == (reads is TornReads.ECC_ERROR)
        await car.flash(image)
        assert await car.version() == "2.0.0"
        assert car.vehicle.dump("ecu").driver_faults == ()

    drive(story)


def memory_faults(car: Any) -> bool:
    """Whether the ECU noticed memory that it cannot read."""
    assert car.node.incarnation is not None
    stored = DtcMemory(car.node.incarnation, car.memory.dtc_block).stored
    return Dtc.MEMORY_FAULT in [dtc.code for dtc in stored]


def test_torn_mark_that_reads_as_valid_is_refused_by_the_check_and_programmed_anew_after_an_erase(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.put_image(car.image(length=2048))
        car.memory.tear_as(TornReads.VALID)
        car.arm_cut(f"power.ecu:ecu:program:{MARK_PROGRAM}:torn=0")
        assert await car.ask(bytes.fromhex("31010202")) is None
        await car.awake()
        await car.programming()
        assert await car.hex("31 01 02 02") == "7F 31 72"

    drive(story)


@pytest.mark.parametrize("reads", [TornReads.VALID, TornReads.CHANGING])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("operation", [1, 2])
def test_check_refuses_an_image_or_header_with_torn_cells_though_it_reads_well(
    drive: Any, reads: TornReads, operation: int, seed: int
) -> None:
    """Marked, activated and confirmed, it might read otherwise at the next boot."""

    async def story(car: Any) -> None:
        image = car.image(length=2048)
        await car.programming()
        await car.erase(image)
        car.memory.tear_as(reads)
        if operation == 1:
            car.arm_cut(f"power.ecu:ecu:program:1:torn={2048 // car.memory.unit_bytes('image:B') - 1}")
            await car.good("340044" + "00000000" + "00000800")
            await car.ask(b"\x36\x01" + image.data)
            await car.awake()
            await car.programming()
            await car.download(car.rules.header_address, image.header.encode())
        else:
            await car.download(0, image.data)
            car.arm_cut("power.ecu:ecu:program:2:torn=0")
            with pytest.raises(AssertionError, match="no answer"):
                await car.download(car.rules.header_address, image.header.encode())
            await car.awake()
            await car.programming()
        reads_well = car.memory.image_sha256("B", image.header) == image.header.sha256.hex()
        reads_well = reads_well and car.memory.header("B") == image.header.encode()
        assert reads_well or reads is TornReads.CHANGING
        answer = await car.hex("31 01 02 02")
        assert answer in ("71 01 02 02 04", "71 01 02 02 05", "71 01 02 02 01")
        assert not reads_well or answer == "71 01 02 02 04"
        assert await car.hex("31 01 02 03") == "7F 31 22"

    drive(story, "gateway", seed=seed)


@pytest.mark.parametrize("reads", [TornReads.VALID, TornReads.CHANGING])
def test_bank_with_a_torn_mark_is_neither_activated_nor_said_to_be_right(drive: Any, reads: TornReads) -> None:
    async def story(car: Any) -> None:
        await car.put_image(car.image(length=2048))
        car.memory.tear_as(reads)
        car.arm_cut(f"power.ecu:ecu:program:{MARK_PROGRAM}:torn=0")
        assert await car.ask(bytes.fromhex("31010202")) is None
        for _ in range(2):
            await car.awake()
            await car.programming()
            assert await car.hex("31 01 FF 01") == "71 01 FF 01 01"
            assert await car.hex("31 01 02 03") == "7F 31 22"
            car.node.cut("test")

    drive(story, "gateway")


def test_image_with_an_ecc_error_never_boots(drive: Any) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=2048)
        await car.programming()
        await car.erase(image)
        await car.good("3400440000000000000800")
        car.memory.tear_as(TornReads.ECC_ERROR)
        car.arm_cut("power.ecu:ecu:program:1:torn=3")
        await car.ask(b"\x36\x01" + image.data)
        await car.wait_ms(100)
        car.memory.flash.preload("header:A", 0, image.header.encode())
        car.memory.flash.preload("mark:A", 0, b"OTABENCH-VALID-1")
        await car.awake()
        assert car.stages()[-1] == ("bootloader", None)
        assert "hash or length wrong" in car.world.recorder.boots[-1].reason
        assert memory_faults(car)

    drive(story)


def test_check_block_over_an_ecc_error_answers_that_the_block_is_wrong(drive: Any) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=2048)
        await car.programming()
        await car.erase(image)
        await car.good("3400440000000000000800")
        car.memory.tear_as(TornReads.ECC_ERROR)
        car.arm_cut("power.ecu:ecu:program:1:torn=3")
        await car.ask(b"\x36\x01" + image.data)
        await car.wait_ms(100)
        await car.awake()
        await car.programming()
        block = bytes.fromhex("310102064400000000") + (2048).to_bytes(4, "big")
        answer = await car.good(block + zlib.crc32(image.data).to_bytes(4, "big"))
        assert answer == bytes.fromhex("7101020604")
        await car.wait_ms(50)
        assert memory_faults(car)

    drive(story)


# NVM ------------------------------------------------------------------------------------------------

RECORD_NS = 500_000
BEFORE = NvmRecord(active_bank="A", release_floor=7)
AFTER = replace(BEFORE, release_floor=9, security_attempts=2)


def nvm_after_cut(reads: TornReads, cut_ns: int) -> tuple[list[NvmRecord], bool]:
    """What the record reads as in some boots after a cut in its write, and whether a copy cannot be read."""
    loop = VirtualLoop()
    world = World(loop, 1)
    nvm = Nvm(world, "ecu", BEFORE, 500)
    node = Node(world, "ecu", lambda _life: nvm.device.begin_boot())

    async def main() -> tuple[list[NvmRecord], bool]:
        node.power_on()
        assert node.incarnation is not None
        node.incarnation.spawn(nvm.store(node.incarnation, AFTER), "store")
        nvm.device.torn_reads = reads
        await loop.sleep_ns(cut_ns)
        node.cut("test")
        found = []
        for _ in range(BOOTS):
            node.power_on()
            found.append(nvm.record)
            node.cut("test")
        return found, nvm.device.unreadable

    try:
        result: tuple[list[NvmRecord], bool] = loop.run(main())
        return result
    finally:
        loop.discard()


IN_LAST_RECORD_NS = COPY_BYTES // 16 * RECORD_NS - RECORD_NS // 2


@pytest.mark.parametrize(
    ("reads", "seen"),
    [
        (TornReads.MIXED, [{7}]),
        (TornReads.VALID, [{9}]),
        (TornReads.INVALID, [{7}]),
        (TornReads.CHANGING, [{7, 9}]),
        (TornReads.ECC_ERROR, [{7}]),
    ],
)
def test_nvm_copy_whose_last_record_is_torn_counts_as_it_reads(reads: TornReads, seen: list[set[int]]) -> None:
    found, unreadable = nvm_after_cut(reads, IN_LAST_RECORD_NS)
    assert [{record.release_floor for record in found}] == seen
    assert {record.security_attempts for record in found} == {2 if floor == 9 else 0 for floor in seen[0]}
    assert unreadable == (reads is TornReads.ECC_ERROR)


@pytest.mark.parametrize("reads", RULES)
def test_nvm_copy_torn_before_its_last_record_never_counts(reads: TornReads) -> None:
    found, _ = nvm_after_cut(reads, RECORD_NS // 2)
    assert set(found) == {BEFORE}


def test_unreadable_nvm_copy_sets_a_dtc_and_the_old_value_counts(drive: Any) -> None:
    async def story(car: Any) -> None:
        life = car.node.incarnation
        life.spawn(car.memory.nvm.store(life, replace(car.memory.nvm.record, release_floor=5)), "store")
        car.memory.tear_as(TornReads.ECC_ERROR)
        await car.world.clock.sleep_ns(RECORD_NS // 2)
        car.node.cut("test")
        await car.awake()
        assert car.memory.nvm.record.release_floor == 1
        assert memory_faults(car)

    drive(story)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("reads", RULES)
def test_confirmation_that_was_cut_and_is_repeated_holds_in_every_boot_that_follows(
    drive: Any, reads: TornReads, seed: int
) -> None:
    """A record may read as confirmed today because a torn copy reads well; the answer must be true tomorrow too."""

    async def story(car: Any) -> None:
        await car.flash(car.image())
        record_ns = car.rules.nvm.record_us * 1_000
        written = [e.t_ns for e in car.world.journal.entries() if e.kind == "nvm.write"]
        await car.good("1003")
        car.tester.put(bytes.fromhex("31010204"))
        while [e.t_ns for e in car.world.journal.entries() if e.kind == "nvm.write"] == written:
            await car.world.clock.sleep_ns(record_ns // 10)
        await car.world.clock.sleep_ns(COPY_BYTES // 16 * record_ns - record_ns // 2)
        car.memory.tear_as(reads)
        car.node.cut("test")
        await car.awake()
        assert await car.version() == "2.0.0"
        await car.good("1003")
        await car.good("31010204")
        for _ in range(BOOTS):
            car.node.cut("test")
            await car.awake()
            assert (car.memory.nvm.record.release_floor, car.memory.nvm.record.trial_bank) == (2, None)
            assert await car.version() == "2.0.0"

    drive(story, "gateway", seed=seed)


@pytest.mark.parametrize("reads", RULES)
def test_value_that_is_kept_as_it_is_does_not_change_later_though_a_copy_was_torn(reads: TornReads) -> None:
    loop = VirtualLoop()
    world = World(loop, 1)
    device = NvmDevice(world, "ecu", 500)
    block = NvmBlock(device, bytes(24))
    node = Node(world, "ecu", lambda _life: device.begin_boot())

    async def main(boots: int) -> None:
        node.power_on()
        assert node.incarnation is not None
        node.incarnation.spawn(block.store(node.incarnation, b"\x01" * 24), "store")
        await loop.sleep_ns(2 * RECORD_NS - RECORD_NS // 2)
        device.torn_reads = reads
        node.cut("test")
        for _ in range(boots):
            node.power_on()
            kept = block.content
            node.cut("test")
        node.power_on()
        kept = block.content
        await block.keep(node.incarnation, kept)
        writes = len(list(world.journal.entries()))
        await block.keep(node.incarnation, kept)
        assert len(list(world.journal.entries())) == writes, "what is firm is not written again"
        for _ in range(BOOTS):
            node.reset()
            assert block.content == kept

    try:
        for boots in range(2):
            loop.run(main(boots))
            node.cut("test")
    finally:
        loop.discard()
