"""Routine 0x0205: how much of a download the flash of a simulated ECU holds, after every kind of interruption."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

UNIT, SECTOR, LENGTH = 256, 16384, 40_000
HEADER_ADDRESS = 0x00F0_0000
Ecus = Callable[[str, str], Path]
Drive = Callable[..., Any]


@pytest.fixture
def root(changed_ecus: Ecus) -> Path:
    """Personalities that can say how far a download is."""
    return changed_ecus("title =", "resume = true\ntitle =")


def range_of(address: int, size_bytes: int) -> bytes:
    return b"\x44" + address.to_bytes(4, "big") + size_bytes.to_bytes(4, "big")


async def progress(car: Any, address: int = 0, size_bytes: int = LENGTH) -> tuple[int, int, int, bytes]:
    """Return mark, held, dirty and hash."""
    option = range_of(address, size_bytes)
    answer: bytes = await car.good(b"\x31\x01\x02\x05" + option)
    assert answer[4:5] == b"\x00"
    assert answer[5:14] == option, "the range is repeated"
    rest = answer[14:]
    assert len(rest) == 41
    return rest[0], int.from_bytes(rest[1:5], "big"), int.from_bytes(rest[5:9], "big"), rest[9:]


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


async def sent(car: Any, data: bytes, blocks: int, block: int = 10 * UNIT) -> None:
    """Erase, and send the first blocks."""
    await car.programming()
    await car.good(b"\x31\x01\xff\x00" + range_of(0, len(data)), 60_000)
    await car.good(b"\x34\x00" + range_of(0, len(data)))
    for n in range(blocks):
        await car.good(bytes((0x36, n + 1)) + data[n * block : (n + 1) * block])


def test_report_of_an_ecu_without_the_option_is_refused_as_unknown(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        assert await car.ask(b"\x31\x01\x02\x05" + range_of(0, LENGTH)) == b"\x7f\x31\x31"

    drive(story)


def test_report_needs_security_and_a_range_of_the_ecu(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        await car.good("1002")
        await car.wait_ms(100)
        assert await car.ask(b"\x31\x01\x02\x05" + range_of(0, LENGTH)) == b"\x7f\x31\x33"
        await car.unlock()
        assert await car.ask(b"\x31\x01\x02\x05" + range_of(0, 0x40001)) == b"\x7f\x31\x31"
        assert await car.ask(b"\x31\x01\x02\x05" + range_of(UNIT - 1, 10)) == b"\x7f\x31\x31"
        assert await car.ask(b"\x31\x01\x02\x05\x24\x00\x00\x00\x00\x00\x10") == b"\x7f\x31\x31"
        assert await car.ask(b"\x31\x01\x02\x05\x44\x00") == b"\x7f\x31\x13"

    drive(story, root=root)


def test_whole_units_are_held_and_the_rest_in_ram_is_not(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        data = car.image(length=LENGTH).data
        await sent(car, data, 3, block=10 * UNIT + 100)
        assert await progress(car) == (0, 31 * UNIT, 0, sha(data[: 31 * UNIT]))

    drive(story, root=root)


def test_report_ends_the_download_so_that_another_one_may_begin_where_it_says(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        data = car.image(length=LENGTH).data
        await sent(car, data, 2)
        _, held, _, _ = await progress(car)
        assert await car.ask(b"\x36\x03" + bytes(UNIT)) == b"\x7f\x36\x24"
        await car.download(held, data[held:])
        assert await progress(car) == (0, LENGTH, 0, sha(data))

    drive(story, root=root)


def test_a_range_of_another_image_is_held_under_its_own_hash(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        old = car.image("1.0.0", 1).data
        await car.programming()
        mark, held, dirty, found = await progress(car, 0, len(old))
        assert (mark, held, dirty, found) == (1, len(old), 0, sha(old))

    drive(story, root=root)


@pytest.mark.parametrize("torn", [0, 4, 9])
def test_torn_unit_is_dirty_from_its_sectors_begin(drive: Drive, root: Path, torn: int) -> None:
    async def story(car: Any) -> None:
        data = car.image(length=LENGTH).data
        car.arm_cut(f"power.ecu:ecu:program:8:torn={torn}")
        await sent(car, data, 7)
        car.tester.put(bytes((0x36, 8)) + data[70 * UNIT : 80 * UNIT])
        await car.wait_ms(2_000)
        await car.awake()
        await car.good("1002")
        await car.unlock()
        assert await progress(car) == (0, SECTOR, SECTOR, sha(data[:SECTOR]))

    drive(story, root=root)


def test_torn_erase_leaves_everything_dirty(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        image = car.image("1.5.0", 1, length=LENGTH)
        car.vehicle.install("ecu", image.header.encode(), image.data)
        await car.programming()
        car.arm_cut("power.ecu:ecu:erase:3:torn=1")
        car.tester.put(b"\x31\x01\xff\x00" + range_of(0, LENGTH))
        await car.wait_ms(2_000)
        await car.awake()
        await car.good("1002")
        await car.unlock()
        mark, held, dirty, _ = await progress(car)
        assert (mark, held, dirty) == (0, 0, LENGTH)

    drive(story, root=root)


def test_header_slot_alone_is_erased_where_downloads_can_be_resumed(drive: Drive, root: Path) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=4096)
        await car.put_image(image)
        assert (await progress(car, HEADER_ADDRESS, UNIT))[1:3] == (UNIT, 0)
        await car.good(b"\x31\x01\xff\x00" + range_of(HEADER_ADDRESS, UNIT))
        assert (await progress(car, HEADER_ADDRESS, UNIT))[1:3] == (0, 0)
        assert await progress(car, 0, 4096) == (0, 4096, 0, sha(image.data))

    drive(story, root=root)


def test_header_slot_alone_cannot_be_erased_otherwise(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        assert await car.ask(b"\x31\x01\xff\x00" + range_of(HEADER_ADDRESS, UNIT)) == b"\x7f\x31\x31"

    drive(story)
