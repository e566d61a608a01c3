"""External staging flash: what is downloaded is checked there and copied; a cut at any instant loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import InputError
from bench.core.points import FaultPoint
from bench.core.records import SectorWear
from ecu_sim.memory.dtcs import Dtc, DtcMemory
from ecu_sim.memory.torn import RULES, TornReads
from ecu_sim.personality.geometry import STAGING, header_region, image_region, mark_region
from ecu_sim.personality.personality import load_personality

LENGTH, SECTOR = 40_000, 16_384
STAGING_SECTION = """[staging]
unit_bytes = 128
program_us = 1500
sector_bytes = 4096
erase_ms = 60
read_bytes_per_ms = 2048

[nvm]"""
CHECK = bytes.fromhex("31010202")
COPY_MS = 2_500
"""Longer than a boot that copies everything."""
COPYING = [
    *(f"program:{n}" for n in range(1, 7)),
    *(f"erase:{n}" for n in range(1, 7)),
]
"""Staging mark, three sectors, header, mark; erases of mark, header, three sectors of the old image, staging mark."""


@pytest.fixture
def root(changed_ecus: Callable[[str, str], Path]) -> Path:
    """Personalities with external flash."""
    return changed_ecus("[nvm]", STAGING_SECTION)


async def downloaded(car: Any) -> Any:
    """Install an old image of the same length, download a new one; returns the new one, not yet checked."""
    old, new = car.image("1.0.0", 1, length=LENGTH), car.image(length=LENGTH)
    car.node.cut("test")
    car.vehicle.install("ecu", old.header.encode(), old.data)
    await car.awake()
    await car.put_image(new)
    return new


def arm(car: Any, point: str, since: dict[str, int]) -> None:
    """Cut the power at the n-th operation of what follows."""
    event, n, *where = point.split(":")
    shifted = ":".join(("power.ecu:ecu", event, str(since[event] + int(n)), *where))
    car.world.points.arm(FaultPoint.parse(shifted), lambda: car.node.cut("test"))


def counts(car: Any) -> dict[str, int]:
    return {event: car.world.points.counter("ecu", event).n for event in ("program", "erase")}


async def wake(car: Any) -> tuple[str, str | None]:
    """Power on, wait until a copy would be done; returns the stage that was reached."""
    car.node.power_on()
    await car.wait_ms(COPY_MS)
    stage: tuple[str, str | None] = car.stages()[-1]
    return stage


def holds(car: Any, bank: str, image: Any) -> bool:
    flash = car.memory.flash
    found = flash.raw(image_region(bank), 0, LENGTH), flash.raw(header_region(bank), 0, 256)
    return bool(found == (image.data, image.header.encode()))


def mark_is_blank(car: Any, bank: str) -> bool:
    region = car.memory.flash.region(mark_region(bank))
    return bool(car.memory.flash.is_erased(region.name, 0, region.size_bytes))


def test_download_leaves_the_bank_bootable_until_it_is_checked(drive: Any, root: Path) -> None:
    async def story(car: Any) -> None:
        new = await downloaded(car)
        assert holds(car, STAGING, new)
        assert not holds(car, "A", new)
        car.node.reset()
        await car.wait_ms(400)
        assert await car.version() == "1.0.0"

    drive(story, root=root)


def test_check_copies_into_the_bank_and_answers_once_it_is_marked(drive: Any, root: Path) -> None:
    async def story(car: Any) -> None:
        new = await downloaded(car)
        since = counts(car)
        assert await car.good(CHECK, 20_000) == bytes.fromhex("7101020200")
        assert [counts(car)[event] - since[event] for event in ("program", "erase")] == [6, 6]
        assert holds(car, "A", new)
        assert holds(car, STAGING, new), "the staged image stays"
        assert mark_is_blank(car, STAGING), "but is not copied again"
        assert await car.good("3101FF01") == bytes.fromhex("7101FF0100")
        car.node.reset()
        await car.wait_ms(400)
        assert await car.version() == "2.0.0"
        dump = car.vehicle.dump("ecu")
        assert [region.name for region in dump.regions] == ["mark:A", "header:A", "image:A"]
        assert dump.driver_faults == ()

    drive(story, root=root)


def test_second_check_changes_nothing(drive: Any, root: Path) -> None:
    async def story(car: Any) -> None:
        await downloaded(car)
        await car.good(CHECK, 20_000)
        since = counts(car)
        assert await car.good(CHECK, 20_000) == bytes.fromhex("7101020200")
        assert counts(car) == since

    drive(story, root=root)


@pytest.mark.parametrize("reads", RULES)
def test_cut_at_every_operation_of_the_copy_boots_old_or_new_and_ends_with_new(
    drive: Any, root: Path, reads: TornReads
) -> None:
    wheres = ("before", "torn=0", "after") if reads is TornReads.MIXED else ("torn=0",)
    for operation in COPYING:
        for where in wheres:
            drive(lambda car, cut=f"{operation}:{where}": cut_once(car, cut, reads), root=root)


async def cut_once(car: Any, cut: str, reads: TornReads) -> None:
    new = await downloaded(car)
    arm(car, cut, counts(car))
    car.memory.tear_as(reads)
    assert await car.ask(CHECK, 10_000) is None, f"{cut} never came"
    assert await wake(car) == ("application", "A"), cut
    staged = not cut.startswith("program:1:") or cut == "program:1:after"
    assert await car.version() == ("2.0.0" if staged else "1.0.0"), cut
    assert holds(car, STAGING, new), cut
    if staged:
        assert mark_is_blank(car, STAGING) or cut.startswith("erase:6:torn"), cut
    await finish(car, new)


async def finish(car: Any, new: Any) -> None:
    """Flash once more, whatever happened."""
    await car.put_image(new)
    assert await car.good(CHECK, 20_000) == bytes.fromhex("7101020200")
    car.node.reset()
    await car.wait_ms(400)
    assert await car.version() == "2.0.0"
    assert car.vehicle.dump("ecu").driver_faults == ()


@pytest.mark.parametrize("first", ["erase:1:torn=0", "erase:4:after", "program:3:torn=40", "program:6:torn=0"])
def test_second_cut_in_the_copy_of_a_boot_is_survived_too(drive: Any, root: Path, first: str) -> None:
    survived = 0
    for second in COPYING:
        survived += drive(lambda car, cut=second: cut_twice(car, first, f"{cut}:torn=0"), root=root)
    assert survived >= 3, "second cuts struck"


async def cut_twice(car: Any, first: str, second: str) -> bool:
    """Return whether the second cut came: a boot that goes on has fewer operations left."""
    new = await downloaded(car)
    arm(car, first, counts(car))
    assert await car.ask(CHECK, 10_000) is None
    arm(car, second, counts(car))
    await wake(car)
    struck = not car.node.powered
    assert await wake(car) == ("application", "A")
    assert await car.version() == "2.0.0"
    assert holds(car, "A", new)
    assert car.vehicle.dump("ecu").driver_faults == ()
    return struck


def test_copy_goes_on_where_it_was_cut(drive: Any, root: Path) -> None:
    async def story(car: Any) -> None:
        await downloaded(car)
        arm(car, "program:4:torn=3", counts(car))
        assert await car.ask(CHECK, 10_000) is None
        await wake(car)
        wear = car.memory.flash.wear
        assert [wear["image:A", sector] for sector in range(3)] == [1, 1, 2], "only the torn sector is erased again"

    drive(story, root=root)


def test_routine_finishes_a_copy_that_went_wrong(drive: Any, root: Path) -> None:
    async def story(car: Any) -> None:
        new = await downloaded(car)
        point = FaultPoint.parse(f"power.ecu:ecu:program:{counts(car)['program'] + 4}:after")
        disturb = lambda: car.memory.flash.preload(header_region("A"), 0, bytes(256))  # noqa: E731
        car.world.points.arm(point, disturb)
        assert await car.ask(CHECK, 20_000) == bytes.fromhex("7F3172"), "the header slot was not blank any more"
        assert not mark_is_blank(car, STAGING)
        assert await car.good(CHECK, 20_000) == bytes.fromhex("7101020200")
        assert holds(car, "A", new)
        wear = car.memory.flash.wear
        assert [wear["image:A", sector] for sector in range(3)] == [1, 1, 1]
        assert len(car.vehicle.dump("ecu").driver_faults) == 1

    drive(story, root=root)


WORN = '[[flash.areas]]\nregions = ["image:A"]\nendurance_cycles = 1\n\n'


def test_bank_that_is_worn_out_is_told_and_leaves_an_ecu_that_answers(
    drive: Any, changed_ecus: Callable[[str, str], Path]
) -> None:
    async def story(car: Any) -> None:
        await downloaded(car)
        await car.memory.flash.erase(car.node.incarnation, image_region("A"), 1, 1)
        car.memory.flash.preload(image_region("A"), SECTOR, bytes(SECTOR))
        assert await car.ask(CHECK, 20_000) == bytes.fromhex("7F3172")
        car.node.reset()
        assert await wake(car) == ("bootloader", None)
        stored = DtcMemory(car.node.incarnation, car.memory.dtc_block).stored
        assert Dtc.MEMORY_FAULT in [dtc.code for dtc in stored]
        assert not mark_is_blank(car, STAGING)
        faults = car.vehicle.dump("ecu").driver_faults
        assert faults == ("erase of image:A sector 1 fails: worn out after 1 erases",) * 2
        assert SectorWear("image:A", 1, 1, 1) in car.vehicle.dump("ecu").wear
        assert await car.version() is None

    drive(story, root=changed_ecus("[nvm]", WORN + STAGING_SECTION))


def test_staged_image_that_rots_is_not_copied(drive: Any, root: Path) -> None:
    async def story(car: Any) -> None:
        await downloaded(car)
        arm(car, "program:1:after", counts(car))
        assert await car.ask(CHECK, 10_000) is None
        car.memory.flash.flip_bit(image_region(STAGING), 777, 2)
        assert await wake(car) == ("application", "A")
        assert await car.version() == "1.0.0"

    drive(story, root=root)


@pytest.mark.parametrize(("changed", "status"), [({"hardware_id": "OTHER-HW"}, 2), ({"counter": 0}, 3)])
def test_image_that_may_not_run_is_refused_before_the_bank_is_touched(
    drive: Any, root: Path, changed: dict[str, Any], status: int
) -> None:
    async def story(car: Any) -> None:
        await car.put_image(car.image(**changed))
        since = counts(car)
        assert await car.good(CHECK) == bytes.fromhex("71010202") + bytes((status,))
        assert counts(car) == since
        car.node.reset()
        await car.wait_ms(400)
        assert await car.version() == "1.0.0"

    drive(story, root=root)


def test_staging_is_refused_for_two_banks(root: Path) -> None:
    with pytest.raises(InputError) as refused:
        load_personality(root / "ecus" / "gateway.toml")
    assert refused.value.key == "staging"
    assert "one bank" in str(refused.value)


async def noticed(car: Any) -> bool:
    """Whether programming counts as interrupted after the next boot."""
    car.node.cut("test")
    await wake(car)
    return any(
        code == Dtc.PROGRAMMING_INTERRUPTED and status & 1 for code, status in car.vehicle._ecus["ecu"].dtcs.supported()
    )


@pytest.mark.parametrize("changed", [{"hardware_id": "OTHER"}, {"counter": 0}], ids=["hardware", "downgrade"])
def test_staged_image_that_failed_its_check_counts_as_interrupted_until_one_is_installed(
    drive: Any, root: Path, changed: dict[str, Any]
) -> None:
    async def story(car: Any) -> None:
        assert not await noticed(car)
        await car.put_image(car.image(length=LENGTH, **changed))
        assert (await car.good(CHECK, 20_000))[-1] != 0
        assert await noticed(car), "it lies there with its header, and nothing came of it"
        await car.flash(car.image(length=LENGTH))
        assert not await noticed(car)
        assert not await noticed(car), "what was installed stays in the staging flash, without its mark"

    drive(story, root=root)


def test_staged_image_that_was_never_checked_counts_as_interrupted(drive: Any, root: Path) -> None:
    async def story(car: Any) -> None:
        await downloaded(car)
        assert await noticed(car)

    drive(story, root=root)


def test_erased_staging_flash_and_an_erased_second_bank_are_blank_and_count_as_nothing(drive: Any, root: Path) -> None:
    """Between a whole erase and the first unit nothing is half done: no cell tells it from a new ECU."""

    async def story(car: Any) -> None:
        await car.programming()
        await car.erase(car.image(length=LENGTH))
        assert not await noticed(car)

    drive(story, root=root)
    drive(story, "gateway")
