"""JUnit XML: a suite per run, a case per invariant; what a CI system shows of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from bench.evidence.contract import EvidenceItem, InvariantItem, NotRun, Run, values_text
from bench.evidence.text import expectation, fault_points, is_real_time
from bench.oracle.result import Verdict

CASE_EXPECTED_FAILURE = "expected failure caught"
CASE_EXPECTED_VERDICT = "verdict as expected"
CASE_NOT_RUN = "can be run"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry, even escaped."""


def junit_xml(runs: Sequence[Run], not_run: Sequence[NotRun] = ()) -> bytes:
    """Return one document, a suite for each run. What a planted defect breaks, as expected, counts as passed.

    A scenario that could not be run is a suite with one error: a CI system must not show fewer cases and be green.
    """
    root = ElementTree.Element("testsuites", name="otabench")
    root.extend([*map(_suite, runs), *map(_suite_not_run, not_run)])
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", f"{sum(run.wall_s for run in runs):.3f}")
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _suite(run: Run) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=_clean(run.scenario))
    _properties(suite, run)
    caught = run.as_expected and run.expected.verdict is Verdict.FAIL
    for item in run.invariants:
        _invariant_case(suite, run, item, caught=caught)
    if run.expected.verdict is Verdict.FAIL:
        _expected_failure_case(suite, run, caught=caught)
    elif not run.as_expected and not _bad(suite):
        case = _case(suite, run, CASE_EXPECTED_VERDICT)
        kind = "failure" if run.verdict is Verdict.PASS else "error"
        _outcome(case, run, kind, run.verdict.value, f"{expectation(run)}, found: {run.verdict.value}")
    if run.notes:
        ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(run.notes))
    return _counted(suite, run.wall_s)


def _suite_not_run(missing: NotRun) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=_clean(missing.scenario))
    case = ElementTree.SubElement(
        suite, "testcase", classname=_clean(f"otabench.{missing.scenario}"), name=CASE_NOT_RUN
    )
    first = missing.message.partition("\n")[0]
    error = ElementTree.SubElement(case, "error", type=f"exit code {missing.exit_code}", message=_clean(first))
    error.text = _clean(missing.message)
    return _counted(suite, 0.0)


def _counted(suite: ElementTree.Element, wall_s: float) -> ElementTree.Element:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("time", f"{wall_s:.3f}")
    for case in cases:  # GitLab adds cases up and reads no suite's time: each has its share
        case.set("time", f"{wall_s / len(cases):.3f}")
    return suite


def _properties(suite: ElementTree.Element, run: Run) -> None:
    rows = {
        "id": run.id,
        "trace_sha256": run.trace_sha256,
        "bench": run.bench,
        "fault": ", ".join(fault_points(run)) or "none",
        **_several_faults(run),
        "seed": str(run.seed),
        "verdict": run.verdict.value,
        "expectation": expectation(run),
        "clock": "real" if is_real_time(run) else "virtual",
        "run_s" if is_real_time(run) else "virtual_s": f"{run.virtual_s:.6f}",
        "report": run.report,
        "replay": run.replay,
        "blame": run.blame or "nobody",
    }
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in rows.items():
        ElementTree.SubElement(properties, "property", name=name, value=_clean(value))


def _several_faults(run: Run) -> dict[str, str]:
    """Return a property for each of several faults: its point and its own parameters."""
    points = fault_points(run)
    if run.fault is None or len(points) < 2:
        return {}
    parameters = (values_text(run.fault.parameters.get(point, {})) for point in points)
    rows = zip(points, parameters, strict=True)
    return {f"fault.{n}": f"{point} ({text})" if text else point for n, (point, text) in enumerate(rows, start=1)}


def _invariant_case(suite: ElementTree.Element, run: Run, item: InvariantItem, *, caught: bool) -> None:
    case = _case(suite, run, item.id.value)
    if item.verdict is Verdict.FAIL and not caught:
        _outcome(case, run, "failure", "invariant", item.sentence, item.evidence)
    elif item.verdict is Verdict.NOT_OBSERVED:
        ElementTree.SubElement(case, "skipped", message=_clean(f"{item.sentence} (not observed)"))
    elif item.verdict is Verdict.INCONCLUSIVE and run.verdict is Verdict.PASS:
        message = f"{item.sentence} (inconclusive, and this scenario does not demand it)"
        ElementTree.SubElement(case, "skipped", message=_clean(message))
    elif item.verdict in (Verdict.INCONCLUSIVE, Verdict.EQUIPMENT_ERROR):
        _outcome(case, run, "error", item.verdict.value, item.sentence, item.evidence)
    elif item.verdict is Verdict.FAIL:
        lines = (f"failed, as the planted defect makes it: {item.sentence}", *_evidence_lines(item.evidence))
        ElementTree.SubElement(case, "system-out").text = _clean("\n".join(lines))


def _expected_failure_case(suite: ElementTree.Element, run: Run, *, caught: bool) -> None:
    case = _case(suite, run, CASE_EXPECTED_FAILURE)
    if caught:
        return
    wanted = run.expected.invariant.value if run.expected.invariant else "any invariant"
    _outcome(case, run, "failure", "not caught", f"{wanted} had to fail; the verdict is {run.verdict.value}")


def _case(suite: ElementTree.Element, run: Run, what: str) -> ElementTree.Element:
    """Add a case; its name carries seed and fault, since CI systems compare runs by class name and name alone."""
    name = f"{what} [{', '.join((f'seed {run.seed}', *fault_points(run)))}]"
    return ElementTree.SubElement(suite, "testcase", classname=_clean(f"otabench.{run.scenario}"), name=_clean(name))


def _outcome(
    case: ElementTree.Element,
    run: Run,
    tag: str,
    kind: str,
    message: str,
    evidence: tuple[EvidenceItem, ...] = (),
) -> None:
    """Add what went wrong, with all that a reader needs: CI systems show this text, and hardly any the properties."""
    made = ElementTree.SubElement(case, tag, type=kind, message=_clean(message))
    facts = {"run": run.id, "blame": run.blame or "nobody", "replay": run.replay, "report": run.report}
    lines = [message, *(f"{name + ':':<8}{value}" for name, value in facts.items())]
    lines += [f"note:   {note}" for note in run.notes]
    made.text = _clean("\n".join((*lines, *_evidence_lines(evidence))))


def _evidence_lines(evidence: tuple[EvidenceItem, ...]) -> tuple[str, ...]:
    return tuple(f"{item.kind}: {item.where}: {item.text}" for item in evidence)


def _bad(suite: ElementTree.Element) -> bool:
    return suite.find("testcase/failure") is not None or suite.find("testcase/error") is not None


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
