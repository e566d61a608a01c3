"""The commands as a user types them: names, exit codes, JSON, files (`contracts.md`)."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILES_OF_A_RUN = {"report.html", "junit.xml", "verdicts.json", "journal.jsonl", "can-can0.log", "inputs"}
Cli = Callable[..., Any]


def test_run_healthy_passes_and_writes_the_files_of_a_run(otabench: Cli, folder: Path) -> None:
    ended = otabench("run", "healthy", "--json")
    assert ended.code == 0
    (run,) = ended.json["runs"]
    assert (run["verdict"], run["as_expected"], run["blame"], run["fault"]) == ("pass", True, None, None)
    assert [item["id"] for item in run["invariants"]] == [
        "bootable", "authentic", "whole", "truthful", "live", "tidy", "silent",
    ]  # fmt: skip
    assert all(item["evidence"] for item in run["invariants"])
    run_folder = (folder / run["report"]).parent
    assert {path.name for path in run_folder.iterdir()} >= FILES_OF_A_RUN
    assert json.loads((run_folder / "verdicts.json").read_text())["id"] == run["id"]
    assert ET.parse(run_folder / "junit.xml").getroot().tag in ("testsuite", "testsuites")


def test_journal_on_disk_hashes_to_the_trace_hash(otabench: Cli, folder: Path) -> None:
    import hashlib

    (run,) = otabench("run", "forged_signature", "--json").json["runs"]
    journal = ((folder / run["report"]).parent / "journal.jsonl").read_bytes()
    assert hashlib.sha256(journal).hexdigest() == run["trace_sha256"]


def test_run_for_people_names_id_trace_report_and_replay_command(otabench: Cli) -> None:
    ended = otabench("run", "forged_signature")
    assert ended.code == 0
    for word in ("forged_signature", "pass", "id:", "trace:", "report.html"):
        assert word in ended.out
    assert "otabench replay v1.forged_signature." in ended.err


def test_json_prints_one_object_and_nothing_else_on_standard_output(otabench: Cli) -> None:
    ended = otabench("run", "wrong_ecu", "--json")
    assert ended.json["schema"] == 1
    assert set(ended.json) == {"schema", "tool", "runs"}


def test_replay_of_an_id_gives_the_same_trace(otabench: Cli) -> None:
    (run,) = otabench("run", "power_cut_agent", "--json").json["runs"]
    ended = otabench("replay", run["id"], "--json")
    assert ended.code == 0
    (again,) = ended.json["runs"]
    assert (again["id"], again["trace_sha256"]) == (run["id"], run["trace_sha256"])


def test_replay_finds_inputs_in_a_report_that_came_from_elsewhere(otabench: Cli, folder: Path, tmp_path: Path) -> None:
    scenario = folder / "my" / "scenarios" / "mine.toml"
    scenario.parent.mkdir(parents=True)
    scenario.write_text(own_scenario())
    (run,) = otabench("run", str(scenario), "--json").json["runs"]
    scenario.unlink()
    (again,) = otabench("replay", run["id"], "--json").json["runs"]
    assert again["trace_sha256"] == run["trace_sha256"]


def test_replay_without_the_files_says_what_to_do(otabench: Cli) -> None:
    ended = otabench("replay", "v1.healthy.none.1.0123456789ab.0123456789ab")
    assert ended.code == 2
    assert "--bench" in ended.err
    assert "0123456789ab" in ended.err


def test_replay_is_refused_when_the_golden_run_differs(otabench: Cli) -> None:
    (run,) = otabench("run", "healthy", "--json").json["runs"]
    head, _, _ = run["id"].rpartition(".")
    ended = otabench("replay", f"{head}.ffffffffffff")
    assert ended.code == 2
    assert "ffffffffffff" in ended.err
    assert run["id"].rpartition(".")[2] in ended.err


def test_failing_verdict_exits_with_1(otabench: Cli, folder: Path) -> None:
    scenario = folder / "s.toml"
    scenario.write_text(own_scenario() + '\n[expect]\noutcome = "refused"\n')
    ended = otabench("run", str(scenario), "--json")
    assert ended.code == 1
    (run,) = ended.json["runs"]
    assert run["verdict"] == "fail"
    assert not run["as_expected"]


def test_planted_defect_caught_by_its_invariant_is_as_expected(otabench: Cli) -> None:
    ended = otabench("run", "planted_no_verification")
    assert ended.code == 0
    assert "expected to fail: caught (authentic)" in ended.out


def test_doctor_names_python_and_what_is_missing(otabench: Cli) -> None:
    ended = otabench("doctor", "--json")
    assert ended.code == 0
    checks = {check["name"]: check for check in ended.json["checks"]}
    assert checks["Python"]["state"] == "ok"
    assert all(check["advice"] for check in checks.values() if check["state"] == "missing")


@pytest.mark.parametrize("command", ["demo", "doctor", "run", "replay", "dashboard"])
def test_help_of_every_command_has_examples(otabench: Cli, command: str) -> None:
    ended = otabench(command, "--help")
    assert ended.code == 0
    assert "Examples:" in ended.out
    assert f"otabench {command}" in ended.out


def own_scenario() -> str:
    return (
        'schema = 1\nname = "mine"\ntitle = "Mine"\n[order]\npackage = "p"\n[[order.images]]\necu = "body"\n'
        'version = "9.0.0"\nrelease_counter = 9\nsize_bytes = 2000\n'
    )
