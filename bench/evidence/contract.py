"""RUN and `run --json` as `docs/contracts.md` defines them; other programs rely on these models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from bench.config.output import OutputModel, Sha256, Tool, this_tool
from bench.core.canonical import canonical_json
from bench.evidence.places import replay_command, report_path
from bench.oracle.result import Invariant, RunResult, Verdict

Blame = Literal["server", "agent", "flasher", "bootloader", "ecu", "bench"]


class Fault(OutputModel):
    """A fault: its class, the exact fault point, and its parameters."""

    fault_class: str = Field(alias="class")
    point: str
    parameters: dict[str, JsonValue]


class Expected(OutputModel):
    """What the scenario expects; `invariant` is the one a planted defect must break."""

    verdict: Verdict
    invariant: Invariant | None


class EvidenceItem(OutputModel):
    """One observation: its kind, where it can be looked up, and what it says."""

    kind: str
    where: str
    text: str


class InvariantItem(OutputModel):
    """The verdict on one invariant, with its evidence."""

    id: Invariant
    verdict: Verdict
    sentence: str
    evidence: tuple[EvidenceItem, ...]


class Run(OutputModel):
    """RUN of `docs/contracts.md`; `report` is relative to the folder that was current when it was written."""

    id: str
    scenario: str
    bench: str
    fault: Fault | None
    seed: int
    expected: Expected
    verdict: Verdict
    as_expected: bool
    blame: Blame | None
    virtual_s: float
    wall_s: float
    trace_sha256: Sha256
    invariants: tuple[InvariantItem, ...]
    report: str
    replay: str = ""
    """The command that repeats the run, quoted for a shell; empty in verdicts that an older otabench wrote."""
    notes: tuple[str, ...] = ()
    """What must be known beside the verdict: a fault never reached, an order that fails without any fault too."""


class NotRun(OutputModel):
    """A scenario of several that could not be run: wrong input (2) or an equipment error (3), with its message."""

    scenario: str
    exit_code: int
    message: str


class Runs(OutputModel):
    """What `run --json`, `replay --json` and `demo --json` print, in the order in which the runs were named."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    tool: Tool
    runs: tuple[Run, ...]
    not_run: tuple[NotRun, ...] = ()


def run_model(result: RunResult, out: Path) -> Run:
    """Return RUN for `result`, whose folder lies below `out`."""
    fault = result.fault
    return Run.model_validate(
        {
            "id": result.id,
            "scenario": result.scenario,
            "bench": result.bench,
            "fault": fault
            and {"class": fault.fault_class, "point": fault.point, "parameters": plain_values(fault.parameters)},
            "seed": result.seed,
            "expected": {"verdict": result.expected_verdict, "invariant": result.expected_invariant},
            "verdict": result.verdict.verdict,
            "as_expected": result.as_expected,
            "blame": result.verdict.blame,
            "virtual_s": result.virtual_s,
            "wall_s": result.wall_s,
            "trace_sha256": result.trace_sha256,
            "invariants": [
                {
                    "id": item.id,
                    "verdict": item.verdict,
                    "sentence": item.sentence,
                    "evidence": [{"kind": e.kind, "where": e.where, "text": e.text} for e in item.evidence],
                }
                for item in result.verdict.invariants
            ],
            "report": report_path(result, out),
            "replay": replay_command(result, out),
            "notes": result.notes,
        }
    )


def runs_model(runs: Sequence[Run], not_run: Sequence[NotRun] = ()) -> Runs:
    """Return the object that `run --json`, `replay --json` and `demo --json` print."""
    return Runs(tool=this_tool(), runs=tuple(runs), not_run=tuple(not_run))


def plain_values(values: object) -> JsonValue:
    """Return parameters as plain JSON values; bytes become hexadecimal text, what JSON cannot say its text."""
    if values is None or isinstance(values, bool | int | float | str):
        return values
    if isinstance(values, bytes | bytearray):
        return values.hex()
    if isinstance(values, dict) or hasattr(values, "items"):
        return {str(key): plain_values(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain_values(value) for value in values]
    return str(values)


def values_text(values: object) -> str:
    """Return a mapping as `key=value, ...` for people; other values as canonical JSON."""
    plain = plain_values(values)
    if isinstance(plain, dict):
        return ", ".join(f"{key}={_named_value(key, value)}" for key, value in plain.items())
    return plain if isinstance(plain, str) else canonical_json(plain).decode()


def _named_value(key: str, value: JsonValue) -> str:
    """Return a value for people; whole numbers that are addresses stand in hexadecimal, as everywhere."""
    if key.rpartition("_")[2] == "address" and isinstance(value, int) and not isinstance(value, bool):
        return f"0x{value:X}"
    return values_text(value)
