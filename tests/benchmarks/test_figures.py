"""The shape of reports/benchmarks.json (docs/contracts.md); what the figures are is never asserted."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks.baseline_udsoncan import cpu_s_per_mib
from benchmarks.faulted_run import HERE
from benchmarks.faulted_run import main as faulted_run
from benchmarks.figure import Figure, Measured, write_report
from benchmarks.merge import main as merge
from benchmarks.run import main
from benchmarks.table import FIGURES


def figure(**more: float) -> Figure:
    return Figure(name="x", unit="s", better="lower", measure=lambda: Measured(1.0), **more)


def test_ratio_and_aim_follow_from_the_baseline_of_the_same_run() -> None:
    row = figure(aim_ratio=0.1).row(Measured(1.23456, baseline=10.0))
    assert row == {
        "name": "x", "value": 1.235, "unit": "s", "baseline": 10.0, "ratio": 0.1235, "better": "lower", "aim": 1.0,
    }  # fmt: skip


def test_a_figure_without_baseline_has_no_ratio() -> None:
    row = figure(aim=30).row(Measured(12.0))
    assert (row["baseline"], row["ratio"], row["aim"]) == (None, None, 30.0)


def test_the_file_has_machine_and_the_chosen_figures(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "benchmarks.json"
    done = CliRunner().invoke(main, ["--only", "sim_frames", "--out", str(out)])
    assert done.exit_code == 0, done.output
    written = json.loads(out.read_text())
    assert set(written) == {"schema", "machine", "figures"}
    assert set(written["machine"]) == {"cpu", "cores", "python", "python_build", "calibration_s"}
    assert [row["name"] for row in written["figures"]] == ["sim_frames_per_s"]
    assert list(out.parent.iterdir()) == [out]


def test_figure_taken_elsewhere_replaces_only_that_of_its_name(tmp_path: Path) -> None:
    out, taken = tmp_path / "benchmarks.json", tmp_path / "taken.json"
    old, other, new = (figure().row(Measured(value)) for value in (1.0, 2.0, 3.0))
    other["name"] = "y"
    write_report(out, {"schema": 1, "machine": {"cores": 3}, "figures": [old, other]})
    write_report(taken, {"schema": 1, "figures": [new], "shares": {}})
    done = CliRunner().invoke(merge, [str(taken), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text()) == {"schema": 1, "machine": {"cores": 3}, "figures": [other, new]}


def test_figure_taken_elsewhere_begins_a_report_where_none_is(tmp_path: Path) -> None:
    out, taken = tmp_path / "deep" / "benchmarks.json", tmp_path / "taken.json"
    write_report(taken, {"schema": 1, "figures": [figure().row(Measured(1.0))]})
    assert CliRunner().invoke(merge, [str(taken), "--out", str(out)]).exit_code == 0
    written = json.loads(out.read_text())
    assert set(written) == {"schema", "machine", "figures"}
    assert [row["name"] for row in written["figures"]] == ["x"]


def test_table_that_is_piped_shows_names_whole(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--only", "sim_frames", "--out", str(tmp_path / "x.json")], env={"COLUMNS": "40"})
    assert done.exit_code == 0, done.output
    assert "sim_frames_per_s" in done.output


def test_an_unknown_prefix_names_the_figures_there_are(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--only", "nothing", "--out", str(tmp_path / "x.json")])
    assert done.exit_code == 2
    assert all(figure.name in done.output for figure in FIGURES)


def test_the_baseline_does_the_whole_job() -> None:
    assert cpu_s_per_mib(bytes(range(256)) * 32) > 0


def test_faulted_run_is_taken_in_turns_with_a_second_checkout() -> None:
    done = CliRunner().invoke(faulted_run, ["--baseline", str(HERE), "--rounds", "1"])
    assert done.exit_code == 0, done.output
    first, second, ratio = done.output.splitlines()
    assert first.startswith(f"{HERE}: ")
    assert "verdict pass" in second
    assert "the traces are equal" in ratio


def test_folder_that_is_no_checkout_is_not_measured_in_its_place(tmp_path: Path) -> None:
    done = CliRunner().invoke(faulted_run, ["--baseline", str(tmp_path), "--rounds", "1"])
    assert isinstance(done.exception, RuntimeError)
    assert str(tmp_path) in str(done.exception)
