from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.core.clock import EPOCH_NS
from bench.core.errors import OutputError
from bench.core.records import EXTENDED, FrameRecord
from bench.evidence.build import View
from bench.evidence.contract import NotRun, Run
from bench.evidence.index import write_index, write_junit
from bench.evidence.places import folder_name
from bench.evidence.write import candump_line, inner_path, replace_folder, write_entry, write_run
from bench.oracle.result import RunResult


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_write_run_writes_the_files_of_the_contract(result: RunResult, tmp_path: Path) -> None:
    folder = write_run(result, tmp_path)
    assert folder.name == f"power_cut_ecu-{hashlib.sha256(result.id.encode()).hexdigest()[:12]}"
    assert names(folder) == [
        "can-can0.log",
        "inputs/benches/sim.toml",
        "inputs/scenarios/power_cut_ecu.toml",
        "inputs/vehicles/two_ecu_car.toml",
        "journal.jsonl",
        "junit.xml",
        "report.html",
        "verdicts.json",
        "view.json",
    ]
    assert (folder / "inputs/scenarios/power_cut_ecu.toml").read_bytes() == b'name = "power_cut_ecu"\n'
    assert View.model_validate_json((folder / "view.json").read_bytes()).vin == result.record.vin


def test_write_run_names_the_report_relative_to_the_current_folder(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_run(result, Path("some/where"))
    run = Run.model_validate_json((folder / "verdicts.json").read_bytes())
    assert run.report == f"some/where/{folder.name}/report.html"
    assert Path(run.report).is_file()


def test_journal_file_hashes_to_the_trace_hash(result: RunResult, tmp_path: Path) -> None:
    journal = (write_run(result, tmp_path) / "journal.jsonl").read_bytes()
    assert journal.endswith(b"\n")
    assert journal == b"".join(line + b"\n" for line in result.journal)
    assert all(json.loads(line) for line in journal.splitlines())


def test_candump_line_adds_the_date_at_which_the_run_began() -> None:
    frame = FrameRecord(123_456_789, "can0", "agent", 0x7A0, 0, bytes.fromhex("0322F195"))
    assert candump_line(frame, EPOCH_NS) == "(1893456000.123456) can0 7A0#0322F195\n"
    late = FrameRecord(61_000_000_999, "can1", "body", 0x18DA00F1, EXTENDED, b"")
    assert candump_line(late, EPOCH_NS) == "(1893456061.000000) can1 18DA00F1#\n"
    assert candump_line(late, 1_800_000_000_000_000_001) == "(1800000061.000001) can1 18DA00F1#\n"


def test_can_log_has_a_line_per_frame_in_order(result: RunResult, tmp_path: Path) -> None:
    lines = (write_run(result, tmp_path) / "can-can0.log").read_text().splitlines()
    assert result.record.frames.watched
    assert len(lines) == len(result.record.frames.items)
    assert lines == sorted(lines)


def test_bus_that_was_not_observed_has_no_log(runs: dict[str, RunResult], tmp_path: Path) -> None:
    assert not list(write_run(runs["unobserved_run"], tmp_path).glob("can-*"))


def test_same_id_replaces_its_folder_whole(result: RunResult, tmp_path: Path) -> None:
    folder = write_run(result, tmp_path)
    (folder / "left_over.txt").write_text("from before")
    assert write_run(replace(result, inputs={}), tmp_path) == folder
    assert "left_over.txt" not in names(folder)
    assert not (folder / "inputs").exists()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_failure_in_the_middle_leaves_nothing_half_written(result: RunResult, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not stay below"):
        write_run(replace(result, inputs={"good.toml": b"", "../../evil.toml": b""}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_failure_in_the_middle_keeps_the_folder_of_before(result: RunResult, tmp_path: Path) -> None:
    folder = write_run(result, tmp_path)
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    with pytest.raises(ValueError, match="does not stay below"):
        write_run(replace(result, inputs={"/etc/passwd": b""}), tmp_path)
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_ctrl_c_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(place: Path) -> None:
        (place / "verdicts.json").write_text("{")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_folder(tmp_path / "run", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_folder_appears_only_when_whole(tmp_path: Path) -> None:
    def fill(place: Path) -> None:
        assert place.name.startswith(".")
        assert not (tmp_path / "run").exists()
        (place / "a").write_text("whole")

    replace_folder(tmp_path / "run", fill)
    assert (tmp_path / "run" / "a").read_text() == "whole"


def test_unwritable_folder_is_an_error_of_the_output_that_names_it(result: RunResult, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(OutputError) as caught:
        write_run(result, blocked / "reports")
    assert str(blocked / "reports") in str(caught.value)
    assert "--out" in str(caught.value)
    with pytest.raises(OutputError, match="cannot be written"):
        write_index([], blocked / "reports")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:/x", "", "a\\..\\..\\x", "a\0b"])
def test_input_name_that_leaves_its_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="does not stay below"):
        inner_path(name)


def test_scenario_with_letters_unfit_for_files_gets_a_harmless_folder(result: RunResult) -> None:
    name = folder_name(replace(result, scenario="../../etc/ä b"))
    assert "/" not in name
    assert not name.startswith(".")


def test_index_links_to_each_report(runs: dict[str, RunResult], tmp_path: Path) -> None:
    path = write_index([write_entry(run, tmp_path) for run in runs.values()], tmp_path)
    folders = [tmp_path / folder_name(run) for run in runs.values()]
    page = path.read_text(encoding="utf-8")
    assert path == tmp_path / "index.html"
    for folder in folders:
        assert f'href="{folder.name}/report.html"' in page
    assert "expected to fail: caught" in page
    assert "not observed: authentic, whole" in page
    assert "5 of 7 runs ended as expected" in page
    assert 'These are the runs of one command; all runs: <code class="command">otabench dashboard</code>' in page
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_index_and_junit_name_what_could_not_be_run(result: RunResult, tmp_path: Path) -> None:
    missing = NotRun(scenario="broken", exit_code=2, message="scenario lacks a key\n  key     <title>")
    entries = [write_entry(result, tmp_path)]
    page = write_index(entries, tmp_path, [missing]).read_text(encoding="utf-8")
    assert "1 of 2 runs ended as expected" in page
    assert "&lt;title&gt;" in page
    root = ElementTree.parse(write_junit(entries, tmp_path, [missing])).getroot()
    assert [suite.get("name") for suite in root] == [result.scenario, "broken"]
    assert (root.get("tests"), root.get("errors")) == ("8", "1")
    error = root.find("testsuite[@name='broken']/testcase/error")
    assert error is not None
    assert (error.get("type"), error.get("message")) == ("exit code 2", "scenario lacks a key")
    assert error.text == missing.message
