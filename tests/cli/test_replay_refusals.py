"""A replay that is refused says why: which firmware, which file, which version; and its command can be pasted."""

from __future__ import annotations

import html
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import __version__
from bench.config import data_root

Cli = Callable[..., Any]


def printed_command(ended: Any) -> list[str]:
    """The replay command as a shell would split it."""
    return shlex.split(ended.err.strip().splitlines()[-1].partition("otabench ")[2])


def own(folder: Path, name: str = "mine") -> Path:
    path = folder / "my files" / "scenarios" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'schema = 1\nname = "{name}"\ntitle = "Mine"\n[order]\npackage = "p"\n[[order.images]]\necu = "body"\n'
        'version = "9.0.0"\nrelease_counter = 9\nsize_bytes = 2000\n'
    )
    return path


def test_printed_command_replays_a_users_own_scenario_from_another_out_folder(otabench: Cli, folder: Path) -> None:
    scenario = own(folder)
    ended = otabench("run", str(scenario), "--out", "my reports")
    assert ended.code == 0
    scenario.unlink()
    command = printed_command(ended)
    assert command[-2:] == ["--out", "my reports"]
    assert otabench(*command).code == 0


@pytest.fixture
def run_with_firmware(otabench: Cli, folder: Path) -> str:
    """The id of a run with body=own.bin."""
    (folder / "own.bin").write_bytes(bytes(range(256)) * 8)
    (folder / "other.bin").write_bytes(bytes(range(255, -1, -1)) * 8)
    return str(otabench("run", "power_cut_ecu", "--image", "body=own.bin", "--crop", "--json").json["runs"][0]["id"])


def test_other_firmware_is_named_with_what_the_run_had(otabench: Cli, run_with_firmware: str) -> None:
    ended = otabench("replay", run_with_firmware, "--image", "body=other.bin", "--crop")
    assert ended.code == 2
    for words in ("firmware of ECU body is not the one", "other.bin", "key     --image", "2048 bytes", "SHA-256"):
        assert words in ended.err
    assert "add --image" not in ended.err
    assert "lacks" not in ended.err


def test_firmware_that_was_not_given_is_asked_for(otabench: Cli, run_with_firmware: str) -> None:
    ended = otabench("replay", run_with_firmware)
    assert ended.code == 2
    assert "add --image body=FILE" in ended.err
    assert "2048 bytes" in ended.err


def test_missing_firmware_file_is_the_reason_and_nothing_else(otabench: Cli, run_with_firmware: str) -> None:
    ended = otabench("replay", run_with_firmware, "--image", "body=gone.bin")
    assert ended.code == 2
    assert ended.err.startswith("error: firmware image does not exist")
    assert "gone.bin" in ended.err


def test_firmware_that_the_run_did_not_use_is_refused(otabench: Cli, run_with_firmware: str) -> None:
    arguments = ("--image", "body=own.bin", "--image", "gateway=own.bin", "--crop")
    ended = otabench("replay", run_with_firmware, *arguments)
    assert ended.code == 2
    assert "leave out --image gateway=own.bin" in ended.err


def test_without_a_report_the_given_firmware_is_doubted_not_asked_for(
    otabench: Cli, folder: Path, run_with_firmware: str
) -> None:
    ended = otabench("replay", run_with_firmware, "--out", "elsewhere", "--image", "body=other.bin")
    assert ended.code == 2
    assert "is body=other.bin the run's own firmware" in ended.err
    assert "can be run and have other inputs" in ended.err
    assert "lacks" not in ended.err


def test_file_that_changed_since_the_run_is_named(otabench: Cli, folder: Path) -> None:
    scenario = own(folder)
    (run,) = otabench("run", str(scenario), "--json").json["runs"]
    copy = next(folder.glob("reports/*/inputs/scenarios/mine.toml"))
    copy.write_text(copy.read_text().replace("2000", "2001"))
    bench = folder / "sim.toml"
    bench.write_text((data_root() / "benches" / "sim.toml").read_text() + "\n# changed\n")
    ended = otabench("replay", run["id"], "--scenario", str(scenario), "--bench", str(bench))
    assert ended.code == 2
    assert "input files differ" in ended.err
    assert "benches/sim.toml" in ended.err


def test_other_golden_run_names_both_versions_where_a_report_of_the_run_is_there(otabench: Cli, folder: Path) -> None:
    (run,) = otabench("run", "forged_signature", "--json").json["runs"]
    other = run["id"].rpartition(".")[0] + ".ffffffffffff"
    for name in ("verdicts.json", "view.json"):
        path = next(folder.glob(f"reports/*/{name}"))
        values = json.loads(path.read_text())
        if name == "verdicts.json":
            values["id"] = other
        else:
            values["tool"]["version"] = "0.0.7"
        path.write_text(json.dumps(values))
    ended = otabench("replay", other)
    assert ended.code == 2
    assert f"(otabench {__version__})" in ended.err
    assert "ffffffffffff (otabench 0.0.7)" in ended.err


@pytest.mark.parametrize("out", ["a", "b"])
def test_other_golden_run_says_clearly_that_the_version_is_unknown(otabench: Cli, out: str) -> None:
    """A report of the same inputs (a) does not tell which version made another id."""
    (run,) = otabench("run", "forged_signature", "--out", "a", "--json").json["runs"]
    ended = otabench("replay", run["id"].rpartition(".")[0] + ".ffffffffffff", "--out", out)
    assert ended.code == 2
    assert f"ffffffffffff (otabench, version unknown: no report of this run in {out})" in ended.err


def test_replay_lines_of_verdicts_junit_and_report_work_as_they_stand(otabench: Cli, folder: Path) -> None:
    (folder / "own firmware.bin").write_bytes(bytes(range(256)) * 8)
    wrong = own(folder)
    wrong.write_text(wrong.read_text() + '[expect]\noutcome = "refused"\n')
    ended = otabench("run", str(wrong), "--image", "body=own firmware.bin", "--crop", "--out", "my reports", "--json")
    assert ended.code == 1
    (run,) = ended.json["runs"]
    place = (folder / run["report"]).parent
    stored = json.loads((place / "verdicts.json").read_text())
    line = f"otabench replay {run['id']} --out 'my reports' --image 'body=own firmware.bin' --crop"
    assert run["replay"] == stored["replay"] == line
    root = ElementTree.parse(place / "junit.xml").getroot()
    failure = root.findtext("testsuite/testcase/failure") or ""
    assert f"replay: {line}" in failure.splitlines()
    assert line in html.unescape((place / "report.html").read_text())
    assert otabench(*shlex.split(line)[1:], "--json").json["runs"][0]["trace_sha256"] == run["trace_sha256"]
