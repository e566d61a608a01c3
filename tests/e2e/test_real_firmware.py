"""Firmware that nobody here made: a HEX of the same shape as real ones (a block at 0, configuration words far away)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bincopy
import pytest

from bench.core.errors import InputError
from bench.core.seeds import keyed_bytes
from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]
BLOCK = keyed_bytes(5, "test", "firmware", 0, 20_000)
FAR_ADDRESS = 0x100010C0


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    """Write the HEX: 20,000 bytes at 0 with a hole, 28 bytes far away."""
    file = bincopy.BinFile()
    file.add_binary(BLOCK[:12_000], 0)
    file.add_binary(BLOCK[13_000:], 13_000)
    file.add_binary(bytes(range(28)), FAR_ADDRESS)
    path = tmp_path / "firmware.hex"
    path.write_text(file.as_ihex())
    return path


def flash_of(result: RunResult, length: int) -> bytes:
    dump = next(dump for dump in result.record.flash.items if dump.ecu == "body")
    region = dump.region("image:A")
    assert region is not None
    return region.data[:length]


def test_segments_outside_the_region_are_named_and_refused(load: Load, firmware: Path) -> None:
    with pytest.raises(InputError) as error:
        load("healthy", images={"body": firmware})
    assert "0x100010C0" in str(error.value)
    assert "--crop" in str(error.value)


@pytest.mark.parametrize("scenario", ["healthy", "power_cut_ecu"])
def test_cropped_firmware_ends_in_flash_byte_by_byte(runner: Runner, load: Load, firmware: Path, scenario: str) -> None:
    result = runner.run(load(scenario, images={"body": firmware}, crop=True))
    assert result.as_expected
    assert flash_of(result, len(BLOCK)) == BLOCK[:12_000] + b"\xff" * 1_000 + BLOCK[13_000:]
    assert any("0x100010C0" in note for note in result.notes)
    reference = next(r for r in result.record.references if r.ecu == "body" and r.role == "target")
    assert reference.data == flash_of(result, len(BLOCK))


def test_binary_firmware_is_taken_at_its_base(runner: Runner, load: Load, tmp_path: Path) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(BLOCK)
    result = runner.run(load("healthy", images={"body": path}, binary_base=0x100))
    assert result.as_expected
    assert flash_of(result, 0x100 + len(BLOCK)) == b"\xff" * 0x100 + BLOCK


def test_id_depends_on_the_firmware(runner: Runner, load: Load, tmp_path: Path) -> None:
    ids = set()
    for data in (BLOCK, BLOCK[::-1]):
        path = tmp_path / "same_name.bin"
        path.write_bytes(data)
        ids.add(runner.run(load("healthy", images={"body": path})).id)
    assert len(ids) == 2


MICROPYTHON = Path("/usr/share/firmware-microbit-micropython/firmware.hex")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["healthy", "power_cut_ecu"])
def test_micropython_of_the_debian_package_ends_in_flash_byte_by_byte(
    runner: Runner, load: Load, scenario: str
) -> None:
    """238 KiB at address 0 and configuration words far away; `make nightly` installs the package."""
    source = bincopy.BinFile()
    source.add_ihex_file(str(MICROPYTHON))
    block = next(segment for segment in source.segments if segment.address == 0)
    result = runner.run(load(scenario, images={"body": MICROPYTHON}, crop=True))
    assert result.as_expected
    assert len(block.data) > 200_000
    assert flash_of(result, len(block.data)) == bytes(block.data)
    assert any("0x100010C0" in note for note in result.notes)
