"""Large and scattered files: time and memory are bounded. Each is read by a process that tells its own peak."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.seeds import keyed_bytes
from bench.images.memory import MemoryImage, Segment
from bench.images.writers import encode_chunks

MIB = 1 << 20
MEASURE = """
import json, resource, sys, time
from pathlib import Path
from bench.core.errors import InputError
from bench.images.readers import read_firmware
begin = time.perf_counter()
try:
    found = read_firmware(Path(sys.argv[1])).size_bytes
except InputError as refusal:
    found = refusal.problem
peak_MiB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([found, time.perf_counter() - begin, peak_MiB]))
"""


def measured(path: Path) -> tuple[object, float, float]:
    """Return what was read (bytes or refusal), seconds, and the peak memory in MiB."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], check=True, capture_output=True, text=True)
    found, seconds, peak_mib = json.loads(done.stdout)
    return found, seconds, peak_mib


@pytest.mark.slow
@pytest.mark.parametrize(("file_format", "suffix"), [("ihex", ".hex"), ("srec", ".srec"), ("ti_txt", ".txt")])
def test_image_of_64_mib_is_read_within_a_minute_and_450_mib(tmp_path: Path, file_format: str, suffix: str) -> None:
    image = MemoryImage.of([Segment(0x8000, keyed_bytes(1, "test", "big", 0, MIB) * 64)])
    path = tmp_path / f"big{suffix}"
    with path.open("wb") as out:
        out.writelines(encode_chunks(image, file_format))
    found, seconds, peak_mib = measured(path)
    assert found == 64 * MIB
    assert seconds < 60
    assert peak_mib < 450


@pytest.mark.slow
def test_64_mib_of_scattered_one_byte_records_are_refused_within_a_minute(tmp_path: Path) -> None:
    path = tmp_path / "scattered.hex"
    with path.open("wb") as out:
        for upper in range(160):
            out.write(b":02000004%04X%02X\n" % (upper, -(6 + upper) & 0xFF))
            lines = (b":01%04X00AA%02X\n" % (n, -(0xAB + (n >> 8) + n) & 0xFF) for n in range(0, 0x10000, 2))
            out.writelines(lines)
        out.write(b":00000001FF\n")
    assert path.stat().st_size > 64 * MIB
    found, seconds, peak_mib = measured(path)
    assert "separate stretches of records" in str(found)
    assert seconds < 60
    assert peak_mib < 600
