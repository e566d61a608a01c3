"""`otabench run` with several scenarios and folders: one table, one index, one JUnit, one exit code; with workers."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.config import data_root

Cli = Callable[..., Any]
SHORT = ("healthy", "rollback", "forged_signature")


def own(folder: Path, name: str, tail: str = "") -> Path:
    path = folder / "mine" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f'schema = 1\nname = "{name}"\ntitle = "Mine"\n[order]\npackage = "p"\n[[order.images]]\necu = "body"\n'
        f'version = "9.0.0"\nrelease_counter = 9\nsize_bytes = 2000\n{tail}'
    )
    return path


def facts(runs: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [(run["id"], run["trace_sha256"], run["verdict"], run["report"], run["replay"]) for run in runs]


def test_several_scenarios_have_one_index_and_one_junit_in_their_order(otabench: Cli, folder: Path) -> None:
    ended = otabench("run", *SHORT, "--json")
    assert ended.code == 0
    assert [run["scenario"] for run in ended.json["runs"]] == list(SHORT)
    root = ElementTree.parse(folder / "reports" / "junit.xml").getroot()
    assert [suite.get("name") for suite in root] == list(SHORT)
    index = (folder / "reports" / "index.html").read_text()
    assert [index.count(f'href="{Path(run["report"]).parent.name}/report.html"') for run in ended.json["runs"]] == [
        2, 2, 2,
    ]  # fmt: skip
    assert "3 of 3 runs ended as expected" in index


def test_workers_give_the_same_results_in_the_same_order(otabench: Cli, folder: Path) -> None:
    alone = otabench("run", *SHORT, "power_cut_ecu", "--json")
    shutil.rmtree(folder / "reports")
    together = otabench("run", *SHORT, "power_cut_ecu", "--jobs", "3", "--json")
    assert (together.code, alone.code) == (0, 0)
    assert facts(together.json["runs"]) == facts(alone.json["runs"])
    assert len(list((folder / "reports").glob("*/verdicts.json"))) == 4


def test_folder_stands_for_its_scenario_files_and_a_file_named_twice_is_run_once(otabench: Cli, folder: Path) -> None:
    first, second = own(folder, "a"), own(folder, "b")
    (folder / "mine" / "notes.txt").write_text("no scenario")
    ended = otabench("run", "mine", str(second), str(first), "--json")
    assert ended.code == 0
    assert [run["scenario"] for run in ended.json["runs"]] == ["a", "b"]
    assert (folder / "reports" / "index.html").exists()


def test_folder_without_scenarios_is_refused_with_the_folder_that_has_them(otabench: Cli, folder: Path) -> None:
    ended = otabench("run", str(data_root()))
    assert ended.code == 2
    assert f"name {data_root() / 'scenarios'}" in ended.err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_exit_code_is_the_strongest_and_what_cannot_be_run_stops_nothing(
    otabench: Cli, folder: Path, jobs: str
) -> None:
    own(folder, "fails", '[expect]\noutcome = "refused"\n')
    own(folder, "passes")
    assert otabench("run", "mine", "--jobs", jobs).code == 1
    own(folder, "broken", "colour = 1\n")
    ended = otabench("run", "mine", "healthy", "--jobs", jobs, "--json")
    assert ended.code == 2
    assert [(run["scenario"], run["verdict"]) for run in ended.json["runs"]] == [
        ("fails", "fail"), ("passes", "pass"), ("healthy", "pass"),
    ]  # fmt: skip
    (missing,) = ended.json["not_run"]
    assert (missing["scenario"], missing["exit_code"]) == ("mine/broken.toml", 2)
    assert "colour" in missing["message"]
    assert "mine/broken.toml" in ended.err
    root = ElementTree.parse(folder / "reports" / "junit.xml").getroot()
    assert [suite.get("errors") for suite in root] == ["0", "0", "0", "1"]
    assert "2 of 4 runs ended as expected" in (folder / "reports" / "index.html").read_text()


def test_table_shows_what_could_not_be_run(otabench: Cli, folder: Path) -> None:
    own(folder, "broken", "colour = 1\n")
    ended = otabench("run", "healthy", "mine")
    assert "could not be run" in ended.out
    assert "report: reports/index.html" in ended.out


def test_one_log_of_frames_for_several_runs_is_refused(otabench: Cli) -> None:
    ended = otabench("run", "healthy", "rollback", "--can-log", "x.log")
    assert ended.code == 2
    assert "--can-log with one scenario" in ended.err


def test_workers_in_real_time_are_refused(otabench: Cli) -> None:
    ended = otabench("run", "healthy", "rollback", "--bench", "realtime", "--jobs", "2")
    assert ended.code == 2
    assert "--jobs needs a bench in virtual time" in ended.err


def test_bench_that_lacks_an_ordered_ecu_is_answered_with_one_that_has_it(otabench: Cli) -> None:
    ended = otabench("run", "healthy_fd")
    assert ended.code == 2
    assert "next    run it on a bench that has every ordered ECU: --bench sim_fd" in ended.err


def many(folder: Path) -> list[str]:
    """Scenario files that keep two workers busy for a while."""
    return [str(own(folder, f"s{number}", f"# {number}\n")) for number in range(40)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_all_workers_and_leaves_whole_folders_only(
    start: Callable[..., Any], folder: Path, number: signal.Signals, code: int
) -> None:
    process = start("run", *many(folder), "--jobs", "2")
    process.until_line("err", "1 of 40 done")
    process.interrupt(number)
    ended = process.end()
    assert ended.code == code
    assert "Traceback" not in ended.err
    reports = folder / "reports"
    assert not [path.name for path in reports.iterdir() if path.name.startswith(".")]
    assert not (reports / "index.html").exists()
    for run in reports.iterdir():
        assert json.loads((run / "verdicts.json").read_text())["verdict"] == "pass"
        assert (run / "report.html").exists()


def test_parent_that_is_killed_takes_its_workers_along(start: Callable[..., Any], folder: Path) -> None:
    process = start("run", *many(folder), "--jobs", "2")
    process.until_line("err", "1 of 40 done")
    process.interrupt(signal.SIGKILL)
    assert process.end().code == -signal.SIGKILL  # its standard error ends when the last worker has closed it
    assert len(list((folder / "reports").glob("s*"))) < 40
