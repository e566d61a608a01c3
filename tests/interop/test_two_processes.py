"""`otabench ecu` in one process, a tester in another, over udp_multicast in a network of their own."""

from __future__ import annotations

from pathlib import Path

import bincopy
import pytest

from bench.cli import exit_code_of
from tests.interop.real_can import isolated

SCRIPT = "tests.interop.two_processes"
MICROPYTHON_HEX = Path("/usr/share/firmware-microbit-micropython/firmware.hex")


def test_our_flasher_programs_an_ecu_in_another_process_twice() -> None:
    result = isolated(SCRIPT, "flash")
    assert result["versions"] == ["2.0.0", "2.0.0"]
    assert result["sent_bytes"] == 16_384 + 256
    assert result["repeats"] == 0
    assert result["senders"] == ["agent", "body"]


def test_ecu_in_another_process_that_misbehaves_twice_is_programmed_after_repeats() -> None:
    result = isolated(SCRIPT, "misbehave")
    assert result["ready"]["misbehave"] == ["overflow@2", "wrong_length@3"]
    assert result["versions"] == ["2.0.0", "2.0.0"]
    assert result["repeats"] > 0


def test_udsoncan_client_over_can_isotp_is_served_and_refused_by_the_rules() -> None:
    result = isolated(SCRIPT, "udsoncan")
    assert (result["vin"], result["version"]) == ("ZZZ00TABENCH00001", "1.0.0")
    assert result["p2_ms"] == 50
    assert result["refused"] is not None
    assert result["after_reset"] == "1.0.0"
    assert (result["ready"]["request_id"], result["ready"]["response_id"]) == (0x7A0, 0x7A8)


@pytest.mark.parametrize("transport", ["own", "can-isotp"])
def test_otabench_flash_programs_a_hex_file_and_its_record_says_who_paced(tmp_path: Path, transport: str) -> None:
    firmware = tmp_path / "app.hex"
    image = bincopy.BinFile()
    image.add_binary(bytes(i * 7 & 0xFF for i in range(9000)), 0)
    firmware.write_text(image.as_ihex())
    result = isolated(SCRIPT, transport, str(firmware))
    assert result["flash"]["ecus"][0]["version"] == "2.0.0"
    assert len(result["pacing"]) == 1
    assert result["pacing"][0].startswith(f"{transport}: writer thread")
    assert "gaps seen" in result["pacing"][0]


def test_image_that_was_made_is_flashed_at_once_into_a_served_ecu(tmp_path: Path) -> None:
    firmware = tmp_path / "body.bin"
    made = ["image", "make", "two_ecu_car", "body", "--size", "12KiB", "--version", "2.5.0", "-o", str(firmware)]
    assert exit_code_of(made) == 0
    result = isolated(SCRIPT, "own", str(firmware))
    assert result["flash"]["ecus"][0]["version"] == "2.5.0"


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["own", "can-isotp"])
def test_otabench_flash_programs_firmware_of_the_real_world(transport: str) -> None:
    result = isolated(SCRIPT, transport, str(MICROPYTHON_HEX), limit_s=600)
    assert result["flash"]["ecus"][0]["version"] == "2.0.0"
    assert result["flash"]["ecus"][0]["sent_bytes"] > 200_000
