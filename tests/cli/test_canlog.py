"""`otabench canlog`, and `--can-log` of `run` and `replay`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import can
import pytest

from bench.core.clock import wall_utc
from bench.core.records import BRS, EXTENDED, FD, FrameRecord
from bench.link.can_logs import ERROR, RX, TX, read_log, write_log
from bench.wire.can import ERROR_FRAME_BITS, CanFrame, frame_bits
from tests.brisk import brisk_bench

Cli = Callable[..., Any]
MS = 1_000_000
FRAMES = [
    FrameRecord(10 * MS, "can0", TX, 0x7A0, 0, bytes(8)),
    FrameRecord(20 * MS, "can1", TX, 0x7A0, 0, bytes(2)),
    FrameRecord(30 * MS, "can0", RX, 0x7A8, 0, b"\x55" * 8),
    FrameRecord(40 * MS, "can0", RX, 0x7A8, EXTENDED, bytes(4)),
    FrameRecord(50 * MS, "can0", RX, 0, ERROR, b""),
]


def refused(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err


@pytest.fixture
def log(folder: Path) -> Path:
    """Two channels, three identifiers, an error frame."""
    write_log(folder / "x.blf", FRAMES)
    return folder / "x.blf"


def test_can_log_of_run_and_replay_hold_the_frames_of_the_report(otabench: Cli, folder: Path) -> None:
    ended = otabench("run", "healthy", "--json", "--can-log", "run.log")
    assert (ended.code, ended.json["runs"][0]["verdict"]) == (0, "pass")
    run = ended.json["runs"][0]
    report = Path(run["report"]).with_name("can-can0.log")
    assert Path("run.log").read_bytes() == report.read_bytes()
    count = len(report.read_text().splitlines())
    assert f"CAN log: run.log ({count} frames)" in ended.err
    for name in ("out.blf", "out.asc"):
        ended = otabench("replay", run["id"], "--json", "--can-log", name)
        assert ended.json["runs"][0]["trace_sha256"] == run["trace_sha256"]
        with can.LogReader(name) as reader:
            messages = list(reader)
        texts = [f"{message.arbitration_id:03X}#{message.data.hex().upper()}" for message in messages]
        assert texts == [line.split()[2] for line in report.read_text().splitlines()]
        assert {message.arbitration_id for message in messages if not message.is_rx} == {0x7A0, 0x7A1, 0x7DF}
        assert otabench("canlog", name, "--json").json["frames"] == count


SMALL_UPDATE = """\
schema = 1
name = "small"
title = "One small image"
drive_after = { duration_s = 0 }

[order]
package = "p"

[[order.images]]
ecu = "gateway"
version = "9.0.0"
release_counter = 9
size_bytes = 2000
"""


def test_logs_of_a_run_in_real_time_carry_the_date_of_this_machine(otabench: Cli, folder: Path) -> None:
    """What another tool recorded on the same bus can be laid beside them."""
    began, bench, scenario = wall_utc().timestamp(), str(brisk_bench(folder)), folder / "small.toml"
    scenario.write_text(SMALL_UPDATE)
    runs = [
        otabench("run", str(scenario), "--bench", bench, "--json", "--can-log", name).json["runs"][0]
        for name in ("out.log", "out.blf", "out.asc")
    ]
    ended = wall_utc().timestamp()
    reports = [Path(run["report"]).with_name("can-can0.log") for run in runs]
    assert Path("out.log").read_bytes() == reports[0].read_bytes()
    stamps = [float(line.split()[0].strip("()")) for path in reports for line in path.read_text().splitlines()]
    with can.LogReader("out.blf") as reader:
        stamps += [message.timestamp for message in reader]
    assert len(stamps) > 100
    assert all(began <= stamp <= ended for stamp in stamps)
    dates = otabench("canlog", "out.blf", "--json").json
    assert began <= datetime.fromisoformat(dates["first"]).timestamp() <= ended
    assert str(wall_utc().year) in Path("out.asc").read_text().splitlines()[0]


@pytest.mark.skipif(shutil.which("log2asc") is None, reason="Debian's can-utils is not installed")
def test_log2asc_of_can_utils_reads_every_frame_of_a_run(otabench: Cli, folder: Path) -> None:
    assert otabench("run", "power_cut_ecu", "--can-log", "run.log").code == 0
    done = subprocess.run(["log2asc", "-I", "run.log", "can0"], capture_output=True, text=True, check=True)
    frames = list(read_log(Path("run.log")))
    rows = [line.split() for line in done.stdout.splitlines()[3:]]
    assert [(int(row[2], 16), bytes.fromhex("".join(row[6:]))) for row in rows] == [(f.can_id, f.data) for f in frames]
    first_us = frames[0].t_ns // 1000
    assert [row[0] for row in rows] == [f"{(f.t_ns // 1000 - first_us) / 1e6:.6f}" for f in frames]


@pytest.mark.parametrize("name", ["out.txt", "out", "none/out.blf"])
def test_can_log_that_cannot_be_written_is_refused_before_the_run(otabench: Cli, folder: Path, name: str) -> None:
    for command in (("run", "healthy"), ("replay", "v1.healthy.none.1.828ad7b719d2.a7ac4110ee68")):
        refused(otabench(*command, "--can-log", name), name)
    assert ".log (candump), .asc (Vector ASCII), .blf" in otabench("run", "healthy", "--can-log", "out.txt").err
    assert list(folder.iterdir()) == []


def test_summary_counts_frames_by_channel_and_identifier(otabench: Cli, log: Path) -> None:
    found = otabench("canlog", "x.blf", "--json").json
    assert (found["schema"], found["format"], found["frames"], found["error_frames"]) == (1, "blf", 4, 1)
    assert (found["first"], found["last"]) == ("2030-01-01T00:00:00.010000+00:00", "2030-01-01T00:00:00.050000+00:00")
    assert found["duration_s"] == 0.04
    assert found["channels"] == [
        {"channel": "can0", "frames": 3, "error_frames": 1, "data_bytes": 20, "load": None},
        {"channel": "can1", "frames": 1, "error_frames": 0, "data_bytes": 2, "load": None},
    ]
    assert [(each["channel"], each["id"], each["frames"]) for each in found["ids"]] == [
        ("can0", "7A0", 1),
        ("can0", "7A8", 1),
        ("can0", "000007A8", 1),
        ("can1", "7A0", 1),
    ]
    shown = otabench("canlog", "x.blf").out
    assert "blf, 4 frames, 1 error frames, 0.040000 s from 2030-01-01" in shown
    assert "000007A8" in shown


def test_load_is_counted_from_the_actual_bits(otabench: Cli, log: Path) -> None:
    found = otabench("canlog", "x.blf", "--bitrate", "500000", "--json").json
    bits = [0 if f.flags & ERROR else frame_bits(CanFrame(f.can_id, f.data, f.flags)) for f in FRAMES]
    span_bits = 0.040 * 500_000 + bits[0]
    busy_bits = bits[0] + bits[2] + bits[3] + ERROR_FRAME_BITS
    assert found["duration_s"] == pytest.approx(span_bits / 500_000)
    loads = {each["channel"]: each["load"] for each in found["channels"]}
    assert loads == {"can0": round(busy_bits / span_bits, 4), "can1": round(bits[1] / span_bits, 4)}


def test_load_of_fd_frames_needs_the_data_bit_rate(otabench: Cli, folder: Path) -> None:
    write_log(folder / "fd.asc", [FrameRecord(n * MS, "can0", TX, 1, FD | BRS, bytes(64)) for n in range(1, 9)])
    refused(otabench("canlog", "fd.asc", "--bitrate", "500000"), "--data-bitrate 2000000")
    refused(otabench("canlog", "fd.asc", "--data-bitrate", "2000000"), "--bitrate")
    refused(otabench("canlog", "fd.asc", "--bitrate", "500000", "--data-bitrate", "250000"), "--bitrate")
    slow, fast = (
        otabench("canlog", "fd.asc", "--bitrate", "500000", "--data-bitrate", rate, "--json").json["channels"][0]
        for rate in ("500000", "2000000")
    )
    assert 0 < fast["load"] < slow["load"]


@pytest.mark.parametrize("name", ["y.log", "y.asc", "y.BLF"])
def test_converted_log_holds_the_frames_that_pass_the_filters(otabench: Cli, log: Path, name: str) -> None:
    ended = otabench("canlog", "x.blf", name, "--channel", "can0", "--id", "7A0", "--id", "0x7A8", "--json")
    assert (ended.code, ended.json["file"], ended.json["frames"]) == (0, name, 2)
    assert list(read_log(Path(name))) == [FRAMES[0], FRAMES[2]]
    assert otabench("canlog", "x.blf", name).code == 0
    assert list(read_log(Path(name))) == FRAMES


def test_log_may_be_converted_onto_itself(otabench: Cli, log: Path) -> None:
    assert otabench("canlog", "x.blf", "x.blf", "--id", "7A0").code == 0
    assert len(list(read_log(log))) == 2


def test_filters_that_let_nothing_pass_are_refused_and_nothing_is_written(otabench: Cli, log: Path) -> None:
    refused(otabench("canlog", "x.blf", "y.log", "--channel", "can7"), "--channel can7", "can0, can1")
    refused(otabench("canlog", "x.blf", "--id", "123"), "--id 123")
    shown = otabench("canlog", "x.blf", "--id", "123", "--channel", "can0").err
    assert "key     --id\n" in shown
    assert "identifiers on can0: " in shown
    assert "next    give --id one of these, or leave it out\n" in shown
    shown = otabench("canlog", "x.blf", "--channel", "can9").err
    assert "next    give --channel one of these, or leave it out\n" in shown
    assert (
        "next    give --id 7A0: the log has this number with 11 bits\n"
        in otabench("canlog", "x.blf", "--id", "000007A0").err
    )
    for bad in ("800", "xyz", "20000000", ""):
        refused(otabench("canlog", "x.blf", "--id", bad), "--id is no identifier")
    assert [each.name for each in log.parent.iterdir()] == ["x.blf"]


def test_damaged_log_is_refused_with_its_place_and_nothing_is_written(otabench: Cli, folder: Path) -> None:
    Path("bad.log").write_text("(1.0) can0 7E0#01\n(1.1) can0 7E0#0\n")
    Path("bad.blf").write_bytes(b"LOGG" + bytes(200))
    refused(otabench("canlog", "bad.log", "out.asc"), "bad.log", "at line 2")
    refused(otabench("canlog", "bad.blf"), "bad.blf", "at offset 0x4")
    refused(otabench("canlog", "none.asc"), "does not exist")
    refused(otabench("canlog", "bad.txt"), ".blf (Vector binary)")
    refused(otabench("canlog", "bad.log", "out.txt"), ".blf (Vector binary)")
    assert not Path("out.asc").exists()


def test_log_without_frames_is_shown_as_such(otabench: Cli, folder: Path) -> None:
    Path("empty.log").touch()
    found = otabench("canlog", "empty.log", "--bitrate", "500000", "--json").json
    assert (found["frames"], found["first"], found["channels"]) == (0, None, [])
    assert "0 frames" in otabench("canlog", "empty.log").out
