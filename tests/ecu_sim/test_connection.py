"""The ECU's side of its addresses and frames: functional requests, habits of personalities, FD on a classic bus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.config import data_root
from bench.core.errors import InputError
from bench.core.loop import VirtualLoop
from bench.core.records import EXTENDED, FD, CanAddress
from bench.core.specs import EcuSpec, VehicleSpec
from bench.core.world import World
from bench.link.sim_bus import SimCanBus
from bench.trust.keys import public_key
from bench.wire.can import CanFrame
from bench.wire.uds import download_response
from ecu_sim.connection import functional_request
from ecu_sim.personality.personality import load_personality
from ecu_sim.vehicle import build_vehicle

NORMAL, WIDE, BYTE = CanAddress(0x7DF), CanAddress(0x18DB33F1, id_29_bit=True), CanAddress(0x6F1, extension=0xDF)


@pytest.mark.parametrize(
    ("address", "flags", "data", "request_pdu"),
    [
        (NORMAL, 0, "02 3e 80", "3e 80"),
        (NORMAL, 0, "02 3e 80 cc cc cc cc cc", "3e 80"),
        (NORMAL, FD, "00 02 3e 80" + " 00" * 8, "3e 80"),
        (NORMAL, FD, "02 3e 80" + " 00" * 9, None),
        (NORMAL, FD, "00 00" + " 00" * 10, None),
        (NORMAL, FD, "00 0b" + " 00" * 10, None),
        (NORMAL, EXTENDED, "02 3e 80", None),
        (NORMAL, 0, "", None),
        (NORMAL, 0, "00", None),
        (NORMAL, 0, "03 3e 80", None),
        (NORMAL, 0, "10 08 31 01 02 03 04 05", None),
        (WIDE, EXTENDED, "02 3e 80", "3e 80"),
        (WIDE, 0, "02 3e 80", None),
        (BYTE, 0, "df 02 3e 80", "3e 80"),
        (BYTE, 0, "40 02 3e 80", None),
        (BYTE, 0, "df", None),
        (BYTE, 0, "df 07 00 00 00 00 00 00", None),
        (BYTE, FD, "df 00 02 3e 80" + " 00" * 7, "3e 80"),
    ],
)
def test_functional_request_is_a_whole_single_frame_to_the_address(
    address: CanAddress, flags: int, data: str, request_pdu: str | None
) -> None:
    found = functional_request(CanFrame(address.can_id, bytes.fromhex(data), flags), address)
    assert found == (None if request_pdu is None else bytes.fromhex(request_pdu))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("st_min = 0", "st_min = 0\ntx_dl = 63", ["isotp.tx_dl", "63", "64"]),
        ("st_min = 0", 'st_min = 0\nframes = "fast"', ["isotp.frames", "fast", "fd_without_brs"]),
        ("st_min = 0", 'st_min = 0\npadding = "zero"', ["isotp.padding", "zero", "none"]),
        ("st_min = 0", 'st_min = 0\nbootloader_frames = "fd"', ["isotp.bootloader_frames", "fd", "classic"]),
        ("st_min = 0", "st_min = 0\nmax_length = 4094", ["uds.max_block_length", "at most isotp.max_length, 4094"]),
        ("max_block_length = 4095", "max_block_length = 4096", ["uds.max_block_length", "4095"]),
        ("block_size = 0\n", "", ["isotp.block_size"]),
    ],
)
def test_habits_that_no_ecu_can_have_are_refused(
    changed_ecus: Callable[[str, str], Path], old: str, new: str, words: list[str]
) -> None:
    with pytest.raises(InputError) as refusal:
        load_personality(changed_ecus(old, new) / "ecus" / "body_controller.toml")
    for word in ("body_controller.toml", *words):
        assert word in str(refusal.value)


def test_head_unit_has_banks_of_64_mib_and_blocks_beyond_12_bits_of_length() -> None:
    head_unit = load_personality(data_root() / "ecus" / "head_unit.toml")
    assert [bank.size_bytes for bank in head_unit.banks] == [64 * 1024 * 1024] * 2
    assert (head_unit.uds.max_block_length, head_unit.isotp.tx_dl) == (65538, 64)


@pytest.mark.parametrize(
    ("length", "answer"), [(4095, "74 20 0f ff"), (0xFFFF, "74 20 ff ff"), (0x1_0002, "74 40 00 01 00 02")]
)
def test_0x34_tells_the_block_length_in_as_many_bytes_as_it_needs(length: int, answer: str) -> None:
    assert download_response(length) == bytes.fromhex(answer)


@pytest.mark.parametrize("data_bitrate_bit_s", [None, 2_000_000])
def test_ecu_with_fd_frames_is_built_on_an_fd_bus_alone(data_bitrate_bit_s: int | None) -> None:
    spec = EcuSpec(
        id="hu", personality="head_unit", channel="can1", request_id=0x18DA21F1, response_id=0x18DAF121,
        addressing="normal_fixed", id_29_bit=True, hardware_id="H", software_id="S",
    )  # fmt: skip
    vehicle = VehicleSpec(vin="ZZZ00TABENCH00001", functional_id=0x7DF, ecus=(spec,))
    files = {"head_unit": data_root() / "ecus" / "head_unit.toml"}
    loop = VirtualLoop()
    world = World(loop, 1)
    buses = {"can1": SimCanBus(world, "can1", 500_000, data_bitrate_bit_s)}
    try:
        if data_bitrate_bit_s is None:
            with pytest.raises(InputError, match="classic bus"):
                build_vehicle(world, vehicle, buses, public_key("image"), files, {})
        else:
            assert build_vehicle(world, vehicle, buses, public_key("image"), files, {}).nodes
    finally:
        loop.discard()
