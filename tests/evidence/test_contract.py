from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from pydantic import ValidationError

from bench.evidence.build import View, view_of
from bench.evidence.contract import Run, Runs, plain_values, run_model, runs_model, values_text
from bench.evidence.schemas import OUTPUT_SCHEMAS, schema_files
from bench.oracle.result import RunResult

OUT = Path("reports")
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
RUN_KEYS = [
    "id", "scenario", "bench", "fault", "seed", "expected", "verdict", "as_expected", "blame", "virtual_s", "wall_s",
    "trace_sha256", "invariants", "report", "replay", "notes",
]  # fmt: skip


def test_run_model_has_exactly_the_keys_of_the_contract(result: RunResult) -> None:
    said = json.loads(run_model(result, OUT).to_json())
    assert list(said) == RUN_KEYS
    assert said["fault"] == {
        "class": "power.ecu",
        "point": "power.ecu:body:program:12:torn=3",
        "parameters": {"restore_after_ms": 200},
    }
    assert said["expected"] == {"verdict": "pass", "invariant": None}
    assert list(said["invariants"][0]) == ["id", "verdict", "sentence", "evidence"]
    assert list(said["invariants"][0]["evidence"][0]) == ["kind", "where", "text"]
    assert [item["id"] for item in said["invariants"]][:2] == ["bootable", "authentic"]


def test_runs_model_has_exactly_the_keys_of_the_contract(runs: dict[str, RunResult]) -> None:
    said = json.loads(runs_model([run_model(run, OUT) for run in runs.values()]).to_json())
    assert list(said) == ["schema", "tool", "runs", "not_run"]
    assert said["schema"] == 1
    assert list(said["tool"]) == ["version", "python"]
    assert len(said["runs"]) == len(runs)
    assert Runs.model_validate_json(json.dumps(said)).runs[0].id == said["runs"][0]["id"]


def test_run_without_fault_says_null(result: RunResult) -> None:
    assert json.loads(run_model(replace(result, fault=None), OUT).to_json())["fault"] is None


@pytest.mark.parametrize(
    ("key", "value"), [("verdict", "perhaps"), ("blame", "weather"), ("trace_sha256", "12"), ("mood", "good")]
)
def test_run_with_a_value_outside_the_contract_is_refused(result: RunResult, key: str, value: str) -> None:
    said = json.loads(run_model(result, OUT).to_json())
    with pytest.raises(ValidationError):
        Run.model_validate({**said, key: value})


def test_view_of_every_sample_survives_json(runs: dict[str, RunResult]) -> None:
    for run in runs.values():
        view = view_of(run)
        assert View.model_validate_json(view.to_json()) == view


def test_parameters_of_any_type_become_plain_values() -> None:
    values = MappingProxyType({"data": b"\x01\xff", "list": (1, 2.5, None), "on": True})
    assert plain_values(values) == {"data": "01ff", "list": [1, 2.5, None], "on": True}
    assert values_text(values) == "data=01ff, list=[1,2.5,null], on=true"
    assert values_text({"address": 0x1234, "load_address": 0, "bit": 3}) == "address=0x1234, load_address=0x0, bit=3"


@pytest.mark.parametrize("name", [f"{name}.schema.json" for name in OUTPUT_SCHEMAS])
def test_committed_schema_equals_its_model(name: str) -> None:
    committed = (SCHEMAS / name).read_text(encoding="utf-8")
    assert committed == schema_files(OUTPUT_SCHEMAS)[name], "the model changed; next: make schemas"
