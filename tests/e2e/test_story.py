"""The demo's story, run by run: what must have happened, seen in the records and not in the verdict alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]
BODY_REQUEST = 0x7A0


def events(result: RunResult, kind: str) -> list[Any]:
    return [event for event in result.record.server_events.items if event.kind == kind]


def versions_read(result: RunResult) -> dict[str, bytes | None]:
    return {reading.ecu: reading.value for reading in result.record.readings.items if reading.did == 0xF189}


def erases_on_the_bus(result: RunResult) -> int:
    """Count single or first frames that ask for the erase routine, on any identifier."""
    return sum(b"\x31\x01\xff\x00" in frame.data for frame in result.record.frames.items)


@pytest.mark.parametrize(
    "scenario",
    [
        "healthy", "power_cut_ecu", "power_cut_agent", "forged_signature", "forged_payload", "wrong_ecu",
        "flash_bit_flip", "rollback", "planted_no_verification",
    ],
)  # fmt: skip
def test_scenario_ends_as_it_expects_and_every_invariant_is_observed(runner: Runner, load: Load, scenario: str) -> None:
    result = runner.run(load(scenario))
    assert result.as_expected, [(f.id, f.verdict, f.sentence) for f in result.verdict.invariants]
    assert result.verdict.not_observed == ()
    assert all(finding.evidence for finding in result.verdict.invariants)


def test_healthy_update_follows_the_dm_conversation(runner: Runner, load: Load) -> None:
    result = runner.run(load("healthy"))
    assert result.record.drive_after_ns is not None
    over_ns = result.record.drive_after_ns[0]  # in the drive that follows the vehicle only polls
    kinds = [event.kind for event in result.record.server_events.items if event.t_ns < over_ns]
    assert kinds == [
        "vehicle_added", "package_uploaded", "order_placed", "registered", "bootstrap_complete",
        "session_started", "device_info", "inventory", "order_offered", "order_accepted", "session_ended",
        "session_started", "component_result", "component_result", "order_closed", "device_info", "inventory",
        "session_ended", "session_started", "device_info", "inventory", "session_ended",
    ]  # fmt: skip
    assert versions_read(result) == {"body": b"2.0.0", "gateway": b"2.0.0"}
    paths = [record.url.rsplit("otabench.test", 1)[1] for record in result.record.http.items if record.t_ns < over_ns]
    assert paths == ["/dm"] * 4 + ["/pkgurl/demo-2.0.0?order=order-1", "/dm", "/packages/demo-2.0.0.zip"] + ["/dm"] * 4


def test_single_bank_ecu_waits_in_its_bootloader_after_the_cut_and_reaches_the_target(
    runner: Runner, load: Load
) -> None:
    result = runner.run(load("power_cut_ecu"))
    fault = result.record.faults[0]
    assert fault.t_ns is not None
    assert fault.restored_t_ns == fault.t_ns + 200_000_000
    after = [boot for boot in result.record.boots.items if boot.ecu == "body" and boot.t_ns >= fault.restored_t_ns]
    assert [boot.stage for boot in after][:2] == ["boot_manager", "bootloader"]
    assert after[-1].stage == "application"
    assert versions_read(result)["body"] == b"2.0.0"
    assert erases_on_the_bus(result) == 3, "body twice, gateway once"


def test_agent_goes_on_from_its_log_and_reports_each_result_once(runner: Runner, load: Load) -> None:
    result = runner.run(load("power_cut_agent"))
    assert [record.on for record in result.record.power.items if record.part == "agent"] == [True, False, True]
    downloads = [record for record in result.record.http.items if record.url.endswith(".zip")]
    assert len(downloads) == 1, "the downloaded package is used"
    assert sorted(event.data["ecu"] for event in events(result, "component_result")) == ["body", "gateway"]
    assert len(events(result, "registered")) == 1, "the registration survives"


@pytest.mark.parametrize(
    ("scenario", "code"),
    [("forged_signature", 1407), ("forged_payload", 1407), ("wrong_ecu", 1455), ("rollback", 1407)],
)
def test_package_that_must_not_be_installed_touches_no_ecu(
    runner: Runner, load: Load, scenario: str, code: int
) -> None:
    result = runner.run(load(scenario))
    assert erases_on_the_bus(result) == 0
    assert all(dump.erases == 0 and dump.programs == 0 for dump in result.record.flash.items)
    assert {event.data["result_code"] for event in events(result, "component_result")} == {code}
    assert [event.data["status"] for event in events(result, "order_closed")] == ["refused"]
    assert versions_read(result) == {"body": b"1.0.0", "gateway": b"1.0.0"}


def test_healthy_boot_manager_refuses_the_flipped_bit_and_the_defective_one_executes_it(
    runner: Runner, load: Load, failed: Callable[[RunResult], set[str]]
) -> None:
    healthy, planted = runner.run(load("flash_bit_flip")), runner.run(load("planted_no_verification"))
    flipped = healthy.record.faults[0].t_ns
    assert flipped is not None
    stages = [boot.stage for boot in healthy.record.boots.items if boot.ecu == "body" and boot.t_ns >= flipped]
    assert stages[:2] == ["boot_manager", "bootloader"]
    assert {"authentic", "whole"} <= failed(planted)
    assert planted.verdict.blame == "bootloader"


def test_second_vehicle_runs_on_the_same_program(runner: Runner, load: Load) -> None:
    result = runner.run(load("healthy_van", "sim_van"))
    assert result.as_expected
    assert versions_read(result) == {"body": b"2.0.0"}


def test_fault_that_is_never_reached_makes_the_run_inconclusive(
    runner: Runner, load: Load, with_faults: Callable[..., Job]
) -> None:
    """The second fault lies behind the refusal that the first one causes."""
    job = with_faults(load("forged_signature"), "package:agent:http:6", change="signature", ecu="body")
    late = with_faults(load("healthy"), "power.ecu:body:program:1").scenario.faults
    scenario = job.scenario.model_copy(update={"faults": job.scenario.faults + late})
    from dataclasses import replace

    result = runner.run(replace(job, scenario=scenario))
    assert result.verdict.verdict == "inconclusive"
    assert not result.as_expected
    assert any("never reached" in note for note in result.notes)


def test_ecu_that_stays_dark_longer_than_the_flasher_tries_is_waited_for(
    runner: Runner, load: Load, with_faults: Callable[..., Job]
) -> None:
    point = "power.ecu:body:program:middle:phase=transfer"
    result = runner.run(with_faults(load("healthy"), point, restore_after_ms=60_000))
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]
    assert versions_read(result)["body"] == b"2.0.0"


def test_cut_after_the_last_check_is_not_answered_by_a_second_flash(
    runner: Runner, load: Load, with_faults: Callable[..., Job]
) -> None:
    """The validity mark stands, the answer to the next request is lost: the ECU runs the target already."""
    job = load("healthy")
    requests = runner.golden(job).points["body", "request"]
    after_check = [o.n for o in requests if o.phase == "check"][-1]
    for where in ("", ":after"):
        result = runner.run(with_faults(job, f"power.ecu:body:request:{after_check}{where}"))
        assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]
        assert erases_on_the_bus(result) == 2, "each ECU once"


def test_overlapping_cuts_give_power_back_when_the_last_one_is_over(
    runner: Runner, load: Load, with_faults: Callable[..., Job]
) -> None:
    job = load("healthy")
    short = with_faults(job, "power.ecu:body:program:5", restore_after_ms=2_000).scenario.faults
    long = with_faults(job, "power.vehicle:body:frame:last:phase=transfer", restore_after_ms=15_000).scenario.faults
    from dataclasses import replace

    both = replace(job, scenario=job.scenario.model_copy(update={"faults": short + long}))
    table = runner.golden(both).points
    cut_ns = table["body", "program"][4].t_ns
    heard = sum(frame.t_ns <= cut_ns for frame in table["gateway", "frame"])
    points = ["power.ecu:body:program:5", f"power.vehicle:gateway:frame:{heard + 3}"]
    result = runner.run(both, points)
    struck = [fault.t_ns for fault in result.record.faults]
    assert struck[0] is not None
    assert struck[1] is not None
    assert struck[1] < (result.record.faults[0].restored_t_ns or 0), "the cuts overlap"
    assert result.record.surroundings is not None
    began_ns = result.record.surroundings.began_t_ns  # before that the bench looked at the vehicle
    body_on = [r.t_ns for r in result.record.power.items if r.part == "body" and r.on and r.t_ns >= began_ns]
    assert body_on[1] == max(fault.restored_t_ns or 0 for fault in result.record.faults)
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]


def test_ecu_that_goes_dark_before_it_is_confirmed_is_waited_for_and_confirmed(
    runner: Runner, load: Load, with_faults: Callable[..., Job]
) -> None:
    job = load("healthy")
    table = runner.golden(job).points
    left_ns = {transition.phase: transition.t_ns for transition in table["agent", "transition"]}
    confirming = [o.n for o in table["body", "request"] if left_ns["installing"] < o.t_ns < left_ns["confirming"]]
    assert confirming
    result = runner.run(with_faults(job, f"power.ecu:body:request:{confirming[-1]}", restore_after_ms=60_000))
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]
    assert {dump.ecu: dump.release_floor for dump in result.record.flash.items} == {"body": 2, "gateway": 2}
