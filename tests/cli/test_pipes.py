"""A reader that goes away: the run is whole, and the verdict's exit code stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.process.pipes import lasting

FAILING = (
    'schema = 1\nname = "mine"\ntitle = "Mine"\n[order]\npackage = "p"\n[[order.images]]\necu = "body"\n'
    'version = "9.0.0"\nrelease_counter = 9\nsize_bytes = 2000\n[expect]\noutcome = "refused"\n'
)


def run_without_reader(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run with a standard output that nobody reads any more, as behind `| head -1`; (exit code, standard error)."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench", *arguments], stdout=writer, stderr=subprocess.PIPE, cwd=folder, text=True
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_closed_pipe_keeps_a_passing_verdict(tmp_path: Path, more: list[str]) -> None:
    code, errors = run_without_reader(tmp_path, "run", "forged_signature", *more)
    assert code == 0, errors
    assert "Error" not in errors
    assert len(list(tmp_path.glob("reports/*/report.html"))) == 1


def test_closed_pipe_keeps_a_failing_verdict(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(FAILING)
    assert run_without_reader(tmp_path, "run", "s.toml")[0] == 1


def test_closed_pipe_keeps_the_code_of_wrong_input(tmp_path: Path) -> None:
    code, errors = run_without_reader(tmp_path, "run", "nothing")
    assert code == 2
    assert "no such scenario" in errors


def test_head_takes_its_line_and_the_pipe_fails_only_with_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(FAILING)
    for scenario, code in (("forged_signature", 0), ("s.toml", 1)):
        command = f"set -o pipefail; '{sys.executable}' -m bench run {scenario} 2>&1 | head -1"
        assert subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True).returncode == code


def test_stream_with_a_reader_writes_what_it_is_given_in_the_same_encoding(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w", encoding="utf-8") as file:
        stream = lasting(file)
        stream.write("ü €\n")
        stream.flush()
        assert (stream.encoding, stream.errors, stream.isatty()) == ("utf-8", "strict", False)
    assert path.read_text(encoding="utf-8") == "ü €\n"


def test_full_disk_is_told_and_is_an_equipment_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bench", "run", "forged_signature", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            text=True,
        )
    assert done.returncode == 3
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
