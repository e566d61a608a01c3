"""Runs: golden run first, then the faults at their points, then the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.core.clock import NS_PER_S
from bench.core.errors import InputError
from bench.core.points import FaultPoint, resolve
from bench.core.records import FaultRecord
from bench.faults.catalogue import check_fault
from bench.faults.inject import ArmedFault
from bench.oracle.judge import judge
from bench.oracle.result import FaultSummary, RunResult, RunVerdict, Verdict
from bench.oracle.server_log import SUCCESS, is_success
from bench.runs.defects import planted
from bench.runs.execute import Execution, execute, live_limits
from bench.runs.ids import REAL_TIME, SHORT, RunId, inputs_hash
from bench.runs.job import Job

GoldenKey = tuple[str, str, int, str | None]


class Runner:
    """Runs jobs; golden runs are kept by inputs, orders, drive and time, seed and defect.

    What a scenario expects decides nothing of its story, so it is no part of the key: it is put into the record when
    the run is judged.
    """

    def __init__(self) -> None:
        self._golden: dict[GoldenKey, Execution] = {}

    def golden(self, job: Job) -> Execution:
        """Return the fault-free execution that numbers the points and gives `live` its limit."""
        order = job.scenario.model_dump_json(include={"order", "then", "drive", "drive_after", "ends_within_s"})
        setting = {name: data for name, data in job.inputs.items() if not name.startswith("scenarios/")}
        key = (inputs_hash(setting), order, job.seed, job.scenario.defect)
        if key not in self._golden:
            self._golden[key] = execute(job, (), round(job.scenario.ends_within_s * NS_PER_S))
        return self._golden[key]

    def run(self, job: Job, points: Sequence[str] | None = None) -> RunResult:
        """Run a job and judge it; `points` replace the scenario's own, one for each of its faults."""
        measure = self._without_defect(job)
        with planted(job.scenario.defect, file=job.scenario_file):
            golden = self.golden(job)
            faults = _armed(job, golden, points or [fault.point for fault in job.scenario.faults])
            limits = live_limits(job, measure or golden)
            execution = golden if not faults else execute(job, faults, limits.live_within_ns + golden.story_ns)
        expects_update = job.scenario.expect.outcome == "updated"
        return _result(job, golden, faults, execution.judged_by(limits, expects_update=expects_update))

    def _without_defect(self, job: Job) -> Execution | None:
        """Return the golden run that measures the limit of `live` where a defect is planted: it must not stretch it.

        None where there is no defect, or where the scenario names the limit.
        """
        if job.scenario.defect is None or job.scenario.live_within_s is not None:
            return None
        return self.golden(replace(job, scenario=job.scenario.model_copy(update={"defect": None})))

    def golden_hash(self, job: Job) -> str:
        """Return the short hash of the job's golden run, as it stands in the ids of simulated runs."""
        with planted(job.scenario.defect, file=job.scenario_file):
            return self.golden(job).trace_sha256[:SHORT]


def golden_part(job: Job, golden: Execution, execution: Execution) -> str:
    """Return what an id says of the golden run: its hash, or in real time that this very run never repeats."""
    if job.virtual:
        return golden.trace_sha256[:SHORT]
    return f"{REAL_TIME}-{execution.trace_sha256[:SHORT]}"


def _armed(job: Job, golden: Execution, points: Sequence[str]) -> tuple[ArmedFault, ...]:
    return tuple(
        ArmedFault(_resolved(job, golden, point), check_fault(FaultPoint.parse(point), fault.parameters, file=None))
        for fault, point in zip(job.scenario.faults, points, strict=True)
    )


def _resolved(job: Job, golden: Execution, point: str) -> FaultPoint:
    try:
        return resolve(FaultPoint.parse(point), golden.points)
    except InputError as error:
        failing = _fails_without_fault(golden)
        late = failing is not None and job.scenario.expect.outcome == "updated"
        raise InputError(
            "the order fails without any fault, before this fault point is reached" if late else error.problem,
            file=job.scenario_file,
            key="faults.point",
            found=point,
            allowed=error.allowed,
            hint=(failing and f"mend this first, since {failing}")
            or error.hint
            or "choose a point that the golden run announces",
        ) from None


def _fails_without_fault(golden: Execution) -> str | None:
    """Return that, and why, the order fails in the golden run; None where it succeeds.

    A fault proves nothing in such a run: whatever comes out of it comes out without the fault as well.
    """
    events = golden.record.server_events.items
    results = [event.data for event in events if event.kind == "component_result"]
    reasons = [f"{data['ecu']}: {data['text']}" for data in results if not is_success(int(str(data["result_code"])))]
    closed = [str(event.data.get("status")) for event in events if event.kind == "order_closed"]
    if not reasons and closed and set(closed) == {SUCCESS}:
        return None
    ended = f"it ends as {', '.join(closed)}" if closed else "it is never closed"
    return f"the order fails without any fault too: {'; '.join(reasons) or ended}"


def _result(job: Job, golden: Execution, faults: Sequence[ArmedFault], execution: Execution) -> RunResult:
    scenario, record = job.scenario, execution.record
    of_faults = _never_reached(record.faults) + _limited(record.faults)
    notes = job.notes + tuple(of_faults) + _order_fails_anyway(faults, golden)
    verdict = judge(record, scenario.demands)
    if execution.crash is not None:
        proven = "what failed had failed before" if verdict.verdict is Verdict.FAIL else "the run proves nothing"
        notes += (f"{proven}: {execution.crash}",)
    elif any(fault.t_ns is None for fault in record.faults) and verdict.verdict is Verdict.PASS:
        verdict = replace(verdict, verdict=Verdict.INCONCLUSIVE)
    run_id = RunId(
        scenario=scenario.name,
        points=tuple(str(fault.point) for fault in faults),
        seed=job.seed,
        inputs=inputs_hash(job.inputs),
        golden=golden_part(job, golden, execution),
        defect=scenario.defect,
    )
    expect = scenario.expect
    return RunResult(
        id=str(run_id),
        scenario=scenario.name,
        title=scenario.title,
        bench=job.bench,
        seed=job.seed,
        fault=_summary(faults),
        expected_verdict=expect.verdict,
        expected_invariant=expect.invariant,
        verdict=verdict,
        as_expected=_as_expected(job, verdict),
        virtual_s=execution.virtual_ns / NS_PER_S,
        epoch_ns=execution.epoch_ns,
        wall_s=execution.wall_s,
        trace=execution.trace,
        record=record,
        inputs=job.inputs,
        defect=scenario.defect,
        notes=notes,
        firmware_options=job.firmware_options,
    )


def _order_fails_anyway(faults: Sequence[ArmedFault], golden: Execution) -> tuple[str, ...]:
    failing = _fails_without_fault(golden) if faults else None
    return () if failing is None else (failing,)


def _never_reached(faults: Sequence[FaultRecord]) -> list[str]:
    return [f"the fault point {fault.point} was never reached" for fault in faults if fault.t_ns is None]


def _limited(faults: Sequence[FaultRecord]) -> list[str]:
    return [f"{fault.point} was not done fully: {fault.limits}" for fault in faults if fault.limits]


def _summary(faults: Sequence[ArmedFault]) -> FaultSummary | None:
    """Return the fault as RUN shows it; of several, classes and points joined and parameters by point."""
    if len(faults) == 1:
        return FaultSummary(faults[0].point.fault_class, str(faults[0].point), faults[0].shown_parameters())
    if not faults:
        return None
    classes = dict.fromkeys(fault.point.fault_class for fault in faults)
    points = [str(fault.point) for fault in faults]
    parameters = {point: fault.shown_parameters() for point, fault in zip(points, faults, strict=True)}
    return FaultSummary(",".join(classes), ",".join(points), parameters)


def _as_expected(job: Job, verdict: RunVerdict) -> bool:
    expect = job.scenario.expect
    if verdict.verdict is not expect.verdict:
        return False
    failed = [finding.id for finding in verdict.invariants if finding.verdict is Verdict.FAIL]
    return expect.invariant is None or expect.invariant in failed
