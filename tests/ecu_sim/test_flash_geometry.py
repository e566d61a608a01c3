"""Sectors of different sizes, wear, partitions that cannot be read while they change, and two devices side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.config import data_root
from bench.core.errors import InputError
from ecu_sim.memory.flash import FlashFault
from ecu_sim.personality.personality import load_personality
from ecu_sim.personality.region import FlashRegion, SectorRun
from tests.ecu_sim.chips import ERASE_NS, PROGRAM_NS, SECTOR, UNIT, Chip, region, run, uneven

BEGINS, TIMES = (0, 64, 128, 256, 768), (1, 1, 2, 3)
"""Of `uneven`: begins of the sectors, and erase times as multiples of ERASE_NS."""


def test_sectors_of_different_sizes_are_found_by_offset() -> None:
    known = uneven()
    assert known.begins == BEGINS
    assert [known.sector_at(offset) for offset in (0, 63, 64, 128, 255, 256, 767)] == [0, 0, 1, 2, 2, 3, 3]
    assert list(known.sectors_of(100, 157)) == [1, 2, 3]
    assert list(known.sectors_of(100, 0)) == []
    assert [known.erase_ns(sector) for sector in range(4)] == [n * ERASE_NS for n in TIMES]
    with pytest.raises(IndexError):
        known.erase_ns(4)


def test_region_whose_sectors_do_not_make_it_up_is_refused() -> None:
    with pytest.raises(ValueError, match="make up 192 bytes, the region has 256"):
        region("app", 256, runs=(SectorRun(3, SECTOR, ERASE_NS),))


@pytest.mark.parametrize("sector", range(4))
def test_erase_of_one_sector_leaves_its_neighbours_and_takes_its_own_time(sector: int) -> None:
    async def story(chip: Chip) -> None:
        chip.flash.preload("app", 0, bytes(768))
        await chip.flash.erase(chip.life, "app", sector, 1)
        begin, end = BEGINS[sector], BEGINS[sector + 1]
        assert chip.world.clock.now_ns() == TIMES[sector] * ERASE_NS
        assert chip.flash.read("app", 0, 768) == bytes(begin) + b"\xff" * (end - begin) + bytes(768 - end)

    run(story, regions=[uneven()])


@settings(max_examples=60, deadline=None)
@given(cut_ns=st.integers(0, 8 * ERASE_NS))
def test_cut_at_any_instant_of_an_erase_of_uneven_sectors_leaves_what_time_allowed(cut_ns: int) -> None:
    async def story(chip: Chip) -> None:
        chip.flash.preload("app", 0, bytes(768))
        chip.start(lambda life: chip.flash.erase(life, "app", 0, 4))
        await chip.after_ns(cut_ns)
        chip.node.cut("test")
        began_ns = 0
        for sector, times in enumerate(TIMES):
            begin, length = BEGINS[sector], BEGINS[sector + 1] - BEGINS[sector]
            found, ends_ns = chip.flash.read("app", begin, length), began_ns + times * ERASE_NS
            if ends_ns <= cut_ns:
                assert found == b"\xff" * length
            elif began_ns < cut_ns:
                assert found not in (bytes(length), b"\xff" * length)
                assert chip.flash.torn("app") == ((begin, length),)
            else:
                assert found == bytes(length)
            began_ns = ends_ns

    run(story, regions=[uneven()])


def test_armed_cut_tears_the_uneven_sector_under_way() -> None:
    async def story(chip: Chip) -> None:
        chip.flash.preload("app", 0, bytes(768))
        chip.arm_cut("power.ecu:ecu:erase:1:torn=2")
        chip.start(lambda life: chip.flash.erase(life, "app", 0, 4))
        await chip.after_ns(1_000_000)
        assert chip.flash.torn("app") == ((128, 128),)
        assert chip.flash.is_erased("app", 0, 128)
        assert chip.flash.read("app", 256, 512) == bytes(512)

    run(story, regions=[uneven()])


def test_erase_beyond_the_last_sector_is_a_driver_fault() -> None:
    async def story(chip: Chip) -> None:
        with pytest.raises(FlashFault, match="leaves app"):
            await chip.flash.erase(chip.life, "app", 3, 2)

    run(story, regions=[uneven()])


# Wear -----------------------------------------------------------------------------------------------


def test_sector_that_is_worn_out_refuses_the_erase_and_keeps_what_it_holds() -> None:
    async def story(chip: Chip) -> None:
        for _ in range(3):
            await chip.flash.erase(chip.life, "app", 1, 1)
        await chip.flash.program(chip.life, "app", SECTOR, bytes(UNIT))
        with pytest.raises(FlashFault, match="sector 1 fails: worn out after 3 erases"):
            await chip.flash.erase(chip.life, "app", 0, 2)
        assert chip.flash.read("app", SECTOR, UNIT) == bytes(UNIT)
        assert chip.flash.wear == {("app", 1): 3}
        assert len(chip.flash.driver_faults) == 1
        await chip.flash.erase(chip.life, "app", 0, 1)

    run(story, regions=[region("app", endurance_cycles=3)])


def test_torn_erase_wears_the_sector_too() -> None:
    async def story(chip: Chip) -> None:
        chip.start(lambda life: chip.flash.erase(life, "app", 0, 1))
        await chip.after_ns(ERASE_NS // 2)
        chip.node.reset()
        with pytest.raises(FlashFault, match="worn out"):
            await chip.flash.erase(chip.life, "app", 0, 1)

    run(story, regions=[region("app", endurance_cycles=1)])


# Read while write -----------------------------------------------------------------------------------

TWO_PARTITIONS = [region("app", partition="code"), region("data", partition="data"), region("free")]


@pytest.mark.parametrize("ask", ["read", "digest", "is_erased", "cells"])
def test_partition_that_is_being_programmed_cannot_be_read(ask: str) -> None:
    async def story(chip: Chip) -> None:
        chip.start(lambda life: chip.flash.program(life, "app", 0, bytes(UNIT)))
        await chip.after_ns(PROGRAM_NS // 2)
        with pytest.raises(FlashFault, match="while partition code is being changed"):
            getattr(chip.flash, ask)("app", 128, UNIT)
        for other in ("data", "free"):
            getattr(chip.flash, ask)(other, 0, UNIT)
        assert len(chip.flash.driver_faults) == 1
        await chip.after_ns(PROGRAM_NS)
        getattr(chip.flash, ask)("app", 128, UNIT)

    run(story, regions=TWO_PARTITIONS)


def test_partition_can_be_read_again_once_a_cut_has_ended_its_operation() -> None:
    async def story(chip: Chip) -> None:
        chip.start(lambda life: chip.flash.erase(life, "app", 0, 1))
        await chip.after_ns(ERASE_NS // 2)
        chip.node.reset()
        assert chip.flash.read("app", SECTOR, UNIT) == b"\xff" * UNIT

    run(story, regions=TWO_PARTITIONS)


def test_nothing_is_changed_in_the_partition_that_code_runs_from() -> None:
    async def story(chip: Chip) -> None:
        with pytest.raises(FlashFault, match="code runs from its partition code"):
            await chip.flash.program(chip.life, "app", 0, bytes(UNIT))
        with pytest.raises(FlashFault, match="code runs from its partition code"):
            await chip.flash.erase(chip.life, "app", 0, 1)
        await chip.flash.program(chip.life, "data", 0, bytes(UNIT))
        assert len(chip.flash.driver_faults) == 2
        assert chip.flash.programs == 1

    run(story, regions=TWO_PARTITIONS, code_partition="code")


def test_another_device_works_at_the_same_time_and_a_cut_tears_both() -> None:
    async def story(chip: Chip) -> None:
        chip.start(lambda life: chip.flash.program(life, "app", 0, bytes(2 * UNIT)))
        chip.start(lambda life: chip.flash.erase(life, "outside", 0, 1))
        await chip.after_ns(PROGRAM_NS + PROGRAM_NS // 2)
        assert chip.flash.driver_faults == []
        chip.node.cut("test")
        assert chip.flash.torn("app") == ((UNIT, UNIT),)
        assert chip.flash.torn("outside") == ((0, SECTOR),)

    blank_outside: list[FlashRegion] = [region("app"), region("outside", device="external")]

    async def prepared(chip: Chip) -> None:
        chip.flash.preload("outside", 0, bytes(SECTOR))
        await story(chip)

    run(prepared, regions=blank_outside)


# In files -------------------------------------------------------------------------------------------


def test_door_module_has_small_units_sectors_of_three_sizes_and_partitions() -> None:
    found = {known.name: known for known in load_personality(data_root() / "ecus" / "door_module.toml").regions()}
    image = found["image:A"]
    assert {known.unit_bytes for known in found.values()} == {8}
    assert [image.begins[n + 1] - image.begins[n] for n in range(image.sector_count)] == [0x4000] * 8 + [
        0x10000,
        0x40000,
    ]
    assert [image.erase_ns(n) // 1_000_000 for n in (0, 7, 8, 9)] == [60, 60, 200, 700]
    assert found["mark:A"].size_bytes == 2048
    assert [found[name].partition for name in ("image:A", "header:A", "boot")] == ["code", "data", "boot"]
    assert (image.endurance_cycles, found["mark:A"].endurance_cycles) == (10_000, 100_000)


def test_file_with_equal_sectors_means_what_it_always_meant() -> None:
    found = {known.name: known for known in load_personality(data_root() / "ecus" / "body_controller.toml").regions()}
    assert found["image:A"].runs == (SectorRun(16, 16384, 100_000_000),)
    assert found["mark:A"].runs == found["header:A"].runs == (SectorRun(1, 16384, 100_000_000),)
    assert {(known.partition, known.device, known.endurance_cycles) for known in found.values()} == {
        ("", "internal", None)
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{ count = 8, size_bytes = 0x4000 },", "{ count = 7, size_bytes = 0x4000 },", "make up 442368 bytes"),
        ('["image:A"]', '["image:B"]', "flash.areas.regions names 'image:B'; there are mark:A"),
        ('["image:A"]', '["boot"]', "each region at most once"),
        ('code_runs_from = "boot"', 'code_runs_from = "rom"', "must be one of: boot, code, data, ram"),
        ("size_bytes = 2048", "size_bytes = 257", "mark:A: every sector must be a multiple of its unit_bytes"),
        ("unit_bytes = 8", "unit_bytes = 6000", "unit_bytes"),
        ("count = 8, size_bytes = 0x4000", "count = 8, size_bytes = 100", "256"),
        ("[nvm]", "[staging]\nunit_bytes = 256\n[nvm]", "staging.program_us"),
    ],
)
def test_wrong_geometry_names_file_key_and_what_is_allowed(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (data_root() / "ecus" / "door_module.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "door_module.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        load_personality(path)
    assert said in str(refused.value)
    assert refused.value.file == str(path)


PARTITION = '[[flash.areas]]\nregions = ["image:A", "header:A", "mark:A"]\npartition = "code"\n\n[nvm]'


def test_leaving_the_programming_session_waits_for_the_block_that_is_being_programmed(
    drive: Any, changed_ecus: Callable[[str, str], Path]
) -> None:
    """The bootloader looks at the validity mark then, which cannot be read meanwhile."""

    async def story(car: Any) -> None:
        assert car.memory.personality.flash.while_receiving
        await car.programming()
        await car.erase(car.image())
        await car.good("3400440000000000001000")
        assert await car.ask(b"\x36\x01" + bytes(2048)) == bytes.fromhex("7601")
        assert (await car.good("1001"))[:2] == bytes.fromhex("5001")
        dump = car.vehicle.dump("ecu")
        assert dump.driver_faults == ()
        assert dump.region("image:A").torn == ()

    drive(story, root=changed_ecus("[nvm]", PARTITION))
