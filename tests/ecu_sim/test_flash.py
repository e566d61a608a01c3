"""Flash: write-once, torn by power loss, the same after a cut at a fault point and at a plain instant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.node import Incarnation
from bench.core.points import FaultPoint
from ecu_sim.memory.flash import FlashFault
from ecu_sim.memory.torn import mixed
from tests.ecu_sim.chips import ERASE_NS, PROGRAM_NS, SECTOR, UNIT, Chip, run

DATA = bytes(range(64, 64 + 4 * UNIT))


def program(data: bytes = DATA, offset: int = 0) -> Callable[[Chip], Callable[[Incarnation], Awaitable[None]]]:
    return lambda chip: lambda life: chip.flash.program(life, "app", offset, data)


def test_program_of_erased_units_reads_back_and_takes_time_per_unit() -> None:
    async def story(chip: Chip) -> None:
        await chip.flash.program(chip.life, "app", UNIT, DATA)
        assert chip.world.clock.now_ns() == 4 * PROGRAM_NS
        assert chip.flash.read("app", 0, 6 * UNIT) == b"\xff" * UNIT + DATA + b"\xff" * UNIT
        assert (chip.flash.programs, chip.flash.erases) == (1, 0)

    run(story)


def test_program_of_a_programmed_unit_is_a_recorded_driver_fault_and_changes_nothing() -> None:
    async def story(chip: Chip) -> None:
        await chip.flash.program(chip.life, "app", 0, DATA)
        with pytest.raises(FlashFault, match="not erased"):
            await chip.flash.program(chip.life, "app", 3 * UNIT, bytes(2 * UNIT))
        assert chip.flash.read("app", 0, 4 * UNIT) == DATA
        assert len(chip.flash.driver_faults) == 1
        assert chip.world.points.counter("ecu", "program").n == 1

    run(story)


def test_program_of_ff_over_a_unit_programmed_with_ff_is_a_driver_fault() -> None:
    async def story(chip: Chip) -> None:
        await chip.flash.program(chip.life, "app", 0, b"\xff" * UNIT)
        with pytest.raises(FlashFault):
            await chip.flash.program(chip.life, "app", 0, b"\xff" * UNIT)

    run(story)


@pytest.mark.parametrize(("offset", "length"), [(1, UNIT), (0, UNIT - 1), (0, 0), (256, UNIT), (240, 2 * UNIT)])
def test_program_of_anything_but_whole_units_inside_is_a_driver_fault(offset: int, length: int) -> None:
    async def story(chip: Chip) -> None:
        with pytest.raises(FlashFault):
            await chip.flash.program(chip.life, "app", offset, bytes(length))
        assert chip.flash.driver_faults

    run(story)


def test_protected_region_refuses_program_and_erase() -> None:
    async def story(chip: Chip) -> None:
        with pytest.raises(FlashFault, match="protected"):
            await chip.flash.program(chip.life, "boot", 0, bytes(UNIT))
        with pytest.raises(FlashFault, match="protected"):
            await chip.flash.erase(chip.life, "boot", 0, 1)
        assert len(chip.flash.driver_faults) == 2

    run(story)


def test_erase_makes_units_programmable_again_and_counts_wear() -> None:
    async def story(chip: Chip) -> None:
        await chip.flash.program(chip.life, "app", 0, DATA)
        await chip.flash.erase(chip.life, "app", 0, 2)
        assert chip.flash.is_erased("app", 0, 256)
        await chip.flash.program(chip.life, "app", 0, DATA)
        assert chip.flash.wear == {("app", 0): 1, ("app", 1): 1}

    run(story)


def test_second_operation_while_one_runs_is_a_driver_fault() -> None:
    async def story(chip: Chip) -> None:
        chip.start(program()(chip))
        await chip.after_ns(10)
        with pytest.raises(FlashFault, match="another one runs"):
            await chip.flash.erase(chip.life, "app", 1, 1)

    run(story)


@pytest.mark.parametrize("units_done", [0, 1, 3])
def test_cut_inside_a_program_leaves_prefix_done_one_unit_torn_rest_erased(units_done: int) -> None:
    async def story(chip: Chip) -> None:
        chip.arm_cut(f"power.ecu:ecu:program:1:torn={units_done}")
        chip.start(program()(chip))
        await chip.after_ns(1_000_000)
        at = units_done * UNIT
        torn = chip.flash.read("app", at, UNIT)
        assert chip.flash.read("app", 0, at) == DATA[:at]
        assert torn not in (DATA[at : at + UNIT], b"\xff" * UNIT)
        assert chip.flash.torn("app") == ((at, UNIT),)
        assert chip.flash.is_erased("app", at + UNIT, 64 - at)
        assert not chip.flash.is_erased("app", at, UNIT)

    run(story)


def test_torn_unit_holds_only_bits_of_old_and_new_and_depends_on_the_seed() -> None:
    async def story(chip: Chip) -> bytes:
        chip.arm_cut("power.ecu:ecu:program:1:torn=0")
        chip.start(program()(chip))
        await chip.after_ns(1_000_000)
        return chip.flash.read("app", 0, UNIT)

    first, again, other = run(story), run(story), run(story, seed=2)
    assert first == again != other
    assert all(mixed_byte & byte == byte for mixed_byte, byte in zip(first, DATA, strict=False))


def test_programming_a_torn_unit_is_refused_until_its_sector_is_erased() -> None:
    async def story(chip: Chip) -> None:
        chip.arm_cut("power.ecu:ecu:program:1:torn=1")
        chip.start(program()(chip))
        await chip.after_ns(1_000_000)
        chip.node.power_on()
        with pytest.raises(FlashFault):
            await chip.flash.program(chip.life, "app", UNIT, bytes(UNIT))
        await chip.flash.erase(chip.life, "app", 0, 1)
        await chip.flash.program(chip.life, "app", 0, DATA)
        assert chip.flash.read("app", 0, 64) == DATA
        assert chip.flash.torn("app") == ()

    run(story)


def test_cut_before_a_program_leaves_memory_untouched_and_after_it_complete() -> None:
    async def story(chip: Chip) -> None:
        chip.arm_cut("power.ecu:ecu:program:1:before")
        chip.arm_cut("power.ecu:ecu:program:2:after")
        chip.start(program()(chip))
        await chip.after_ns(1_000_000)
        assert chip.flash.is_erased("app", 0, 256)
        chip.node.power_on()
        chip.start(program()(chip))
        await chip.after_ns(1_000_000)
        assert not chip.node.powered
        assert chip.flash.read("app", 0, 64) == DATA
        assert chip.flash.torn("app") == ()

    run(story)


@settings(max_examples=60, deadline=None)
@given(cut_ns=st.integers(0, 5 * PROGRAM_NS))
def test_cut_at_any_instant_of_a_program_leaves_exactly_what_time_allowed(cut_ns: int) -> None:
    async def story(chip: Chip) -> None:
        chip.start(program()(chip))
        await chip.after_ns(cut_ns)
        chip.node.cut("test")
        await chip.after_ns(10_000_000)
        done, into_next = divmod(cut_ns, PROGRAM_NS)
        done = min(done, 4)
        assert chip.flash.read("app", 0, done * UNIT) == DATA[: done * UNIT]
        torn = ((done * UNIT, UNIT),) if into_next and done < 4 else ()
        assert chip.flash.torn("app") == torn
        first_untouched = (done + len(torn)) * UNIT
        assert chip.flash.is_erased("app", first_untouched, 256 - first_untouched)

    run(story)


@pytest.mark.parametrize("cut_ns", [1, ERASE_NS // 2, ERASE_NS, ERASE_NS + 1, 2 * ERASE_NS])
def test_cut_at_any_instant_of_an_erase_leaves_one_sector_neither_old_nor_erased(cut_ns: int) -> None:
    async def story(chip: Chip) -> None:
        chip.flash.preload("app", 0, DATA * 4)
        chip.start(lambda life: chip.flash.erase(life, "app", 0, 2))
        await chip.after_ns(cut_ns)
        chip.node.cut("test")
        done, into_next = divmod(cut_ns, ERASE_NS)
        for sector in range(4):
            found = chip.flash.read("app", sector * SECTOR, SECTOR)
            if sector < done:
                assert found == b"\xff" * SECTOR
            elif sector == done and into_next:
                assert found not in (DATA, b"\xff" * SECTOR)
                assert chip.flash.torn("app") == ((sector * SECTOR, SECTOR),)
            else:
                assert found == DATA

    run(story)


def test_cut_at_an_armed_erase_tears_the_sector_under_way() -> None:
    async def story(chip: Chip) -> None:
        chip.flash.preload("app", 0, DATA * 4)
        chip.arm_cut("power.ecu:ecu:erase:1:torn=1")
        chip.start(lambda life: chip.flash.erase(life, "app", 0, 3))
        await chip.after_ns(10_000_000)
        assert chip.flash.is_erased("app", 0, SECTOR)
        assert chip.flash.torn("app") == ((SECTOR, SECTOR),)
        assert chip.flash.read("app", 2 * SECTOR, SECTOR) == DATA

    run(story)


def test_an_armed_point_does_not_change_how_long_an_operation_takes() -> None:
    async def story(chip: Chip) -> int:
        chip.world.points.arm(FaultPoint.parse("supply:ecu:program:1:torn=2"), lambda: None)
        await chip.flash.program(chip.life, "app", 0, DATA)
        return chip.world.clock.now_ns()

    assert run(story) == 4 * PROGRAM_NS


def test_reset_during_a_program_tears_as_a_power_cut_does() -> None:
    async def story(chip: Chip) -> None:
        chip.start(program()(chip))
        await chip.after_ns(PROGRAM_NS + 1)
        chip.node.reset()
        await chip.after_ns(PROGRAM_NS)
        assert chip.flash.torn("app") == ((UNIT, UNIT),)

    run(story)


def test_flipped_bit_changes_reading_and_digest_and_stands_in_the_journal() -> None:
    async def story(chip: Chip) -> None:
        await chip.flash.program(chip.life, "app", 0, DATA)
        before = chip.flash.digest("app", 0, 64)
        chip.flash.flip_bit("app", 5, 3)
        assert chip.flash.read("app", 5, 1)[0] == DATA[5] ^ 8
        assert chip.flash.digest("app", 0, 64) != before
        assert [e.kind for e in chip.world.journal.entries()] == ["power", "flash.program", "flash.rot"]

    run(story)


@given(
    old=st.binary(min_size=4, max_size=4), new=st.binary(min_size=4, max_size=4), mask=st.binary(min_size=4, max_size=4)
)
def test_mixed_bytes_come_from_old_or_new_and_equal_neither_when_two_bits_differ(
    old: bytes, new: bytes, mask: bytes
) -> None:
    found = mixed(old, new, mask)
    assert all((f ^ o) & (f ^ n) == 0 for f, o, n in zip(found, old, new, strict=True))
    differing = int.from_bytes(old, "big") ^ int.from_bytes(new, "big")
    assert differing.bit_count() < 2 or found not in (old, new)
