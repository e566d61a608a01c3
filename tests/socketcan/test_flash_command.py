"""`otabench flash` as a user calls it: real firmware over vcan0 into `otabench ecu`, which is another process.

The firmware is MicroPython's of the Debian package where it is there, else a HEX of the same shape. A machine that is
emulated gets its first kilobytes over our own ISO-TP; with OTABENCH_CASES of 60 or more (make nightly) all of it goes
over, and over the kernel's too.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import bincopy
import pytest

from bench.config import data_root
from bench.core.seeds import keyed_bytes
from tests.interop.real_can import BENCH, ROOT

MICROPYTHON = Path("/usr/share/firmware-microbit-micropython/firmware.hex")
WHOLE = int(os.environ.get("OTABENCH_CASES", "6")) >= 60
FEW_BYTES = 6_000
FAR_ADDRESS = 0x100010C0
LIMIT_S = 600.0
VERSION_DID = 0xF189


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    """Write the HEX: code at 0, configuration words far away, as the real file has them."""
    source = bincopy.BinFile()
    if MICROPYTHON.exists():
        source.add_ihex_file(str(MICROPYTHON))
    else:
        source.add_binary(keyed_bytes(5, "test", "firmware", 0, 20_000), 0)
        source.add_binary(bytes(range(28)), FAR_ADDRESS)
    if not WHOLE:
        source.exclude(FEW_BYTES, FAR_ADDRESS)
    path = tmp_path / "firmware.hex"
    path.write_text(source.as_ihex())
    return path


@pytest.fixture(params=["own", "kernel"] if WHOLE else ["own"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, ecu_on_vcan0: str) -> Path:
    """Write a user's files: a bench on vcan0 with no simulated ECU, and a recipe that lets an ECU think for 5 s."""
    mine = tmp_path / "mine"
    shutil.copytree(data_root(), mine)
    recipe = mine / "recipes" / "single_bank.toml"
    patient = recipe.read_text().replace("p2_ms = 50 ", "p2_ms = 5000 ").replace("star_ms = 5000 ", "star_ms = 20000 ")
    assert patient != recipe.read_text()
    recipe.write_text(patient)
    path = mine / "benches" / "vcan.toml"
    channel = {"interface": "socketcan", "channel": ecu_on_vcan0, "transport": request.param, "options": ""}
    path.write_text(BENCH.format(vehicle="one_ecu_van", **channel))
    return path


def otabench_flash(folder: Path, *arguments: str) -> tuple[int, Any, str]:
    """Run `otabench flash ARGUMENTS --json` in a process of its own; returns exit code, JSON, messages."""
    command = [sys.executable, "-m", "bench.cli", "flash", *arguments, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else None, ended.stderr


def version_read(folder: Path, bench: Path) -> str:
    code, said, errors = otabench_flash(folder, "--read", "--bench", str(bench))
    assert code == 0, errors
    (body,) = said["ecus"]
    return next(str(each["text"]) for each in body["identifiers"] if each["did"] == VERSION_DID)


def test_cropped_firmware_reaches_an_ecu_in_another_process(
    request: pytest.FixtureRequest, tmp_path: Path, bench: Path, firmware: Path
) -> None:
    version = f"3.1.0 {request.node.callspec.id}"
    signing = ("--crop", "--version", version, "--release-counter", "9", "--bench", str(bench))
    code, said, errors = otabench_flash(tmp_path, f"body={firmware}", *signing)
    assert code == 0, errors
    (body,) = said["ecus"]
    print(f"{body['sent_bytes']} bytes in {body['duration_s']:.1f} s: {body['phases_s']}")
    assert (said["clock"], said["outcome"], body["outcome"], body["version"]) == ("real", "flashed", "flashed", version)
    assert body["image"]["sha256"] == sha256_of_the_code(firmware)
    assert any(f"0x{FAR_ADDRESS:X}" in note for note in body["image"]["left_out"])
    assert version_read(tmp_path, bench) == version


def sha256_of_the_code(firmware: Path) -> str:
    """Return the hash of what lies at 0, found without our own readers of firmware."""
    source = bincopy.BinFile()
    source.add_ihex_file(str(firmware))
    block = next(bytes(segment.data) for segment in source.segments if segment.address == 0)
    return hashlib.sha256(block).hexdigest()
