"""Messages that are too long: for the transport (0x14), or for the block that was agreed on (0x13)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Drive = Callable[..., Any]
SHORT = 64
"""What the changed ECU's ISO-TP carries, in bytes."""
DID = b"\xf1\x91"
VALUE_BYTES = 2 + 9
"""Identifier and `BCM-HW-03`."""


@pytest.fixture
def short(changed_ecus: Callable[[str, str], Path]) -> Path:
    root = changed_ecus("[isotp]", f"[isotp]\nmax_length = {SHORT}")
    body = root / "ecus" / "body_controller.toml"
    body.write_text(body.read_text().replace("max_block_length = 4095", f"max_block_length = {SHORT}"))
    return root


@pytest.mark.parametrize("count", [1, (SHORT - 1) // VALUE_BYTES, (SHORT - 1) // VALUE_BYTES + 1, 20])
def test_an_answer_that_the_transport_cannot_carry_is_refused_as_too_long(
    drive: Drive, short: Path, count: int
) -> None:
    async def story(car: Any) -> None:
        answer = await car.ask(b"\x22" + DID * count)
        if 1 + count * VALUE_BYTES <= SHORT:
            assert answer == b"\x62" + (DID + b"BCM-HW-03") * count
        else:
            assert answer == bytes.fromhex("7F2214")
        assert await car.version() == "1.0.0", "it is served as before"

    drive(story, root=short)


def test_a_block_of_more_than_the_agreed_length_has_the_wrong_length(
    drive: Drive, changed_ecus: Callable[[str, str], Path]
) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=4096)
        await car.programming()
        await car.erase(image)
        assert await car.hex("34 00 44 00 00 00 00 00 00 10 00") == "74 20 00 40"
        assert await car.ask(b"\x36\x01" + image.data[: SHORT - 2]) == b"\x76\x01"
        assert await car.ask(b"\x36\x02" + image.data[SHORT - 2 :][: SHORT - 1]) == bytes.fromhex("7F3613")
        assert await car.ask(b"\x36\x02" + image.data[SHORT - 2 :][: SHORT - 2]) == b"\x76\x02", (
            "nothing was lost by it"
        )

    root = changed_ecus("max_block_length = 4095", f"max_block_length = {SHORT}")
    drive(story, root=root, installed=False)
