from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bench.evidence.contract import run_model
from bench.evidence.junit import CASE_EXPECTED_FAILURE, CASE_EXPECTED_VERDICT, junit_xml
from bench.oracle.result import RunResult, Verdict


def suite_of(result: RunResult) -> ElementTree.Element:
    root = ElementTree.fromstring(junit_xml(run_model(result, "r/report.html"), result.notes))
    assert root.tag == "testsuites"
    suite = root.find("testsuite")
    assert suite is not None
    return suite


def counts(suite: ElementTree.Element) -> tuple[str | None, ...]:
    return tuple(suite.get(name) for name in ("tests", "failures", "errors", "skipped"))


def test_passing_run_has_a_passed_case_per_invariant(result: RunResult) -> None:
    suite = suite_of(result)
    assert counts(suite) == ("7", "0", "0", "0")
    assert [case.get("name") for case in suite.findall("testcase")][:3] == ["bootable", "authentic", "whole"]
    properties = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert properties["id"] == result.id
    assert properties["trace_sha256"] == result.trace_sha256
    assert properties["replay"] == f"otabench replay {result.id}"


def test_failed_invariant_is_a_failure_with_its_evidence(runs: dict[str, RunResult]) -> None:
    suite = suite_of(runs["failing_run"])
    assert counts(suite) == ("7", "1", "0", "0")
    failure = suite.find("testcase[@name='whole']/failure")
    assert failure is not None
    assert failure.get("message") == "body executes bytes that nobody signed."
    assert "bit 3 is 1" in (failure.text or "")


def test_planted_defect_that_was_caught_counts_as_passed(runs: dict[str, RunResult]) -> None:
    suite = suite_of(runs["caught_run"])
    assert counts(suite) == ("8", "0", "0", "0")
    assert suite.find(f"testcase[@name='{CASE_EXPECTED_FAILURE}']") is not None
    note = suite.findtext("testcase[@name='whole']/system-out")
    assert note is not None
    assert "as the planted defect makes it" in note


def test_planted_defect_that_was_missed_is_a_failure(runs: dict[str, RunResult], result: RunResult) -> None:
    missed = replace(runs["caught_run"], verdict=result.verdict, as_expected=False)
    suite = suite_of(missed)
    assert counts(suite) == ("8", "1", "0", "0")
    failure = suite.find(f"testcase[@name='{CASE_EXPECTED_FAILURE}']/failure")
    assert failure is not None
    assert failure.get("message") == "whole had to fail; the verdict is pass"


def test_not_observed_is_skipped_and_inconclusive_is_an_error(runs: dict[str, RunResult]) -> None:
    assert counts(suite_of(runs["unobserved_run"])) == ("7", "0", "0", "2")
    assert counts(suite_of(runs["broken_run"])) == ("7", "0", "1", "0")


@pytest.mark.parametrize(("verdict", "tag"), [(Verdict.EQUIPMENT_ERROR, "error"), (Verdict.PASS, "failure")])
def test_unexpected_verdict_without_a_bad_invariant_is_not_green(result: RunResult, verdict: Verdict, tag: str) -> None:
    odd = replace(result, as_expected=False, verdict=replace(result.verdict, verdict=verdict, invariants=()))
    assert suite_of(odd).find(f"testcase[@name='{CASE_EXPECTED_VERDICT}']/{tag}") is not None


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
