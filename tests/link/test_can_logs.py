"""CAN logs: what is written comes back, in every format, and other tools read it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import can
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vblf.reader import BlfReader

from bench.core.clock import EPOCH, EPOCH_NS, NS_PER_MS, NS_PER_S
from bench.core.errors import EquipmentError, InputError
from bench.core.records import BRS, EXTENDED, FD, REMOTE, FrameRecord
from bench.evidence.write import candump_line
from bench.link import can_logs
from bench.link.can_logs import ERROR, ESI, RX, TX, read_log, write_log
from bench.wire.can import FD_LENGTHS

SUFFIXES = [".log", ".asc", ".blf"]
EPOCH_S = int(EPOCH.timestamp())
NEWEST_NS = 400_000 * NS_PER_S
"""Four and a half days: a long run."""


@st.composite
def a_frame(draw: st.DrawFn, channels: Sequence[str] = ("can0", "can1", "body")) -> FrameRecord:
    flags = draw(st.sampled_from([0, REMOTE, FD, FD | BRS, FD | ESI, FD | BRS | ESI, ERROR]))
    t_ns, channel = draw(st.integers(0, NEWEST_NS)), draw(st.sampled_from(channels))
    sender = draw(st.sampled_from([TX, RX]))
    if flags == ERROR:
        return FrameRecord(t_ns, channel, RX, 0, ERROR, b"")
    flags |= draw(st.sampled_from([0, EXTENDED]))
    can_id = draw(st.integers(0, 0x1FFF_FFFF if flags & EXTENDED else 0x7FF))
    length = draw(st.sampled_from(FD_LENGTHS if flags & FD else FD_LENGTHS[:9]))
    data = bytes(length) if flags & REMOTE else draw(st.binary(min_size=length, max_size=length))
    return FrameRecord(t_ns, channel, sender, can_id, flags, data)


def in_order(frames: Sequence[FrameRecord]) -> list[FrameRecord]:
    return sorted(frames, key=lambda frame: frame.t_ns)


def to_the_microsecond(frames: Sequence[FrameRecord]) -> list[FrameRecord]:
    return [frame._replace(t_ns=frame.t_ns // 1000 * 1000) for frame in frames]


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(frames=st.lists(a_frame(), max_size=12))
@settings(max_examples=60, deadline=None)
def test_frames_of_every_kind_on_several_channels_come_back(suffix: str, frames: list[FrameRecord]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        assert write_log(path, frames, channels=("can0", "can1", "body"), start_ns=0) == len(frames)
        ordered = in_order(frames)
        assert list(read_log(path)) == (ordered if suffix == ".blf" else to_the_microsecond(ordered))
        assert [each.name for each in path.parent.iterdir()] == [path.name]


@given(frames=st.lists(a_frame(), min_size=1, max_size=8), suffixes=st.permutations(SUFFIXES))
@settings(max_examples=30, deadline=None)
def test_a_log_that_went_through_all_formats_lost_nothing_but_nanoseconds(
    frames: list[FrameRecord], suffixes: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}{suffix}" for number, suffix in enumerate(suffixes)]
        write_log(paths[0], frames, start_ns=0)
        for source, target in pairwise(paths):
            write_log(target, read_log(source), start_ns=0)
        assert list(read_log(paths[-1])) == in_order(to_the_microsecond(in_order(frames)))


@given(frames=st.lists(a_frame(channels=("can0", "can1")).filter(lambda f: not f.flags & (REMOTE | ERROR | ESI))))
@settings(max_examples=40, deadline=None)
def test_candump_log_of_a_run_has_the_lines_of_the_report(frames: list[FrameRecord]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.log"
        write_log(path, frames, directions=False)
        assert path.read_text() == "".join(candump_line(frame, EPOCH_NS) for frame in in_order(frames))


def measured_loss_ns(suffix: str, folder: Path) -> int:
    frames = [FrameRecord(n * 1_234_567_891 + n, "can0", TX, 1, 0, b"") for n in range(3000)]
    path = folder / f"x{suffix}"
    write_log(path, frames, start_ns=0)
    losses = [want.t_ns - got.t_ns for want, got in zip(frames, read_log(path), strict=True)]
    assert min(losses) >= 0
    return max(losses)


@pytest.mark.parametrize(("suffix", "at_most_ns"), [(".log", 999), (".asc", 999), (".blf", 0)])
def test_times_lose_no_more_than_the_documented_resolution(suffix: str, at_most_ns: int, tmp_path: Path) -> None:
    assert measured_loss_ns(suffix, tmp_path) <= at_most_ns


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_python_can_reads_the_same_frames_with_channel_and_direction(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    frames = [
        FrameRecord(1_000_001_234, "can0", "agent", 0x7A0, 0, b"\x03\x22\xf1\x95"),
        FrameRecord(1_000_240_000, "can1", "body", 0x18DA00F1, EXTENDED | FD | BRS, bytes(range(64))),
    ]
    write_log(path, frames, sent_by={"agent"}, start_ns=0)
    with can.LogReader(path) as reader:
        one, two = list(reader)
    assert (one.arbitration_id, one.is_extended_id, one.is_fd, bytes(one.data)) == (0x7A0, False, False, frames[0].data)
    assert (two.arbitration_id, two.is_extended_id, two.is_fd, two.bitrate_switch) == (0x18DA00F1, True, True, True)
    assert bytes(two.data) == frames[1].data
    assert (one.is_rx, two.is_rx) == (False, True)
    assert [one.channel, two.channel] == (["can0", "can1"] if suffix == ".log" else [0, 1])
    start_s = 0 if suffix == ".asc" else EPOCH_S
    assert one.timestamp == pytest.approx(start_s + 1.000001, abs=1e-6)


@pytest.mark.parametrize("suffix", [".asc", ".blf"])
def test_channels_called_can_n_have_number_n_plus_one_whatever_their_order(suffix: str, tmp_path: Path) -> None:
    frames = [FrameRecord(1, "can3", TX, 1, 0, b""), FrameRecord(2, "can1", TX, 2, 0, b"")]
    write_log(tmp_path / f"x{suffix}", frames, channels=("can3", "can1"))
    with can.LogReader(tmp_path / f"x{suffix}") as reader:
        assert [message.channel for message in reader] == [3, 1]
    assert b"otabench channels" not in (tmp_path / f"x{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".asc", ".blf"])
def test_channels_with_other_names_are_numbered_in_the_order_of_the_bench(suffix: str, tmp_path: Path) -> None:
    frames = [FrameRecord(1, "body", TX, 1, 0, b""), FrameRecord(2, "power train", TX, 2, 0, b"")]
    write_log(tmp_path / f"x{suffix}", frames, channels=("power train", "body"))
    with can.LogReader(tmp_path / f"x{suffix}") as reader:
        assert [message.channel for message in reader] == [1, 0]
    assert [frame.channel for frame in read_log(tmp_path / f"x{suffix}")] == ["body", "power train"]


def test_same_frames_give_the_same_bytes_in_every_format(tmp_path: Path) -> None:
    frames = [FrameRecord(n * NS_PER_MS, "can0", TX, n, 0, bytes(8)) for n in range(100)]
    for suffix in SUFFIXES:
        for name in ("a", "b"):
            write_log(tmp_path / f"{name}{suffix}", frames)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_log_of_today_keeps_its_date_through_blf(tmp_path: Path) -> None:
    line = "(1700000000.123456) can0 7E0#0322F190 R\n"
    (tmp_path / "a.log").write_text(line)
    write_log(tmp_path / "b.blf", read_log(tmp_path / "a.log"))
    write_log(tmp_path / "c.log", read_log(tmp_path / "b.blf"))
    assert (tmp_path / "c.log").read_text() == line
    write_log(tmp_path / "d.asc", read_log(tmp_path / "a.log"))
    assert "   0.000000 1" not in (tmp_path / "d.asc").read_text()
    assert next(read_log(tmp_path / "d.asc")).t_ns == 456_000  # the log starts at the millisecond of its first frame


def test_blf_larger_than_a_container_comes_back(tmp_path: Path) -> None:
    frames = [FrameRecord(n * 100_000, "can0", TX, n & 0x7FF, FD, bytes([n & 255] * 64)) for n in range(3000)]
    write_log(tmp_path / "x.blf", frames)
    assert list(read_log(tmp_path / "x.blf")) == frames


def test_independent_reader_of_blf_finds_every_field(tmp_path: Path) -> None:
    frames = [
        FrameRecord(130_047_001, "body", TX, 0x7A0, 0, b"\x03\x22\xf1\x91"),
        FrameRecord(130_275_002, "power", RX, 0x18DA00F1, EXTENDED | FD | BRS | ESI, bytes(range(12))),
        FrameRecord(131_000_003, "body", TX, 0x123, REMOTE, bytes(5)),
        FrameRecord(132_000_004, "body", RX, 0, ERROR, b""),
    ]
    write_log(tmp_path / "x.blf", frames, start_ns=0)
    with BlfReader(tmp_path / "x.blf") as reader:
        objects: list[Any] = list(reader)
        start = reader.file_statistics.measurement_start_time
    assert (start.year, start.month, start.day, start.hour, start.milliseconds) == (2030, 1, 1, 0, 0)
    marker, classic, fd, remote, error = objects
    assert marker.group_name == 'otabench channels: {"1": "body", "2": "power"}'
    times = [each.header.object_time_stamp for each in (classic, fd, remote, error)]
    assert times == [frame.t_ns for frame in frames]
    assert (classic.channel, classic.flags, classic.dlc, classic.frame_id) == (1, 1, 4, 0x7A0)
    assert classic.data[:4] == frames[0].data
    assert (fd.channel, fd.flags, fd.dlc, fd.frame_id) == (2, 0, 9, 0x98DA00F1)
    assert (fd.canfd_flags, fd.valid_data_bytes, fd.data[:12]) == (7, 12, frames[1].data)
    assert (remote.flags, remote.dlc, remote.frame_id) == (0x81, 5, 0x123)
    assert type(error).__name__ == "CanErrorFrameExt"


@pytest.mark.skipif(shutil.which("log2asc") is None, reason="Debian's can-utils is not installed")
def test_log2asc_of_can_utils_reads_every_frame_of_a_candump_log(tmp_path: Path) -> None:
    frames = [
        FrameRecord(130_047_000, "can0", TX, 0x7A0, 0, b"\x03\x22\xf1\x91"),
        FrameRecord(130_275_000, "can1", RX, 0x18DA00F1, EXTENDED, b"\x62"),
        FrameRecord(131_000_000, "can0", TX, 0x123, REMOTE, bytes(5)),
        FrameRecord(132_000_000, "can1", RX, 0x7A8, FD | BRS, bytes(range(12))),
    ]
    for directions in (True, False):
        write_log(tmp_path / "x.log", frames, directions=directions)
        done = subprocess.run(
            ["log2asc", "-I", str(tmp_path / "x.log"), "can0", "can1"], capture_output=True, text=True, check=True
        )
        rows = [" ".join(line.split()) for line in done.stdout.splitlines()[3:]]
        sent = "Tx" if directions else "Rx"
        assert rows[:2] == [f"0.000000 1 7A0 {sent} d 4 03 22 F1 91", "0.000228 2 18DA00F1x Rx d 1 62"]
        assert rows[2] == f"0.000953 1 123 {sent} r 5"
        assert rows[3].startswith("0.001953 CANFD 2 Rx 7A8 1 0 9 12 00 01 02 03 04 05 06 07 08 09 0A 0B")


@pytest.mark.skipif(shutil.which("asc2log") is None, reason="Debian's can-utils is not installed")
def test_asc2log_of_can_utils_reads_the_frames_of_an_asc_log(tmp_path: Path) -> None:
    frames = [
        FrameRecord(130_047_000, "can0", TX, 0x7A0, 0, b"\x03\x22\xf1\x91"),
        FrameRecord(130_275_000, "can1", RX, 0x18DA00F1, EXTENDED, b"\x62"),
        FrameRecord(132_000_000, "can1", RX, 0x7A8, FD | BRS, bytes(range(12))),
    ]
    write_log(tmp_path / "x.asc", frames)
    done = subprocess.run(
        ["asc2log", "-I", str(tmp_path / "x.asc")], capture_output=True, text=True, check=True, env={"TZ": "UTC"}
    )
    assert [" ".join(line.split()[1:3]) for line in done.stdout.splitlines()] == [
        "can0 7A0#0322F191",
        "can1 18DA00F1#62",
        "can1 7A8##1000102030405060708090A0B",
    ]


# Refusals


def test_file_that_does_not_read_back_is_an_equipment_error_and_never_takes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.asc"
    path.write_text("what stood there")
    frames = [FrameRecord(n, "can0", TX, n, 0, bytes(4)) for n in range(5)]
    written = can.ASCWriter.on_message_received

    def broken(self: can.ASCWriter, message: can.Message) -> None:
        if message.arbitration_id == 3:
            message.data[0] ^= 1
        written(self, message)

    monkeypatch.setattr(can.ASCWriter, "on_message_received", broken)
    with pytest.raises(EquipmentError, match=r"frame   4\n") as caught:
        write_log(path, frames)
    assert caught.value.exit_code == 3
    assert path.read_text() == "what stood there"
    assert [each.name for each in tmp_path.iterdir()] == ["x.asc"]


def test_frames_that_a_writer_left_out_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(can.BLFWriter, "on_message_received", lambda *_: None)
    with pytest.raises(EquipmentError, match="read    None"):
        write_log(tmp_path / "x.blf", [FrameRecord(0, "can0", TX, 1, 0, b"")])


def test_missing_python_can_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "can", None)
    with pytest.raises(InputError, match=r"pip install '\.\[can\]'"):
        write_log(tmp_path / "x.blf", [])


def test_channel_name_that_candump_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="power train"):
        write_log(tmp_path / "x.log", [FrameRecord(0, "power train", TX, 1, 0, b"")])
    assert list(tmp_path.iterdir()) == []


def test_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "x.blf", tmp_path):
        with pytest.raises(InputError):
            can_logs.check_target(path)
    with pytest.raises(InputError, match="cannot be written"):
        write_log(tmp_path / "none" / "x.blf", [])
