"""Logs of other tools, and damaged ones: frames or one message with the place, never a traceback."""

from __future__ import annotations

import struct
import tempfile
import zlib
from pathlib import Path

import can
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.core.records import BRS, EXTENDED, FD, REMOTE, FrameRecord
from bench.link.can_logs import ERROR, ESI, RX, TX, read_log, write_log

FRAMES = [
    FrameRecord(1_000_000, "can0", TX, 0x7A0, 0, b"\x03\x22\xf1\x95"),
    FrameRecord(1_300_000, "can1", RX, 0x18DA00F1, EXTENDED, b"\x62" * 8),
    FrameRecord(1_600_000, "can0", TX, 0x123, REMOTE, bytes(5)),
    FrameRecord(1_900_000, "can1", RX, 0x7A8, FD | BRS | ESI, bytes(range(64))),
    FrameRecord(2_200_000, "can0", RX, 0, ERROR, b""),
]
ASC = "date Tue Jan 01 00:00:00.000 2030\nbase hex  timestamps absolute\n"


def of(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def frames_or_message(path: Path) -> list[FrameRecord] | InputError:
    try:
        return list(read_log(path))
    except InputError as error:
        return error


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes]:
    """The same frames in each format."""
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".log", ".asc", ".blf"):
            path = Path(folder) / f"x{suffix}"
            write_log(path, FRAMES)
            files[suffix] = path.read_bytes()
    return files


@pytest.mark.parametrize("suffix", [".log", ".asc", ".blf"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_give_frames_or_a_message(suffix: str, data: st.DataObject, whole: dict[str, bytes]) -> None:
    content = bytearray(whole[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = of(Path(folder), f"x{suffix}", bytes(content))
        found = frames_or_message(path)
        if isinstance(found, InputError):
            assert found.file == str(path)
        else:
            assert write_log(Path(folder) / "again.blf", found) == len(found)


def test_frames_of_two_centuries_are_no_log(tmp_path: Path) -> None:
    """Found by the property above: candump's seconds can say it, and no other format can hold it."""
    lines = b"(1893456000.001000) can0 7A0#0322F195 T\n(6893456000.001300) can0 7A0#0322F195 T\n"
    refused = frames_or_message(of(tmp_path, "x.log", lines))
    assert isinstance(refused, InputError)
    assert str(refused.found).startswith("frames 5000000000 s apart")


@pytest.mark.parametrize("suffix", [".log", ".asc", ".blf"])
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_any_bytes_give_frames_or_a_message(suffix: str, data: st.DataObject, whole: dict[str, bytes]) -> None:
    head = whole[suffix][: data.draw(st.sampled_from([0, 4, 144, 200]))]
    with tempfile.TemporaryDirectory() as folder:
        path = of(Path(folder), f"x{suffix}", head + data.draw(st.binary(max_size=200)))
        found = frames_or_message(path)
        if isinstance(found, InputError):
            assert "damaged" in found.problem or "counts each time" in found.problem


@pytest.mark.parametrize("suffix", [".log", ".asc", ".blf"])
def test_log_cut_off_anywhere_is_refused_or_holds_whole_frames_of_the_original(
    suffix: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    content = whole[suffix]
    original = list(read_log(of(tmp_path, f"whole{suffix}", content)))
    for end in range(len(content)):
        path = of(tmp_path, f"cut{suffix}", content[:end])
        found = frames_or_message(path)
        if isinstance(found, InputError):
            assert "damaged" in found.problem
        else:
            assert suffix != ".blf"
            assert found == original[: len(found)]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("(1.0) can0 7E0#0102\n(1.1) can0 7E0#01023\n", "at line 2"),
        ("(1.0) can0\n", "at line 1"),
        ("(x) can0 7E0#00\n", "at line 1"),
        ("(-1.0) can0 7E0#00\n", "at line 1"),
        ("(nan) can0 7E0#00\n", "at line 1"),
        ("(1e300) can0 7E0#00\n", "at line 1"),
        ("\n(1.0) can0 7E0#\n(1.0) can0 FFF#00\n", "at line 3"),
        ("(1.0) can0 7E0#000102030405060708\n", "at line 1"),
        ("(1.0) can0 7E0##1000102030405060708\n", "at line 1"),
        ("(1.0) can0 7E0#0102", "cut off"),
        ("(1.0) can0 7E0#00\0\n", "at line 1"),
        ("(1.0) can0 " + "7" * 20_000 + "#00\n", "at line 1"),
        ("no log at all\n", "at line 1"),
    ],
)
def test_damaged_candump_line_is_named(text: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=place):
        list(read_log(of(tmp_path, "x.log", text)))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "at line 1"),
        ("something else\n", "at line 1"),
        (ASC + "   0.1 1  7E0  Rx   d 8 01 02\n", "at line 3"),
        (ASC + "   0.1 1  7E0  Rx   d 2 01 0G\n", "at line 3"),
        (ASC + "   0.1 1  800  Rx   d 0\n", "at line 3"),
        (ASC + "\n   0.1 CANFD 1 Rx 7E0 1 0 9 12 00 01\n", "at line 4"),
        (ASC + "   0.1 1  7E0  Rx   d 8 01 02 03 04 05 06 07 0", "cut off"),
        ("date x\nbase hex timestamps relative\n   0.1 1  7E0  Rx   d 0\n", "timestamps absolute"),
    ],
)
def test_damaged_asc_line_is_named(text: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=place):
        list(read_log(of(tmp_path, "x.asc", text)))


def test_asc_of_other_tools_is_read(tmp_path: Path) -> None:
    text = (
        "\ufeffdate Mit Mär 3 10:00:00 am 2021\n"
        "base dec timestamps absolute\n"
        "   0.000100 1  2016             Rx   d 2 16 255\n"  # right after the header: no line of it
        "   0.000200 1  Statistic: D 0 R 0 XD 0 XR 0 E 0 O 0 B 0.00%\n"
        "   0.000300 2  ErrorFrame\n"
        "   0.000400 CANFD   2 Rx        100                                   0 0 2  2 01 02   130000  130   200000"
        "     0 0 0 0 0\n"
        "   0.000500 CANFD   2 Rx        100  EngineData                       1 0 2  2 01 02   130000  130   303000"
        "     0 0 0 0 0\n"
        "End TriggerBlock"
    )
    assert list(read_log(of(tmp_path, "x.asc", text.encode("utf-8")))) == [
        FrameRecord(100_000, "can0", RX, 0x7E0, 0, b"\x10\xff"),
        FrameRecord(300_000, "can1", RX, 0, ERROR, b""),
        FrameRecord(400_000, "can1", RX, 100, 0, b"\x01\x02"),
        FrameRecord(500_000, "can1", RX, 100, FD | BRS, b"\x01\x02"),
    ]


def test_candump_of_other_tools_is_read(tmp_path: Path) -> None:
    text = "(0.5) vcan0 7E0#1122\n(0.6) vcan0 20000004#0004000000000000\n\n(0.7) 2 00000123#R8 T\n"
    assert list(read_log(of(tmp_path, "x.log", text))) == [
        FrameRecord(500_000_000, "vcan0", RX, 0x7E0, 0, b"\x11\x22"),
        FrameRecord(600_000_000, "vcan0", RX, 0, ERROR, b""),
        FrameRecord(700_000_000, "can2", TX, 0x123, EXTENDED | REMOTE, bytes(8)),
    ]


def test_log_that_python_can_wrote_in_blf_keeps_date_and_frames(tmp_path: Path) -> None:
    with can.BLFWriter(tmp_path / "x.blf") as writer:
        for n in range(3):
            writer.on_message_received(can.Message(1_700_000_000.5 + n, n, False, data=bytes(n), channel=4))
    frames = list(read_log(tmp_path / "x.blf"))
    assert [(frame.channel, frame.can_id, frame.data) for frame in frames] == [("can4", n, bytes(n)) for n in range(3)]
    assert frames[0].t_ns == (1_700_000_000 - 1_893_456_000) * 1_000_000_000 + 500_000_000


@pytest.mark.parametrize("year", [0, 1852, 1989, 2200])
def test_blf_whose_start_is_no_date_counts_from_its_start(year: int, whole: dict[str, bytes], tmp_path: Path) -> None:
    content = bytearray(whole[".blf"])
    content[40:42] = year.to_bytes(2, "little")
    assert list(read_log(of(tmp_path, "x.blf", bytes(content)))) == FRAMES


def container(content: bytes, *, size_bytes: int | None = None, method: int = 2) -> bytes:
    packed = zlib.compress(content) if method == 2 else content
    body = struct.pack("<H6xL4x", method, len(content) if size_bytes is None else size_bytes) + packed
    size = 16 + len(body)
    return struct.pack("<4sHHLL", b"LOBJ", 16, 1, size, 10) + body + b"\0" * (size % 4)


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        (b"LOBJ", "cut off"),
        (container(b"LOBJ")[:-6], "cut off"),
        (b"JUNK" * 8, "no object begins here"),
        (struct.pack("<4sHHLL", b"LOBJ", 16, 1, 0, 10), "object of 0 bytes"),
        (struct.pack("<4sHHLL", b"LOBJ", 32, 1, 48, 1) + bytes(32), "outside a container"),
        (container(b"x" * 100), "no beginning"),
        (container(bytes(1 << 20), size_bytes=100), "does not hold"),
        (container(b"", size_bytes=1 << 30), "container of"),
        (container(b"", method=7), "unknown method 7"),
        (container(struct.pack("<4sHHLL", b"LOBJ", 32, 1, 0, 1) + bytes(32)), "an object of 0 bytes"),
        (container(struct.pack("<4sHHLL", b"LOBJ", 32, 1, 40, 1) + bytes(24)), "a frame of 40 bytes"),
        (container(struct.pack("<4sHHLL", b"LOBJ", 32, 9, 48, 1) + bytes(32)), "a frame of 48 bytes"),
        (container(struct.pack("<4sHHLL", b"LOBJ", 32, 1, 48, 1) + bytes(20)), "has no end"),
    ],
)
def test_damaged_blf_is_refused_with_the_offset(rest: bytes, why: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    header = bytearray(whole[".blf"][:144])
    header[16:24] = bytes(8)  # the file's size is not known: a logger that was not closed
    with pytest.raises(InputError, match=f"(?s)at offset 0x90.*{why}"):
        list(read_log(of(tmp_path, "x.blf", bytes(header) + rest)))


def test_missing_file_folder_and_unknown_suffix_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.log").mkdir()
    for name, words in (("none.blf", "does not exist"), ("folder.log", "not a file"), ("x.txt", "candump")):
        with pytest.raises(InputError, match=words):
            list(read_log(tmp_path / name))
