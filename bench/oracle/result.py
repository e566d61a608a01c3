"""What is said of one run: verdicts with evidence, and the run's own facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bench.core.clock import EPOCH_NS
from bench.core.journal import Trace
from bench.core.records import RunRecord


class Verdict(StrEnum):
    """The words of `docs/contracts.md`; `inconclusive` and `not_observed` are never `pass`."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_OBSERVED = "not_observed"
    EQUIPMENT_ERROR = "equipment_error"


class Invariant(StrEnum):
    """What must hold, in the order of `docs/contracts.md` (1 to 8)."""

    BOOTABLE = "bootable"
    AUTHENTIC = "authentic"
    WHOLE = "whole"
    TRUTHFUL = "truthful"
    LIVE = "live"
    TIDY = "tidy"
    SILENT = "silent"
    NEIGHBOURS = "neighbours"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation: `kind` (frame, flash, boot, execution, power, server, did, http, disk, time, bench),
    `where` it can be looked up (`can0 @ 1.234567890 s`, `body flash 0x00008000`), and what it says."""

    kind: str
    where: str
    text: str


@dataclass(frozen=True, slots=True)
class InvariantVerdict:
    """The verdict on one invariant, in one sentence an engineer can act on; never without evidence."""

    id: Invariant
    verdict: Verdict
    sentence: str
    evidence: tuple[Evidence, ...]
    blame: str | None = None
    """server, agent, flasher, bootloader, ecu or bench, when the evidence points at one."""


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """The verdict on a run: `verdict`, what was demanded but not observed, and who is to blame for a failure."""

    verdict: Verdict
    not_observed: tuple[Invariant, ...]
    blame: str | None
    invariants: tuple[InvariantVerdict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Everything reports need of one finished run."""

    id: str
    scenario: str
    title: str
    bench: str
    seed: int
    fault: FaultSummary | None
    """What was injected; `record.faults` has each fault with its instants."""
    expected_verdict: Verdict
    expected_invariant: Invariant | None
    verdict: RunVerdict
    as_expected: bool
    virtual_s: float
    wall_s: float
    trace: Trace
    record: RunRecord
    inputs: Mapping[str, bytes]
    """Copies of the input files, by their name below `inputs/`."""
    defect: str | None = None
    epoch_ns: int = EPOCH_NS
    """The date that stands for run time 0, in nanoseconds since 1970; in real time this machine's, so that what
    another tool recorded on the same bus can be laid beside our logs."""
    notes: tuple[str, ...] = ()
    """What a reader must know: a fault never reached, segments left out, a crash."""
    firmware_options: tuple[str, ...] = ()
    """Words of a command line that name the user's own firmware again (`--image`, `--crop`, `--base`)."""

    @property
    def journal(self) -> tuple[bytes, ...]:
        """The canonical journal's lines, without line ends."""
        return self.trace.lines

    @property
    def trace_sha256(self) -> str:
        """The hash of the journal: equal for equal runs."""
        return self.trace.sha256


@dataclass(frozen=True, slots=True)
class FaultSummary:
    """A fault as RUN shows it; of several, classes and points are joined by commas, parameters stand by point."""

    fault_class: str
    point: str
    parameters: Mapping[str, object]
