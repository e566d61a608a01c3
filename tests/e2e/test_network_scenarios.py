"""Runs in which the rest of the vehicle matters: a gateway in between, a car that drives away, a refused start."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]


def verdicts(result: RunResult) -> list[tuple[str, str, str]]:
    return [(str(f.id), str(f.verdict), f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]


def boots(result: RunResult, ecu: str, stage: str) -> list[int]:
    return [b.t_ns for b in result.record.boots.items if (b.ecu, b.stage) == (ecu, stage)]


def sent(result: RunResult, channel: str, can_id: int) -> list[Any]:
    return [f for f in result.record.frames.items if (f.channel, f.can_id) == (channel, can_id)]


@pytest.mark.parametrize(
    ("scenario", "bench"),
    [
        ("through_gateway", "sim_gateway"), ("healthy_ev", "sim_ev"), ("drive_away", "sim_ev"),
        ("healthy_full", "sim_full"),
    ],
)  # fmt: skip
def test_scenario_ends_as_it_expects_and_repeats_to_the_byte(
    runner: Runner, fresh_runner: Runner, load: Load, scenario: str, bench: str
) -> None:
    result = runner.run(load(scenario, bench))
    assert result.as_expected, verdicts(result)
    assert result.verdict.not_observed == ()
    assert fresh_runner.run(load(scenario, bench)).trace_sha256 == result.trace_sha256


def test_ecu_behind_the_gateway_is_flashed_over_both_buses_and_judged_once(runner: Runner, load: Load) -> None:
    result = runner.run(load("through_gateway", "sim_gateway"))
    outer, inner = sent(result, "can0", 0x7A0), sent(result, "can1", 0x7A0)
    assert {f.sender for f in outer} == {"agent", "tester"}
    assert {f.sender for f in inner} == {"gateway"}
    assert [f.data for f in inner] == [f.data for f in outer], "every request frame was carried on, in order"
    assert {f.sender for f in sent(result, "can0", 0x7A8)} == {"gateway"}
    layouts = {layout.ecu: layout.channel for layout in result.record.layouts}
    assert layouts == {"body": "can0", "gateway": "can0"}
    (silent,) = [f for f in result.verdict.invariants if f.id == "silent"]
    assert any("body: 3 requests to erase or download" in e.text for e in silent.evidence)


def test_nothing_is_routed_while_the_gateway_is_updated(runner: Runner, load: Load) -> None:
    result = runner.run(load("through_gateway", "sim_gateway"))
    (asked_ns,) = boots(result, "gateway", "bootloader")
    back_ns = min(t_ns for t_ns in boots(result, "gateway", "application") if t_ns > asked_ns)
    by_gateway = [f for f in result.record.frames.items if f.sender == "gateway" and f.can_id != 0x7A9]
    assert [f for f in by_gateway if asked_ns < f.t_ns < back_ns] == []
    assert [f for f in by_gateway if f.t_ns > back_ns]


LOST_PARTNER = re.compile(rb'"kind":"nvm.write","part":"[^"]+","payload":"[0-9a-f]{8}00c1[0-9a-f]{2}87')
"""A write of the slot of a DTC C1xx87: sequence number, then the code in four bytes."""


@pytest.mark.parametrize(
    ("scenario", "bench"), [("through_gateway", "sim_gateway"), ("healthy_ev", "sim_ev"), ("healthy_full", "sim_full")]
)
def test_healthy_update_leaves_no_lost_partner_in_any_fault_memory(
    runner: Runner, load: Load, scenario: str, bench: str
) -> None:
    result = runner.run(load(scenario, bench))
    assert [line for line in result.journal if LOST_PARTNER.search(line)] == []


def test_partner_on_a_bus_where_it_never_is_would_be_noticed(
    fresh_runner: Runner, changed_job: Callable[..., Job]
) -> None:
    wrong = {"vehicles/gateway_car.toml": {'timeout_ms = 1000, channel = "can1"': "timeout_ms = 1000"}}
    result = fresh_runner.run(changed_job("through_gateway", "sim_gateway", wrong))
    assert [line for line in result.journal if LOST_PARTNER.search(line)]


@pytest.mark.parametrize("first", ["body", "gateway"])
def test_order_of_body_and_gateway_does_not_matter(
    runner: Runner, load: Load, changed_job: Callable[..., Job], first: str
) -> None:
    swapped = {'ecu = "body"': 'ecu = "x"', 'ecu = "gateway"': 'ecu = "body"', 'ecu = "x"': 'ecu = "gateway"'}
    changes = {} if first == "body" else {"scenarios/through_gateway.toml": swapped}
    result = runner.run(changed_job("through_gateway", "sim_gateway", changes))
    assert result.as_expected, verdicts(result)


def test_power_cut_of_the_gateway_in_the_middle_of_the_inner_ecus_download_is_survived(
    runner: Runner, load: Load, with_faults: Callable[..., Job]
) -> None:
    job = with_faults(load("through_gateway", "sim_gateway"), "power.ecu:gateway:frame:400", restore_after_ms=700)
    result = runner.run(job)
    assert result.verdict.verdict == "pass", verdicts(result)
    assert any(not p.on and p.part == "gateway" for p in result.record.power.items)


@pytest.mark.parametrize("phase", ["pre", "programming"])
def test_car_that_drives_away_is_not_touched_until_it_stands(
    runner: Runner, load: Load, with_faults: Callable[..., Job], phase: str
) -> None:
    point = f"condition:battery:request:first:phase={phase}"
    job = with_faults(load("drive_away", "sim_ev"), point, key="speed_km_h", value=30, restore_after_ms=8000)
    result = runner.run(job)
    assert result.verdict.verdict == "pass", verdicts(result)
    (fault,) = result.record.faults
    assert fault.t_ns is not None
    assert fault.restored_t_ns is not None
    assert all(t_ns > fault.restored_t_ns for t_ns in boots(result, "battery", "bootloader"))
    changes = [(c.key, c.value) for c in result.record.conditions.items if c.key == "speed_km_h"]
    assert changes == [("speed_km_h", 0.0), ("speed_km_h", 30.0), ("speed_km_h", 0.0)]


def test_start_of_the_car_is_refused_while_its_battery_controller_has_no_software(runner: Runner, load: Load) -> None:
    result = runner.run(load("healthy_ev", "sim_ev"))
    (refused,) = [c for c in result.record.conditions.items if not c.accepted]
    assert (refused.key, refused.value) == ("engine", True)
    words = Counter(bool(f.data[2] & 1) for f in sent(result, "can0", 0x130))
    assert words[True] > 5
    assert words[False] > 100


@pytest.fixture
def no_preconditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that asks nothing of the car."""
    from ecu_sim.surroundings import Surroundings

    monkeypatch.setattr(Surroundings, "unmet", frozenset())


@pytest.mark.usefixtures("no_preconditions")
def test_application_that_asks_nothing_of_the_car_trips_silent(fresh_runner: Runner, load: Load) -> None:
    result = fresh_runner.run(load("drive_away", "sim_ev"))
    assert [(i, v) for i, v, _ in verdicts(result)] == [("silent", "fail")]
    (silent,) = [f for f in result.verdict.invariants if f.id == "silent"]
    assert any("speed_km_h was 30.0" in e.text for e in silent.evidence)


def test_car_that_ignores_the_inhibit_signal_trips_silent(
    fresh_runner: Runner, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecu_sim.surroundings import Car

    monkeypatch.setattr(Car, "inhibit", lambda self, ecu, *, inhibited: None)
    result = fresh_runner.run(load("healthy_ev", "sim_ev"))
    assert [(i, v) for i, v, _ in verdicts(result)] == [("silent", "fail")]


def test_bootloader_that_never_inhibits_trips_silent(
    fresh_runner: Runner, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecu_sim.ecu import SimEcu

    monkeypatch.setattr(SimEcu, "_unsafe", lambda self: False)
    result = fresh_runner.run(load("healthy_ev", "sim_ev"))
    assert [(i, v) for i, v, _ in verdicts(result)] == [("silent", "fail")]
    (silent,) = [f for f in result.verdict.invariants if f.id == "silent"]
    assert "had no application" in silent.sentence


SWITCHES = {"8582": "DTC off", "8581": "DTC on", "288301": "silent", "288001": "speaks", "1081": "default session"}


def switched(result: RunResult, channel: str, can_id: int) -> list[str]:
    """Return what the agent switched on and off on a bus with functional requests, in order."""
    frames = (f for f in sent(result, channel, can_id) if f.sender == "agent")
    payloads = (f.data[1 : 1 + f.data[0]].hex() for f in frames)
    return [SWITCHES[payload] for payload in payloads if payload in SWITCHES]


@pytest.mark.parametrize(("channel", "can_id"), [("can0", 0x7DF), ("can1", 0x7DF), ("can2", 0x18DB33F1)])
def test_every_bus_that_misses_frames_is_silenced_first_and_restored_afterwards(
    runner: Runner, load: Load, channel: str, can_id: int
) -> None:
    """Five jobs on can0; can1 and can2 miss what is silenced there, or what the gateway does not carry meanwhile."""
    commands = switched(runner.run(load("healthy_full", "sim_full")), channel, can_id)
    assert commands[:2] == ["DTC off", "silent"]
    assert {commands.index("DTC on"), commands.index("speaks")} == {2, 3}
    assert commands.count("DTC off") == commands.count("DTC on") >= 4
    assert commands[-1] == "default session"


@pytest.mark.parametrize(("point", "parameters"), [
    ("power.agent:agent:frame:middle", {"restore_after_ms": 9000}),
    ("ecu:gateway:request:first:phase=erase", {"do": "nrc", "nrc": 0x31, "times": 40}),
])  # fmt: skip
def test_every_bus_is_restored_after_a_job_that_was_interrupted_or_failed(
    runner: Runner, load: Load, with_faults: Callable[..., Job], point: str, parameters: dict[str, str | int]
) -> None:
    result = runner.run(with_faults(load("through_gateway", "sim_gateway"), point, **parameters))
    assert result.record.faults[0].t_ns is not None
    for channel in ("can0", "can1"):
        commands = switched(result, channel, 0x7DF)
        since = len(commands) - commands[::-1].index("DTC off")
        assert {"DTC on", "speaks", "default session"} <= set(commands[since:])
