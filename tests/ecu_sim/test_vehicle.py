"""Personality files and the vehicle built from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.config import data_root
from bench.core.errors import InputError
from bench.core.loop import VirtualLoop
from bench.core.specs import EcuSpec, VehicleSpec
from bench.core.world import World
from ecu_sim.personality.personality import load_personality
from ecu_sim.vehicle import build_vehicle

EXCHANGES = ("1003", "22F190", "3E00", "1001")


FILES = {path.stem: path for path in (data_root() / "ecus").glob("*.toml")}


def test_body_controller_has_one_bank_and_the_reference_geometry() -> None:
    body = load_personality(data_root() / "ecus" / "body_controller.toml")
    assert [bank.name for bank in body.banks] == ["A"]
    assert (body.flash.unit_bytes, body.flash.program_us) == (256, 1000)
    assert (body.flash.sector_bytes, body.flash.erase_ms) == (16 * 1024, 100)


def test_gateway_has_two_banks_and_the_reference_geometry() -> None:
    gateway = load_personality(data_root() / "ecus" / "gateway.toml")
    assert [bank.name for bank in gateway.banks] == ["A", "B"]
    assert (gateway.flash.unit_bytes, gateway.flash.program_us) == (512, 500)
    assert (gateway.flash.sector_bytes, gateway.flash.erase_ms) == (64 * 1024, 150)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("p2_ms = 50", "p2_msec = 50", "p2_ms"),
        ("sector_bytes = 16384", "sector_bytes = 16300", "multiple of unit_bytes"),
        ("hmac_sha256", "rot13", "hmac_sha256"),
        ("header_address = 0x00F00000", "header_address = 0x00003000", "overlaps"),
        ('name = "A"', 'name = "first"', "banks.0.name"),
        ("size_bytes = 0x40000", "size_bytes = 0x40001", "multiple of flash.sector_bytes"),
        ("pending_margin_ms = 10", "pending_margin_ms = 60", "pending_margin_ms"),
    ],
)
def test_wrong_personality_file_is_refused_with_file_key_and_allowed(
    changed_ecus: Any, old: str, new: str, message: str
) -> None:
    root = changed_ecus(old, new)
    with pytest.raises(InputError) as caught:
        load_personality(root / "ecus" / "body_controller.toml")
    assert message in str(caught.value)
    assert "body_controller.toml" in str(caught.value)


def test_unknown_personality_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"body_controller\.toml"):
        load_personality(data_root() / "ecus" / "toaster.toml")


def spec(channel: str = "can0") -> VehicleSpec:
    ecu = EcuSpec(
        id="ecu", personality="body_controller", channel=channel, request_id=1, response_id=2, hardware_id="H",
        software_id="S",
    )  # fmt: skip
    return VehicleSpec(vin="ZZZ00TABENCH00001", functional_id=0x7DF, ecus=(ecu,))


@pytest.mark.parametrize("images", [{"radio": (b"", b"")}, {"ecu": (b"", b"")}])
def test_image_for_an_unknown_ecu_or_without_header_is_refused(images: dict[str, tuple[bytes, bytes]]) -> None:
    loop = VirtualLoop()
    with pytest.raises(InputError):
        build_vehicle(World(loop, 1), spec(), {"can0": object()}, bytes(32), FILES, images)  # type: ignore[dict-item]
    loop.discard()


def test_ecu_on_an_unknown_bus_is_refused() -> None:
    loop = VirtualLoop()
    with pytest.raises(InputError, match="unknown bus"):
        build_vehicle(World(loop, 1), spec("can9"), {}, bytes(32), FILES, {})
    loop.discard()


def test_bit_is_flipped_inside_a_bank_only(drive: Any) -> None:
    async def story(car: Any) -> None:
        before = car.vehicle.dump("ecu").region("image:A").data
        car.vehicle.flip_bit("ecu", "A", 0x10, 7)
        after = car.vehicle.dump("ecu").region("image:A").data
        assert [i for i, (b, a) in enumerate(zip(before, after, strict=True)) if b != a] == [0x10]
        for bank, address in (("A", 0x40000), ("Z", 0)):
            with pytest.raises(InputError):
                car.vehicle.flip_bit("ecu", bank, address, 0)

    drive(story)


def test_same_seed_gives_the_same_trace_and_another_one_other_seeds(drive: Any, tmp_path: Path) -> None:
    async def story(car: Any) -> str:
        await car.flash(car.image())
        for request in EXCHANGES:
            await car.good(request)
        found: str = car.world.journal.sha256()
        return found

    assert drive(story) == drive(story)
    assert drive(story) != drive(story, seed=2)
