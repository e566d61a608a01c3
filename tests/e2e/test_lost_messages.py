"""Each message between agent and server is lost once, in both directions, while a second order waits.

Lost is a request that never came, an answer that never came, and either with the power of the agent's computer.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.config import data_root
from bench.oracle.result import RunResult
from bench.rig.job import make_job
from bench.runs.job import Job
from bench.runs.runner import Runner
from bench.runs.scenario import ScenarioFault

IMAGE = """
[[{order}.images]]
ecu = "{ecu}"
version = "{version}.0.0"
release_counter = {version}
size_bytes = 1024
"""
HEAD = """
schema = 1
name = "two_orders"
title = "Two orders"

[order]
package = "demo-{first}"
{images}
[[then]]
package = "demo-3"
"""
STORIES = {"success": [("body", 2), ("gateway", 2)], "refused": [("body", 0)]}
"""The ends of the first order, and what it holds; a release counter of 0 is older than what is installed."""
EXCHANGES = 18
Loss = tuple[str, dict[str, str | int | float | bool]]
NETWORK: list[Loss] = [
    ("network:agent:http:{n}", {"lost": "request"}),
    ("network:agent:http:{n}", {"lost": "answer"}),
]
POWER: list[Loss] = [
    ("power.agent:agent:http:{n}", {"restore_after_ms": 500}),
    ("power.agent:agent:http:{n}:after", {"restore_after_ms": 500}),
]
SWEEPS = [
    pytest.param("success", NETWORK, id="success"),
    pytest.param("success", POWER, id="success-power", marks=pytest.mark.slow),
    pytest.param("refused", NETWORK, id="refused", marks=pytest.mark.slow),
    pytest.param("refused", POWER, id="refused-power", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """Return the job of each story, its images as small as they can be."""
    root: Path = tmp_path_factory.mktemp("scenarios")
    jobs = {}
    for end, images in STORIES.items():
        first = "".join(IMAGE.format(order="order", ecu=ecu, version=version) for ecu, version in images)
        text = HEAD.format(first=end, images=first) + IMAGE.format(order="then", ecu="body", version=3)
        path = root / f"{end}.toml"
        path.write_text(text)
        jobs[end] = make_job(path, data_root() / "benches" / "sim.toml")
    return jobs


def check(result: RunResult, end: str) -> None:
    """Each order has exactly one end, and the vehicle runs what it should."""
    assert result.as_expected, [(f.id, f.verdict, f.sentence) for f in result.verdict.invariants]
    events = result.record.server_events.items
    closed = [(event.data["order"], event.data["status"]) for event in events if event.kind == "order_closed"]
    assert closed == [("order-1", end), ("order-2", "success")]
    results = [(event.data["order"], event.data["ecu"]) for event in events if event.kind == "component_result"]
    assert results == [("order-1", ecu) for ecu, _ in STORIES[end]] + [("order-2", "body")]
    versions = {reading.ecu: reading.value for reading in result.record.readings.items if reading.did == 0xF189}
    assert versions == {"body": b"3.0.0", "gateway": b"2.0.0" if end == "success" else b"1.0.0"}


@pytest.mark.parametrize("end", STORIES)
def test_conversation_has_as_many_exchanges_as_the_sweep_loses(
    runner: Runner, stories: dict[str, Job], end: str
) -> None:
    assert len(runner.golden(stories[end]).points["agent", "http"]) == EXCHANGES
    check(runner.run(stories[end]), end)


@pytest.mark.parametrize("n", range(1, EXCHANGES + 1))
@pytest.mark.parametrize(("end", "losses"), SWEEPS)
def test_message_lost_in_either_direction_loses_no_order_and_ends_none_twice(
    runner: Runner, stories: dict[str, Job], end: str, losses: list[Loss], n: int
) -> None:
    for point, parameters in losses:
        fault = ScenarioFault(point=point.format(n=n), parameters=parameters)
        job = stories[end]
        result = runner.run(replace(job, scenario=job.scenario.model_copy(update={"faults": (fault,)})))
        assert result.record.faults[0].t_ns is not None, "the fault struck"
        check(result, end)
