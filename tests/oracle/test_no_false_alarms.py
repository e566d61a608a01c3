"""What is no failure: an ECU that only refuses, and result codes of the slides' own range."""

from __future__ import annotations

from types import ModuleType

import pytest

from bench.core.records import DidReading, RunRecord
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import S, bootable, replace, tidy, truthful


def refusing(ecu: str, did: int, nrc: int | None) -> DidReading:
    return DidReading(10 * S, ecu, did, None, nrc)


def test_ecu_that_answers_only_negative_responses_is_alive(healthy: RunRecord) -> None:
    others = tuple(r for r in healthy.readings.items if r.ecu != "body")
    for nrc, verdict in ((0x22, Verdict.PASS), (None, Verdict.FAIL)):
        readings = (*others, refusing("body", 0xF186, nrc), refusing("body", 0xF189, nrc))
        assert bootable(replace(healthy, readings=readings)).verdict is verdict


def test_refusal_is_shown_with_its_code(healthy: RunRecord) -> None:
    others = tuple(r for r in healthy.readings.items if r.ecu != "body")
    readings = (*others, refusing("body", 0xF186, 0x31), refusing("body", 0xF189, 0x31))
    found = bootable(replace(healthy, readings=readings))
    assert any("NRC 0x31" in e.text for e in found.evidence)
    assert tidy(replace(healthy, readings=readings)).verdict is Verdict.INCONCLUSIVE, "its session is not known"


@pytest.mark.parametrize(("code", "verdict"), [(200, Verdict.PASS), (299, Verdict.PASS), (300, Verdict.FAIL)])
def test_result_code_200_is_a_success_as_on_the_wire(
    v: ModuleType, healthy: RunRecord, code: int, verdict: Verdict
) -> None:
    log = tuple(
        replace(e, data={**e.data, "result_code": code}) if e.kind == "component_result" else e
        for e in healthy.server_events.items
    )
    assert truthful(replace(healthy, server_events=log)).verdict is verdict
