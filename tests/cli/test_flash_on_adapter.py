"""`otabench flash` and `run` on a bench whose channel is an adapter and whose ECUs are simulated on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core.clock import wall_utc
from tests.brisk import brisk_bench

Cli = Callable[..., Any]


@pytest.fixture
def bench(folder: Path) -> Path:
    """The built-in bench in real time with short waits, on python-can's `virtual`."""
    brisk = brisk_bench(folder)
    path = brisk.with_name("adapter.toml")
    text = brisk.read_text()
    adapter = 'driver = "python-can"\ninterface = "virtual"\nchannel = "otabench flash"'
    path.write_text(text.replace('driver = "sim"', adapter, 1))
    return path


def test_ecus_simulated_on_an_adapter_are_flashed_together(otabench: Cli, folder: Path, bench: Path) -> None:
    for ecu in ("body", "gateway"):
        (folder / f"{ecu}.bin").write_bytes(bytes(range(256)) * 8)
    ended = otabench(
        "flash", "body=body.bin", "gateway=gateway.bin", "--version", "3.0.0", "--release-counter", "7",
        "--bench", str(bench), "--json",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert [(ecu["ecu"], ecu["version"]) for ecu in ended.json["ecus"]] == [("body", "3.0.0"), ("gateway", "3.0.0")]


def test_trace_and_fingerprint_of_a_job_in_real_time_carry_the_date_of_this_machine(
    otabench: Cli, folder: Path, bench: Path
) -> None:
    """The programming date that goes into a real ECU (F15A, ISO 14229-1 annex C) must be the day of its programming."""
    (folder / "body.bin").write_bytes(bytes(2048))
    began = wall_utc()
    ended = otabench(
        "flash", "body=body.bin", "--version", "3.0.0", "--release-counter", "7", "--bench", str(bench), "--json"
    )
    assert ended.code == 0, ended.err
    lines = (folder / ended.json["folder"] / "can-can0.log").read_text().splitlines()
    stamps = [float(line.split()[0].strip("()")) for line in lines]
    assert stamps == sorted(stamps)
    assert began.timestamp() <= stamps[0] <= stamps[-1] <= wall_utc().timestamp()
    days = {f"{day:%y%m%d}" for day in (began, wall_utc())}
    assert any(f"2EF15A{day}" in line for line in lines for day in days)


def test_dry_run_of_a_bench_with_an_adapter_opens_none(otabench: Cli, folder: Path, bench: Path) -> None:
    bench.write_text(bench.read_text().replace('"virtual"', '"slcan"').replace('"otabench flash"', '"/dev/none"'))
    (folder / "body.bin").write_bytes(bytes(2048))
    arguments = ("body=body.bin", "--version", "3.0.0", "--release-counter", "7", "--bench", str(bench))
    assert otabench("flash", *arguments, "--dry-run").code == 0
    assert otabench("flash", *arguments).code == 3
