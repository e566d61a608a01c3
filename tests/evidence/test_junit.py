from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.evidence.contract import run_model
from bench.evidence.junit import CASE_EXPECTED_FAILURE, CASE_EXPECTED_VERDICT, junit_xml
from bench.oracle.result import RunResult, Verdict

OUT = Path("reports")
POINT = "power.ecu:body:program:12:torn=3"


def suite_of(result: RunResult) -> ElementTree.Element:
    root = ElementTree.fromstring(junit_xml([run_model(result, OUT)]))
    assert root.tag == "testsuites"
    suite = root.find("testsuite")
    assert suite is not None
    return suite


def case_of(suite: ElementTree.Element, what: str) -> ElementTree.Element | None:
    return next((case for case in suite.iter("testcase") if (case.get("name") or "").startswith(f"{what} [")), None)


def counts(suite: ElementTree.Element) -> tuple[str | None, ...]:
    return tuple(suite.get(name) for name in ("tests", "failures", "errors", "skipped"))


def test_passing_run_has_a_passed_case_per_invariant(result: RunResult) -> None:
    suite = suite_of(result)
    assert counts(suite) == ("7", "0", "0", "0")
    names = [case.get("name") for case in suite.findall("testcase")]
    assert names[:2] == [f"bootable [seed 1, {POINT}]", f"authentic [seed 1, {POINT}]"]
    properties = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert properties["id"] == result.id
    assert properties["trace_sha256"] == result.trace_sha256
    assert properties["replay"] == f"otabench replay {result.id}"


def test_failed_invariant_is_a_failure_with_its_evidence(runs: dict[str, RunResult]) -> None:
    suite = suite_of(runs["failing_run"])
    assert counts(suite) == ("7", "1", "0", "0")
    failure = suite.find(f"testcase[@name='whole [seed 2, {POINT}]']/failure")
    assert failure is not None
    assert failure.get("message") == "body executes bytes that nobody signed."
    assert "bit 3 is 1" in (failure.text or "")


def test_failure_tells_run_blame_and_replay_in_its_text(runs: dict[str, RunResult]) -> None:
    run = replace(runs["failing_run"], firmware_options=("--image", "body=my firmware.hex", "--crop"))
    root = ElementTree.fromstring(junit_xml([run_model(run, Path("a b"))]))
    text = root.findtext("testsuite/testcase/failure") or ""
    assert text.splitlines()[:4] == [
        "body executes bytes that nobody signed.",
        f"run:    {run.id}",
        "blame:  bootloader",
        f"replay: otabench replay {run.id} --out 'a b' --image 'body=my firmware.hex' --crop",
    ]


def test_several_runs_are_one_document_with_a_suite_each_and_names_of_their_own(runs: dict[str, RunResult]) -> None:
    chosen = [runs["passing_run"], replace(runs["failing_run"], seed=2), runs["two_fault_run"]]
    root = ElementTree.fromstring(junit_xml([run_model(run, OUT) for run in chosen]))
    assert [suite.get("name") for suite in root] == ["power_cut_ecu", "power_cut_ecu", "two_faults"]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("21", "1", "0")
    cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(cases)) == len(cases)


ATTRIBUTES: dict[str, set[str]] = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase", "system-out"],
    "properties": ["property"],
    "testcase": ["skipped", "error", "failure", "system-out"],
}
"""What Jenkins (xunit), GitLab, GitHub's and Azure's readers have in common; children in this order."""


@pytest.mark.parametrize(
    "name", ["passing_run", "failing_run", "caught_run", "two_fault_run", "unobserved_run", "broken_run"]
)
def test_document_has_only_what_ci_systems_read_in_the_order_that_they_read(
    runs: dict[str, RunResult], name: str
) -> None:
    root = ElementTree.fromstring(junit_xml([run_model(runs[name], OUT)]))
    for element in root.iter():
        assert set(element.keys()) == ATTRIBUTES[element.tag], element.tag
        order = CHILDREN.get(element.tag, [])
        places = [order.index(child.tag) for child in element]
        assert places == sorted(places), element.tag
        for figure in {"tests", "failures", "errors", "skipped"} & set(element.keys()):
            assert (element.get(figure) or "").isdecimal()
        assert float(element.get("time", "0")) >= 0
    for suite in root:
        cases = suite.findall("testcase")
        assert len({case.get("name") for case in cases}) == len(cases) == int(suite.get("tests") or "")
        assert all(len(case) <= 1 for case in cases)
        assert sum(float(case.get("time") or "") for case in cases) == pytest.approx(0.214, abs=0.01)


def test_planted_defect_that_was_caught_counts_as_passed(runs: dict[str, RunResult]) -> None:
    suite = suite_of(runs["caught_run"])
    assert counts(suite) == ("8", "0", "0", "0")
    assert case_of(suite, CASE_EXPECTED_FAILURE) is not None
    whole = case_of(suite, "whole")
    assert whole is not None
    note = whole.findtext("system-out")
    assert note is not None
    assert "as the planted defect makes it" in note


def test_planted_defect_that_was_missed_is_a_failure(runs: dict[str, RunResult], result: RunResult) -> None:
    missed = replace(runs["caught_run"], verdict=result.verdict, as_expected=False)
    suite = suite_of(missed)
    assert counts(suite) == ("8", "1", "0", "0")
    case = case_of(suite, CASE_EXPECTED_FAILURE)
    failure = None if case is None else case.find("failure")
    assert failure is not None
    assert failure.get("message") == "whole had to fail; the verdict is pass"


def test_not_observed_is_skipped_and_inconclusive_is_an_error(runs: dict[str, RunResult]) -> None:
    assert counts(suite_of(runs["unobserved_run"])) == ("7", "0", "0", "2")
    assert counts(suite_of(runs["broken_run"])) == ("7", "0", "1", "0")


@pytest.mark.parametrize(("verdict", "tag"), [(Verdict.EQUIPMENT_ERROR, "error"), (Verdict.PASS, "failure")])
def test_unexpected_verdict_without_a_bad_invariant_is_not_green(result: RunResult, verdict: Verdict, tag: str) -> None:
    odd = replace(result, as_expected=False, verdict=replace(result.verdict, verdict=verdict, invariants=()))
    case = case_of(suite_of(odd), CASE_EXPECTED_VERDICT)
    assert case is not None
    assert case.find(tag) is not None


def test_text_that_xml_cannot_carry_is_replaced(result: RunResult) -> None:
    suite = suite_of(replace(result, scenario='a<b>&"\x00\x1b\ud800', notes=("bell \x07",)))
    assert suite.get("name") == 'a<b>&"\ufffd\ufffd\ufffd'
    assert suite.findtext("system-out") == "bell \ufffd"


def test_each_of_several_faults_has_a_property_with_its_own_parameters(runs: dict[str, RunResult]) -> None:
    properties = {p.get("name"): p.get("value") for p in suite_of(runs["two_fault_run"]).findall("properties/property")}
    assert properties["fault"] == "power.ecu:body:program:12:torn=3, power.agent:agent:transition:6"
    assert properties["fault.1"] == "power.ecu:body:program:12:torn=3 (restore_after_ms=200)"
    assert properties["fault.2"] == "power.agent:agent:transition:6 (restore_after_ms=300)"
    single = [p.get("name") for p in suite_of(runs["passing_run"]).findall("properties/property")]
    assert "fault.1" not in single


@pytest.mark.parametrize(("name", "clock"), [("passing_run", "virtual"), ("real_time_run", "real")])
def test_property_says_which_clock_the_run_went_by(runs: dict[str, RunResult], name: str, clock: str) -> None:
    properties = {p.get("name"): p.get("value") for p in suite_of(runs[name]).findall("properties/property")}
    assert properties["clock"] == clock
