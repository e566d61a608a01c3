"""An ASC log as readers see it that go line by line, as Wireshark 4.7 does: a head, then frames and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import can
import pytest

from bench.core.clock import NS_PER_S
from bench.core.records import EXTENDED, FrameRecord
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
