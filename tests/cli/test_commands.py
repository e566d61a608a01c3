"""The commands as a user types them: names, exit codes, JSON, files (`docs/contracts.md`)."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.config import data_root
from tests.brisk import brisk_bench

FILES_OF_A_RUN = {"report.html", "junit.xml", "verdicts.json", "journal.jsonl", "can-can0.log", "inputs"}
Cli = Callable[..., Any]


def test_run_healthy_passes_and_writes_the_files_of_a_run(otabench: Cli, folder: Path) -> None:
    ended = otabench("run", "healthy", "--json")
    assert ended.code == 0
    (run,) = ended.json["runs"]
    assert (run["verdict"], run["as_expected"], run["blame"], run["fault"]) == ("pass", True, None, None)
    assert [item["id"] for item in run["invariants"]] == [
        "bootable", "authentic", "whole", "truthful", "live", "tidy", "silent", "neighbours",
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
    assert set(ended.json) == {"schema", "tool", "runs", "not_run"}


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


def test_replay_strikes_at_the_points_of_the_id_and_not_of_the_file(otabench: Cli) -> None:
    (run,) = otabench("run", "power_cut_ecu", "--json").json["runs"]
    assert ":program:5:torn=3" in run["id"]
    other = run["id"].replace(":program:5:torn=3", ":program:6:torn=2")
    (again,) = otabench("replay", other, "--json").json["runs"]
    assert again["id"] == other
    assert again["fault"]["point"] == "power.ecu:body:program:6:torn=2"
    assert again["trace_sha256"] != run["trace_sha256"]


def test_replay_of_an_id_with_another_number_of_faults_is_refused(otabench: Cli) -> None:
    (run,) = otabench("run", "power_cut_ecu", "--json").json["runs"]
    ended = otabench("replay", run["id"].replace(":torn=3", ":torn=3,power.ecu:body:boot:1"))
    assert ended.code == 2
    assert "number of faults" in ended.err


def test_real_time_run_keeps_its_evidence_when_it_is_replayed(otabench: Cli, folder: Path) -> None:
    scenario = folder / "mine.toml"
    scenario.write_text("drive_after = { duration_s = 0 }\n" + own_scenario())
    bench = str(brisk_bench(folder))
    (run,) = otabench("run", str(scenario), "--bench", bench, "--json").json["runs"]
    assert ".realtime-" in run["id"]
    ended = otabench("replay", run["id"], "--scenario", str(scenario), "--bench", bench, "--json")
    (again,) = ended.json["runs"]
    assert ended.code == 0
    assert again["report"] != run["report"]
    assert (folder / run["report"]).exists()


def test_run_with_two_faults_names_both(otabench: Cli, folder: Path) -> None:
    scenario = folder / "two.toml"
    points = ("power.ecu:body:erase:first", "power.agent:agent:transition:last")
    faults = "".join(f'[[faults]]\npoint = "{point}"\n' for point in points)
    scenario.write_text(own_scenario().replace('name = "mine"', 'name = "two"') + faults)
    ended = otabench("run", str(scenario), "--json")
    assert ended.code == 0
    (run,) = ended.json["runs"]
    assert run["fault"]["class"] == "power.ecu,power.agent"
    first, second = run["fault"]["point"].split(",")
    assert first == "power.ecu:body:erase:1"
    assert set(run["fault"]["parameters"]) == {first, second}


def test_ecu_named_like_an_emoji_is_printed_as_it_is_written(otabench: Cli, folder: Path) -> None:
    for kind, name in (("benches", "sim_van"), ("vehicles", "one_ecu_van")):
        path = folder / "mine" / kind / f"{name}.toml"
        path.parent.mkdir(parents=True)
        path.write_text((data_root() / kind / f"{name}.toml").read_text().replace('id = "body"', 'id = "seat"'))
    scenario = folder / "s.toml"
    scenario.write_text(own_scenario().replace('"body"', '"seat"') + '[[faults]]\npoint = "power.ecu:seat:program:1"\n')
    ended = otabench("run", str(scenario), "--bench", "mine/benches/sim_van.toml")
    assert ended.code == 0
    assert ended.out.count("power.ecu:seat:program:1") == 2
    assert "power.ecu:seat:program:1" in ended.err


def test_firmware_that_a_replay_needs_is_named(otabench: Cli, folder: Path) -> None:
    (folder / "own.bin").write_bytes(bytes(range(256)) * 8)
    ended = otabench("run", "healthy", "--image", "body=own.bin")
    command = ended.err.strip().splitlines()[-1].partition("otabench ")[2].split()
    assert command[-2:] == ["--image", "body=own.bin"]
    assert otabench(*command).code == 0
    without = otabench(*command[:-2])
    assert without.code == 2
    assert "--image body=FILE" in without.err


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


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "doctor",
        "run",
        "replay",
        "dashboard",
        "image",
        "image info",
        "image convert",
        "image diff",
        "image sign",
    ],
)
def test_help_of_every_command_has_examples(otabench: Cli, command: str) -> None:
    ended = otabench(*command.split(), "--help")
    assert ended.code == 0
    assert "Examples:" in ended.out
    assert f"otabench {command}" in ended.out


def own_scenario() -> str:
    return (
        'schema = 1\nname = "mine"\ntitle = "Mine"\n[order]\npackage = "p"\n[[order.images]]\necu = "body"\n'
        'version = "9.0.0"\nrelease_counter = 9\nsize_bytes = 2000\n'
    )
