"""Logs as Wireshark sees them: ASC line by line (4.7 on), a head and then frames and nothing else; candump and BLF."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import can
import pytest

from bench.core.clock import NS_PER_S
from bench.core.records import BRS, EXTENDED, FD, FrameRecord
from bench.link.can_logs import ERROR, RX, TX, write_log

FRAME = re.compile(r"\d+\.\d+\s+(\d+\s+(\w+\s+(Tx|Rx)|ErrorFrame)|CANFD)")
"""What the reader of Wireshark takes for a frame (wiretap/vector-asc.c); what comes after the first one and does not
match becomes a frame without identifier and data there."""
FRAMES = [
    FrameRecord(1_000_000, "can0", TX, 0x7E0, 0, b"\x02\x10\x03"),
    FrameRecord(2_500_000, "body", RX, 0x18DA00F1, EXTENDED, bytes(range(8))),
    FrameRecord(100_000 * NS_PER_S, "can0", RX, 0, ERROR, b""),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.asc"
    write_log(path, FRAMES, start_ns=0)
    return path


def test_lines_are_date_then_base_and_from_the_first_frame_on_frames_alone(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("date ")
    assert re.fullmatch(r"base\s+hex\s+timestamps\s+absolute", lines[1])
    first = next(n for n, line in enumerate(lines) if FRAME.search(line))
    assert [line for line in lines[first:] if not FRAME.search(line)] == []
    assert len(lines) - first == len(FRAMES)
    assert all(len(line) < 512 for line in lines), "its longest line"


def test_python_can_reads_it_with_its_date_and_without(path: Path) -> None:
    for relative in (True, False):
        with can.ASCReader(path, relative_timestamp=relative) as reader:
            found = list(reader)
        assert [each.arbitration_id for each in found if not each.is_error_frame] == [0x7E0, 0x18DA00F1]
        assert found[1].timestamp - found[0].timestamp == pytest.approx(0.0015, abs=1e-6)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="Debian's tshark is not installed")
@pytest.mark.parametrize(("suffix", "directions"), [(".log", False), (".blf", True)])
def test_wireshark_reads_every_frame_of_candump_and_blf(tmp_path: Path, suffix: str, directions: bool) -> None:
    path = tmp_path / f"x{suffix}"
    frames = [*FRAMES[:2], FrameRecord(3_000_000, "can0", RX, 0x18DA00F1, EXTENDED | FD | BRS, bytes(range(64)))]
    write_log(path, frames, directions=directions)
    fields = ("-T", "fields", "-e", "can.id", "-e", "can.len")
    shown = subprocess.run(["tshark", "-r", str(path), *fields], capture_output=True, text=True, check=True).stdout
    found = [[int(word, 0) for word in line.split()] for line in shown.splitlines()]
    assert found == [[0x7E0, 3], [0x18DA00F1, 8], [0x18DA00F1, 64]]
