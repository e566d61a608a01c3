"""The gateway's bootloader is replaced by way of a shadow copy: whatever the instant of a cut, there always is one."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.core.clock import NS_PER_MS, NS_PER_US
from bench.core.errors import InputError
from bench.core.points import FaultPoint
from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.trust.keys import public_key, signing_key
from bench.wire.bootloader_update import LINKED_AT
from bench.wire.image_header import HEADER_BYTES
from ecu_sim.boot.bootloader_update import examine
from ecu_sim.boot.manager import Trust
from ecu_sim.memory.bootloader import CopyState
from ecu_sim.memory.flash import FlashFault
from ecu_sim.memory.torn import RULES, TornReads
from ecu_sim.personality.geometry import BOOT_REGION, BOOT_SHADOW_REGION
from ecu_sim.personality.personality import load_personality

GATEWAY, SHADOW = "gateway", 0x00FA_0000
OLD, NEW = "OTABENCH-BOOT-1.0", "BOOT-2.0"
CODE_BYTES = 3000
TRUST = Trust(public_key("image"), "GW-HW-02")


def new_bootloader(version: str = NEW, **changed: Any) -> SignedImage:
    given: dict[str, Any] = {
        "hardware_id": "GW-HW-02", "software_id": "BOOT", "version": version, "release_counter": 2,
        "load_address": LINKED_AT, "key": signing_key("image"),
    }  # fmt: skip
    return sign_image(demo_payload(1, "boot", version, CODE_BYTES), **(given | changed))


def span(length: int, address: int = SHADOW) -> bytes:
    return address.to_bytes(4, "big") + length.to_bytes(4, "big")


async def put_in_shadow(car: Any, image: SignedImage) -> None:
    """Erase the shadow and download a bootloader to it."""
    await car.programming()
    await car.good(bytes.fromhex("3101FF0044") + span(len(image.file)), 10_000)
    await car.download(SHADOW, image.file, block=1024)


async def update(car: Any, image: SignedImage) -> None:
    """The whole update of a bootloader, the reset and the copy included."""
    await put_in_shadow(car, image)
    assert await car.good("31010208") == bytes.fromhex("7101020800")
    assert await car.good("31010209") == bytes.fromhex("7101020900")
    await car.good("1101")
    await car.wait_ms(500)


async def told(car: Any) -> str:
    """What F180 says."""
    answer: bytes = await car.good("22F180")
    assert answer[:4] == bytes.fromhex("62F18001")
    return answer[4:].decode()


async def bootloader_that_runs(car: Any) -> str:
    """Lead the ECU into its bootloader and ask for its version there."""
    await car.good("1003")
    await car.good("1002")
    await car.wait_ms(300)
    version = await told(car)
    assert car.stages()[-1] == ("bootloader", None)
    run = car.world.recorder.bootloader_runs[-1]
    held = car.memory.flash.raw(run.bank, HEADER_BYTES, len(new_bootloader().data) if version == NEW else 4096)
    assert hashlib.sha256(held).hexdigest() == run.image_sha256, "what runs is whole"
    assert version.encode() in run.header
    return version


def test_f180_tells_the_factory_bootloader(drive: Any) -> None:
    async def story(car: Any) -> None:
        assert await told(car) == OLD
        assert await bootloader_that_runs(car) == OLD

    drive(story, GATEWAY)


def test_update_replaces_the_bootloader_and_keeps_the_application(drive: Any) -> None:
    async def story(car: Any) -> None:
        await update(car, new_bootloader())
        assert await car.version() == "1.0.0"
        assert await told(car) == NEW
        assert await bootloader_that_runs(car) == NEW
        assert car.memory.bootloader.state == CopyState(release_floor=2)
        assert car.memory.flash.driver_faults == []
        await car.unlock()
        await car.good(bytes.fromhex("3101FF0044") + bytes(4) + (4096).to_bytes(4, "big"), 10_000)

    drive(story, GATEWAY)


def test_download_alone_changes_nothing_until_it_is_activated(drive: Any) -> None:
    async def story(car: Any) -> None:
        await put_in_shadow(car, new_bootloader())
        await car.good("1101")
        await car.wait_ms(500)
        assert await told(car) == OLD

    drive(story, GATEWAY)


WRONG: list[tuple[str, Callable[[], SignedImage], str]] = [
    ("signature", lambda: new_bootloader(key=signing_key("somebody else")), "01"),
    ("hardware", lambda: new_bootloader(hardware_id="OTHER-HW-99"), "02"),
    ("downgrade", lambda: new_bootloader(release_counter=0), "03"),
    ("byte", lambda: replace(new_bootloader(), data=bytes(CODE_BYTES)), "04"),
    ("application", lambda: new_bootloader(software_id="APP"), "06"),
    ("linked elsewhere", lambda: new_bootloader(load_address=0), "06"),
]


@pytest.mark.parametrize(("make", "status"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_wrong_bootloader_is_named_by_the_check_and_not_activated(
    drive: Any, make: Callable[[], SignedImage], status: str
) -> None:
    async def story(car: Any) -> None:
        await put_in_shadow(car, make())
        assert await car.hex("31010208") == f"71 01 02 08 {status}"
        assert await car.hex("31010209") == "7F 31 22"
        await car.good("1101")
        await car.wait_ms(500)
        assert await told(car) == OLD

    drive(story, GATEWAY)


def test_bootloader_image_is_no_application(drive: Any) -> None:
    async def story(car: Any) -> None:
        image = new_bootloader()
        await car.programming()
        await car.good(bytes.fromhex("3101FF0044") + span(4096, 0), 10_000)
        await car.download(0, image.data)
        await car.download(0x00F0_0000, image.header.encode())
        assert await car.hex("31010202") == "71 01 02 02 04"

    drive(story, GATEWAY)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("3101FF0044" + span(4, SHADOW - 4).hex(), "7F 31 31"),
        ("3101FF0044" + span(8, SHADOW + 0x1_0000 - 4).hex(), "7F 31 31"),
        ("3101FF0044" + span(0x1000, 0x00F8_0000).hex(), "7F 31 31"),
        ("340044" + span(0x1000, 0x00F8_0000).hex(), "7F 34 31"),
        ("340044" + span(0x1000, SHADOW + 1).hex(), "7F 34 31"),
        ("3101020800", "7F 31 13"),
        ("3101020900", "7F 31 13"),
        ("31010208", "71 01 02 08 05"),
    ],
)
def test_only_the_shadow_can_be_reached(drive: Any, request_: str, answer: str) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        assert await car.hex(request_) == answer
        assert car.memory.flash.erases == 0

    drive(story, GATEWAY)


def test_ecu_with_a_built_in_bootloader_knows_no_such_routine(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        assert await car.hex("31010208") == "7F 31 31"
        assert await told(car) == OLD

    drive(story, "body_controller")


def test_older_bootloader_is_refused_after_the_update(drive: Any) -> None:
    async def story(car: Any) -> None:
        await update(car, new_bootloader())
        await put_in_shadow(car, new_bootloader("BOOT-1.5", release_counter=1))
        assert await car.hex("31010208") == "71 01 02 08 03"

    drive(story, GATEWAY)


# Cuts -----------------------------------------------------------------------------------------------


@pytest.fixture
def small_sectors(changed_ecus: Any) -> Path:
    """ECUs whose bootloader lies in sectors of 1 KiB, so that a copy takes several erases."""
    area = """[[flash.areas]]
regions = ["boot", "boot_shadow"]
sectors = [{ count = 64, size_bytes = 1024, erase_ms = 4 }]

[bootloader_update]"""
    root: Path = changed_ecus("[bootloader_update]", area)
    return root


def operations(drive: Any, root: Path | None) -> list[str]:
    """Every flash operation of an update, before, torn after each unit, and after."""
    found: list[str] = []

    async def story(car: Any) -> None:
        await update(car, new_bootloader())
        for event in ("erase", "program"):
            for occurrence in car.world.points.table()["ecu", event]:
                point = f"power.ecu:ecu:{event}:{occurrence.n}"
                found.extend([point, f"{point}:after"])
                found.extend(f"{point}:torn={unit}" for unit in range(occurrence.units))

    drive(story, GATEWAY, root=root)
    return found


async def still_whole(car: Any) -> str:
    """After a cut: give power, see one whole bootloader, finish the update; returns what was there."""
    car.node.power_on("restored")
    await car.wait_ms(500)
    assert await car.version() == "1.0.0"
    version = await bootloader_that_runs(car)
    assert version in (OLD, NEW)
    await car.good("1101")
    await car.wait_ms(500)
    await update(car, new_bootloader("BOOT-3.0", release_counter=3))
    assert await told(car) == "BOOT-3.0"
    assert examine(car.memory.bootloader, BOOT_REGION, TRUST) is None
    assert car.memory.flash.driver_faults == []
    return version


@pytest.mark.parametrize("reads", RULES)
@pytest.mark.parametrize(("several", "at_least"), [(False, 20), (True, 40)], ids=["one sector", "several sectors"])
def test_cut_at_every_flash_operation_leaves_the_old_or_the_new_bootloader(
    drive: Any, small_sectors: Path, several: bool, at_least: int, reads: TornReads
) -> None:
    root = small_sectors if several else None
    seen: list[str] = []

    def cut_at(point: str) -> Callable[[Any], Awaitable[None]]:
        async def story(car: Any) -> None:
            car.arm_cut(point, reads)
            try:
                await update(car, new_bootloader())
            except AssertionError:
                assert not car.node.powered
            seen.append(await still_whole(car))

        return story

    points = operations(drive, root)
    if reads is not TornReads.MIXED:
        points = [point for point in points if "torn" in point]
        at_least //= 2
    for point in points:
        drive(cut_at(point), GATEWAY, root=root)
    assert len(seen) == len(points) > at_least
    assert set(seen) == {OLD, NEW}


def test_two_cuts_in_the_copy_leave_the_new_bootloader(drive: Any) -> None:
    """The copy is one erase and one program of seven units; a second cut strikes the boot that goes on with it."""

    def cut_twice(first: str, second: str, reads: TornReads) -> Callable[[Any], Awaitable[None]]:
        async def story(car: Any) -> None:
            await put_in_shadow(car, new_bootloader())
            await car.good("31010209")
            counted = {event: car.world.points.counter("ecu", event).n for event in ("erase", "program")}
            for after, point in ((1, first), (2, second)):
                event, _, where = point.partition(":")
                car.arm_cut(f"power.ecu:ecu:{event}:{counted[event] + after}{where and ':' + where}", reads)
            await car.good("1101")
            await car.wait_ms(500)
            for _ in range(3):
                car.node.power_on("restored")
                await car.wait_ms(500)
            assert await bootloader_that_runs(car) == NEW

        return story

    for first in ("erase", "erase:torn=0", "erase:after", "program", "program:torn=0", "program:torn=5"):
        for second in ("erase:torn=0", "erase:after", "program:torn=1", "program:after"):
            for reads in RULES:
                drive(cut_twice(first, second, reads), GATEWAY)


@pytest.mark.parametrize("reads", RULES)
@pytest.mark.parametrize("after_us", [*range(0, 22_500, 2_500), *range(170_000, 186_000, 250)])
def test_cut_at_any_instant_of_the_copying_boot_ends_in_the_new_bootloader(
    drive: Any, after_us: int, reads: TornReads
) -> None:
    """The second range has the end of the erase, the program, both writes of the NVM and the start that follows."""

    async def story(car: Any) -> None:
        await put_in_shadow(car, new_bootloader())
        await car.good("31010209")
        car.node.cut("test")
        car.node.power_on()
        await car.world.clock.sleep_ns(after_us * NS_PER_US)
        car.memory.tear_as(reads)
        car.node.cut("test")
        car.node.power_on()
        await car.wait_ms(500)
        assert await told(car) == NEW
        assert await bootloader_that_runs(car) == NEW
        assert car.memory.bootloader.state == CopyState(release_floor=2)

    drive(story, GATEWAY)


@pytest.mark.parametrize("where", ["", ":torn=0", ":torn=1", ":after"])
@pytest.mark.parametrize("n", [2, 3])
def test_cut_at_every_boot_stage_keeps_a_bootloader(drive: Any, n: int, where: str) -> None:
    """Boot 2 is the start of the old bootloader, boot 3 the one that copies."""

    async def story(car: Any) -> None:
        car.world.points.arm(FaultPoint.parse(f"power.ecu:ecu:boot:{n}{where}"), lambda: car.node.cut("test"))
        try:
            await update(car, new_bootloader())
        except AssertionError:
            assert not car.node.powered
        assert await still_whole(car) == (NEW if n == 3 else OLD)

    drive(story, GATEWAY)


@pytest.mark.parametrize("reads", [TornReads.VALID, TornReads.CHANGING])
def test_shadow_with_torn_cells_is_not_activated_though_it_reads_well(drive: Any, reads: TornReads) -> None:
    """A copy that begins in one boot could find another shadow in the next, and no bootloader would be left."""

    async def story(car: Any) -> None:
        image = new_bootloader()
        await car.programming()
        await car.good(bytes.fromhex("3101FF0044") + span(len(image.file)), 10_000)
        car.memory.tear_as(reads)
        last = -(-len(image.file) // 1024)
        car.arm_cut(f"power.ecu:ecu:program:{last}:torn=0")
        with pytest.raises(AssertionError, match="no answer"):
            await car.download(SHADOW, image.file, block=1024)
        read_well = 0
        for _ in range(2):
            car.node.cut("test")
            await car.awake()
            read_well += examine(car.memory.bootloader, BOOT_SHADOW_REGION, TRUST) is None
        for _ in range(2):
            car.node.cut("test")
            await car.awake()
            await car.programming()
            assert await car.hex("31010208") == "71 01 02 08 04"
            assert await car.hex("31010209") == "7F 31 22"
            await car.good("1101")
            await car.wait_ms(400)
        assert read_well == (2 if reads is TornReads.VALID else 1)

    drive(story, GATEWAY)


def test_bootloader_region_is_protected_again_after_a_copy_that_failed(drive: Any, changed_ecus: Any) -> None:
    worn = '[[flash.areas]]\nregions = ["boot"]\nendurance_cycles = 1\n\n[bootloader_update]'

    async def story(car: Any) -> None:
        await update(car, new_bootloader())
        await update(car, new_bootloader("BOOT-3.0", release_counter=3))
        assert "worn out" in car.memory.flash.driver_faults[-1]
        assert await bootloader_that_runs(car) == NEW
        with pytest.raises(FlashFault, match="protected"):
            await car.memory.flash.erase(car.node.incarnation, BOOT_REGION, 0, 1)

    drive(story, GATEWAY, root=changed_ecus("[bootloader_update]", worn))


def test_active_region_that_rots_is_replaced_by_the_shadow_at_once(drive: Any) -> None:
    async def story(car: Any) -> None:
        await update(car, new_bootloader())
        car.memory.flash.flip_bit(BOOT_REGION, HEADER_BYTES + 5, 0)
        assert await bootloader_that_runs(car) == NEW
        assert car.world.recorder.bootloader_runs[-1].bank == BOOT_SHADOW_REGION
        await car.unlock()
        assert await car.hex((bytes.fromhex("3101FF0044") + span(4096)).hex()) == "7F 31 22", "it runs from there"

    drive(story, GATEWAY)


def test_shadow_that_rots_before_the_copy_leaves_the_old_bootloader(drive: Any) -> None:
    async def story(car: Any) -> None:
        await put_in_shadow(car, new_bootloader())
        await car.good("31010209")
        car.memory.flash.flip_bit(BOOT_SHADOW_REGION, HEADER_BYTES + 5, 0)
        await car.good("1101")
        await car.wait_ms(500)
        assert await bootloader_that_runs(car) == OLD
        assert car.memory.bootloader.state.copying is False

    drive(story, GATEWAY)


def test_boot_that_copies_stays_within_the_boot_time_limit(drive: Any) -> None:
    async def story(car: Any) -> None:
        limit_ms = car.memory.personality.boot.time_limit_ms
        code = car.memory.flash.region(BOOT_REGION).size_bytes - HEADER_BYTES
        image = sign_image(
            demo_payload(1, "boot", "BIG", code), hardware_id="GW-HW-02", software_id="BOOT", version="BIG",
            release_counter=2, load_address=LINKED_AT, key=signing_key("image"),
        )  # fmt: skip
        await put_in_shadow(car, image)
        await car.good("31010209")
        car.node.cut("test")
        car.node.power_on()
        begin_ns = car.world.clock.now_ns()
        await car.wait_ms(limit_ms)
        assert await told(car) == "BIG"
        assert car.world.recorder.boots[-1].t_ns - begin_ns < (limit_ms - 10) * NS_PER_MS

    drive(story, GATEWAY)


def test_shadow_that_overlaps_a_bank_is_refused_by_name(changed_ecus: Any) -> None:
    root = changed_ecus("shadow_address = 0x00FA0000", "shadow_address = 0x00F88000")
    with pytest.raises(InputError, match="overlaps"):
        load_personality(root / "ecus" / "gateway.toml")
