"""RequestFileTransfer (0x38) with 0x36 and 0x37, and the directory behind it, by service and condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation
from bench.core.world import World
from ecu_sim.memory.files import FileArea
from ecu_sim.memory.nvm import NvmDevice

Drive = Callable[..., Any]


def write_request(mode: int, name: bytes, size: int, compressed: int | None = None, form: int = 0) -> bytes:
    """Return a 0x38 that announces a file."""
    sizes = size.to_bytes(2, "big") + (size if compressed is None else compressed).to_bytes(2, "big")
    return bytes((0x38, mode)) + len(name).to_bytes(2, "big") + name + bytes((form, 2)) + sizes


def read_request(name: bytes) -> bytes:
    """Return a 0x38 that reads a file."""
    return b"\x38\x04" + len(name).to_bytes(2, "big") + name + b"\x00"


def plain_request(mode: int, name: bytes) -> bytes:
    """Return a 0x38 that deletes a file (2) or lists a directory (5)."""
    return bytes((0x38, mode)) + len(name).to_bytes(2, "big") + name


async def put(car: Any, mode: int, name: bytes, data: bytes) -> None:
    """Send a file in blocks of 500 bytes."""
    assert await car.good(write_request(mode, name, len(data))) == bytes((0x78, mode)) + bytes.fromhex("040001000200")
    for n, begin in enumerate(range(0, len(data), 500), 1):
        await car.good(bytes((0x36, n)) + data[begin : begin + 500])
    assert await car.good("37") == b"\x77"


async def get(car: Any, request: bytes) -> bytes:
    """Read a file or a directory."""
    answer = await car.good(request)
    size = int.from_bytes(answer[10:14], "big")
    came = b"" if not size else (await car.good("3601"))[2:]
    assert len(came) == size
    await car.good("37")
    return came


async def nrc(car: Any, pdu: bytes) -> int:
    """Ask and insist on a refusal; its code."""
    answer = await car.ask(pdu)
    assert answer is not None
    assert answer[:2] == bytes((0x7F, pdu[0])), answer.hex(" ")
    return int(answer[2])


def test_0x38_adds_reads_lists_replaces_and_deletes_files(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.unlock_application()
        await put(car, 1, b"routes.bin", bytes(range(200)) * 5)
        await put(car, 1, b"empty", b"")
        assert await get(car, plain_request(5, b"/")) == b"routes.bin\nempty\n"
        assert await get(car, read_request(b"routes.bin")) == bytes(range(200)) * 5
        assert await get(car, read_request(b"empty")) == b""
        await put(car, 3, b"routes.bin", b"short")
        assert await get(car, read_request(b"routes.bin")) == b"short"
        assert await car.good(plain_request(2, b"empty")) == b"\x78\x02"
        assert await get(car, plain_request(5, b"/")) == b"routes.bin\n"
        car.node.cut("test")
        await car.awake()
        await car.unlock_application()
        assert await get(car, read_request(b"routes.bin")) == b"short"

    drive(story, "head_unit")


def test_0x38_refuses_session_security_length_and_what_it_cannot_do(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert await nrc(car, read_request(b"a")) == 0x7F
        await car.good("1003")
        assert await nrc(car, b"\x38") == 0x33
        await car.unlock_application()
        for pdu, code in (
            (b"\x38\x04\x00", 0x13), (b"\x38\x04\x00\x05a", 0x13), (b"\x38\x05\x00\x00", 0x13),
            (b"\x38\x04\x00\x01a", 0x13), (read_request(b"a") + b"\x00", 0x13),
            (plain_request(2, b"a") + b"\x00", 0x13),
            (write_request(1, b"a", 5)[:-1], 0x13), (plain_request(7, b"a"), 0x31), (write_request(6, b"a", 5), 0x31),
            (write_request(1, b"a", 5, form=0x10), 0x31), (write_request(1, b"a", 5, compressed=4), 0x31),
            (write_request(1, b"/", 5), 0x31), (write_request(1, b"a", 2_100), 0x70),
            (write_request(1, b"n" * 65, 5), 0x70), (read_request(b"none"), 0x31), (plain_request(2, b"none"), 0x31),
            (plain_request(5, b"/other"), 0x31),
        ):  # fmt: skip
            assert await nrc(car, pdu) == code, pdu.hex(" ")
        await put(car, 1, b"a", b"x")
        assert await nrc(car, write_request(1, b"a", 5)) == 0x22

    drive(story, "head_unit")


def test_0x36_of_a_file_keeps_counter_and_size_and_0x37_waits_for_all_of_it(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.unlock_application()
        assert await nrc(car, b"\x36\x01a") == 0x24
        assert await nrc(car, b"\x37") == 0x24
        await car.good(write_request(1, b"f", 4))
        assert await nrc(car, read_request(b"f")) == 0x22
        for pdu, code in ((b"\x36\x01", 0x13), (b"\x36\x02ab", 0x73), (b"\x36\x01abcde", 0x71), (b"\x37", 0x24)):
            assert await nrc(car, pdu) == code, pdu
        await car.good(b"\x36\x01ab")
        await car.good(b"\x36\x01ab")
        assert await nrc(car, b"\x36\x03cd") == 0x73
        await car.good(b"\x36\x02cd")
        assert await nrc(car, b"\x36\x03e") == 0x24
        await car.good("37")
        assert await get(car, read_request(b"f")) == b"abcd"

    drive(story, "head_unit")


def test_file_under_way_is_forgotten_with_the_session_and_leaves_nothing(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.unlock_application()
        await car.good(write_request(1, b"f", 2))
        await car.good(b"\x36\x01ab")
        await car.good("1003")
        assert await nrc(car, b"\x37") == 0x24
        await car.unlock_application()
        assert await get(car, plain_request(5, b"/")) == b""

    drive(story, "head_unit")


@pytest.mark.parametrize("cut_after_ms", [1, 20, 60, 70])
def test_replaced_file_is_the_old_or_the_new_one_whenever_the_power_goes(drive: Drive, cut_after_ms: int) -> None:
    async def story(car: Any) -> None:
        await car.unlock_application()
        await put(car, 1, b"f", b"old")
        await car.good(write_request(3, b"f", 3))
        await car.good(b"\x36\x01new")
        car.tester.put(b"\x37")
        await car.wait_ms(cut_after_ms)
        car.node.cut("test")
        await car.awake()
        await car.wait_ms(200)
        await car.unlock_application()
        assert await get(car, read_request(b"f")) == (b"new" if cut_after_ms > 65 else b"old")

    drive(story, "head_unit")


def test_0x38_is_unknown_where_the_ecu_has_no_files_and_0x36_belongs_to_programming(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        assert await nrc(car, read_request(b"a")) == 0x11
        assert await nrc(car, b"\x36\x01a") == 0x7F

    drive(story)


names = st.binary(min_size=1, max_size=8).filter(lambda name: 0 not in name)
changes = st.lists(st.tuples(names, st.one_of(st.none(), st.binary(max_size=40))), max_size=12)


@given(changes)
def test_directory_behaves_as_a_dictionary_of_limited_size(steps: list[tuple[bytes, bytes | None]]) -> None:
    loop = VirtualLoop()
    world = World(loop, 1)

    async def story() -> None:
        life = Incarnation(world, "ecu", 1)
        area, model = FileArea(NvmDevice(world, "ecu", 500), 120), dict[bytes, bytes]()
        for name, data in steps:
            if data is None:
                if name in model:
                    await area.delete(life, name)
                    del model[name]
            elif area.fits(name, len(data)):
                await area.put(life, name, data)
                model[name] = data
            else:
                with pytest.raises(ValueError, match="does not fit"):
                    await area.put(life, name, data)
            assert dict(area.files) == model

    loop.run(story())
