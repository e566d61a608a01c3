"""The next update still works: orders that wait behind one that ends in any way all arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]
ENDS = {
    "next_after_success": ["success", "success", "success"],
    "next_after_failure": ["failed", "success"],
    "next_after_refusal": ["refused", "success"],
    "next_after_wrong_hardware": ["refused", "success"],
    "next_after_power_cut": ["success", "success"],
}
VERSIONS = {
    "next_after_success": {"body": b"4.0.0", "gateway": b"4.0.0"},
    "next_after_failure": {"body": b"1.0.0", "gateway": b"3.0.0"},
    "next_after_refusal": {"body": b"2.0.0", "gateway": b"2.0.0"},
    "next_after_wrong_hardware": {"body": b"3.0.0", "gateway": b"1.0.0"},
    "next_after_power_cut": {"body": b"3.0.0", "gateway": b"2.0.0"},
}


def events(result: RunResult, kind: str) -> list[dict[str, Any]]:
    return [dict(event.data) for event in result.record.server_events.items if event.kind == kind]


@pytest.mark.parametrize("scenario", list(ENDS))
def test_every_order_has_one_end_and_the_vehicle_runs_what_the_last_ones_brought(
    runner: Runner, load: Load, scenario: str
) -> None:
    result = runner.run(load(scenario))
    assert result.as_expected, [(f.id, f.verdict, f.sentence) for f in result.verdict.invariants]
    assert result.verdict.not_observed == ()
    closed = [(data["order"], data["status"]) for data in events(result, "order_closed")]
    assert closed == [(f"order-{n}", status) for n, status in enumerate(ENDS[scenario], start=1)]
    versions = {reading.ecu: reading.value for reading in result.record.readings.items if reading.did == 0xF189}
    assert versions == VERSIONS[scenario]
    assert events(result, "message_refused") == []
    assert events(result, "order_refused_by_vehicle") == [], "nothing is offered to an agent that is at work"
    assert all(data["correlated"] for data in events(result, "component_result"))


def test_order_is_offered_after_the_end_of_the_one_before(runner: Runner, load: Load) -> None:
    log = runner.run(load("next_after_success")).record.server_events.items
    steps = [(event.kind, event.data["order"]) for event in log if event.kind in ("order_offered", "order_closed")]
    assert steps == [(kind, f"order-{n}") for n in (1, 2, 3) for kind in ("order_offered", "order_closed")]


def test_orders_behind_the_first_make_a_golden_run_of_their_own(
    runner: Runner, load: Load, changed_job: Callable[..., Job]
) -> None:
    """Else points would be numbered, and limits taken, from a story with fewer orders."""
    third = """[[then]]
package = "demo-4.0.0"

[[then.images]]
ecu = "body"
version = "4.0.0"
release_counter = 4
size_bytes = 32768

[[then.images]]
ecu = "gateway"
version = "4.0.0"
release_counter = 4
size_bytes = 32768
"""
    fewer = changed_job("next_after_success", "sim", {"scenarios/next_after_success.toml": {third: ""}})
    whole = runner.golden(load("next_after_success"))
    assert len(whole.points["agent", "http"]) > len(runner.golden(fewer).points["agent", "http"])
