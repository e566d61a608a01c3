"""Run ids: self-contained text that replays a run on any machine that has the files (`docs/contracts.md`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.core.canonical import canonical_json, sha256_hex
from bench.core.errors import InputError

SHORT = 12
NO_FAULT = "none"
REAL_TIME = "realtime"
"""Begins the golden part where time is real, followed by the run's own hash: such a run never repeats to the byte."""
GRAMMAR = "v1.<scenario>.<fault point or none>.<seed>.<inputs>.<golden>[+<defect>]"
_ID = re.compile(
    r"v1\.(?P<scenario>[a-z0-9][a-z0-9_-]*)\.(?P<points>[a-z0-9.:=_,-]+)\.(?P<seed>\d{1,19})\."
    rf"(?P<inputs>[0-9a-f]{{{SHORT}}})\.(?P<golden>[0-9a-f]{{{SHORT}}}|{REAL_TIME}-[0-9a-f]{{{SHORT}}})(?:\+(?P<defect>[a-z0-9_-]+))?\Z"
)


@dataclass(frozen=True, slots=True)
class RunId:
    """The parts of an id. `points` are the resolved fault points in the scenario's order."""

    scenario: str
    points: tuple[str, ...]
    seed: int
    inputs: str
    golden: str
    defect: str | None

    @classmethod
    def parse(cls, text: str) -> RunId:
        """Read an id; `InputError` when it is none."""
        match = _ID.match(text.strip())
        if match is None:
            raise InputError(
                "this is not a run id",
                found=text,
                allowed=GRAMMAR,
                hint="copy the whole id from verdicts.json or the report",
            )
        points = () if match["points"] == NO_FAULT else tuple(match["points"].split(","))
        return cls(match["scenario"], points, int(match["seed"]), match["inputs"], match["golden"], match["defect"])

    @property
    def real_time(self) -> bool:
        """Whether the run was made in real time."""
        return self.golden.startswith(REAL_TIME)

    def __str__(self) -> str:
        points = ",".join(self.points) or NO_FAULT
        tail = f"+{self.defect}" if self.defect else ""
        return f"v1.{self.scenario}.{points}.{self.seed}.{self.inputs}.{self.golden}{tail}"


def inputs_hash(inputs: Mapping[str, bytes]) -> str:
    """Return the short hash over the names and bytes of all input files."""
    rows: Sequence[tuple[str, str]] = [(name, sha256_hex(inputs[name])) for name in sorted(inputs)]
    return sha256_hex(canonical_json(rows))[:SHORT]
