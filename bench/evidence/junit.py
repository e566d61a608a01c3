"""JUnit XML: a suite per run, a case per invariant; what a CI system shows of a run."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from bench.evidence.contract import EvidenceItem, InvariantItem, Run, values_text
from bench.evidence.text import expectation, fault_points, is_real_time
from bench.oracle.result import Verdict

CASE_EXPECTED_FAILURE = "expected failure caught"
CASE_EXPECTED_VERDICT = "verdict as expected"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry, even escaped."""


def junit_xml(run: Run, notes: tuple[str, ...] = ()) -> bytes:
    """Return the document of one run. What a planted defect breaks, as expected, counts as passed."""
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
        _outcome(case, kind, run.verdict.value, f"{expectation(run)}, found: {run.verdict.value}")
    if notes:
        ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(notes))
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("time", f"{run.wall_s:.3f}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


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
        "virtual_s": f"{run.virtual_s:.6f}",
        "report": run.report,
        "replay": f"otabench replay {run.id}",
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
        _outcome(case, "failure", "invariant", item.sentence, item.evidence)
    elif item.verdict is Verdict.NOT_OBSERVED:
        ElementTree.SubElement(case, "skipped", message=_clean(f"not observed: {item.sentence}"))
    elif item.verdict is Verdict.INCONCLUSIVE and run.verdict is Verdict.PASS:
        message = f"inconclusive, and this scenario does not demand it: {item.sentence}"
        ElementTree.SubElement(case, "skipped", message=_clean(message))
    elif item.verdict in (Verdict.INCONCLUSIVE, Verdict.EQUIPMENT_ERROR):
        _outcome(case, "error", item.verdict.value, item.sentence, item.evidence)
    elif item.verdict is Verdict.FAIL:
        text = f"failed, as the planted defect makes it: {item.sentence}\n{_lines(item.evidence)}"
        ElementTree.SubElement(case, "system-out").text = _clean(text)


def _expected_failure_case(suite: ElementTree.Element, run: Run, *, caught: bool) -> None:
    case = _case(suite, run, CASE_EXPECTED_FAILURE)
    if caught:
        return
    wanted = run.expected.invariant.value if run.expected.invariant else "any invariant"
    _outcome(case, "failure", "not caught", f"{wanted} had to fail; the verdict is {run.verdict.value}")


def _case(suite: ElementTree.Element, run: Run, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=_clean(f"otabench.{run.scenario}"), name=name)


def _outcome(
    case: ElementTree.Element, tag: str, kind: str, message: str, evidence: tuple[EvidenceItem, ...] = ()
) -> None:
    made = ElementTree.SubElement(case, tag, type=kind, message=_clean(message))
    made.text = _clean(_lines(evidence)) or None


def _lines(evidence: tuple[EvidenceItem, ...]) -> str:
    return "\n".join(f"{item.kind}: {item.where}: {item.text}" for item in evidence)


def _bad(suite: ElementTree.Element) -> bool:
    return suite.find("testcase/failure") is not None or suite.find("testcase/error") is not None


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
