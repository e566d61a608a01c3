"""The table of ends: one right answer for what the targets run and what was confirmed."""

from __future__ import annotations

from types import ModuleType

import pytest

from bench.core.records import RunRecord
from bench.oracle.ends import MAY_SAY, End
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import replace, truthful

NEW_EVERYWHERE, OLD_IN_BODY = ("2.0.0", "2.0.0"), ("1.0.0", "2.0.0")


def ended(
    v: ModuleType, record: RunRecord, versions: tuple[str, str], floors: tuple[int | None, int | None], status: str,
    trial: str | None = None,
) -> RunRecord:  # fmt: skip
    """The two ECUs read these versions, have these floors, and the order was closed so, with results to match."""
    ecus = dict(zip(("body", "gateway"), versions, strict=True))
    codes = {"success": 1200, "failed": 1405, "refused": 1407}
    log = []
    for e in record.server_events.items:
        if e.kind == "component_result":
            e = replace(e, data={**e.data, "result_code": codes[status], "version": ""})
        elif e.kind == "order_closed":
            e = replace(e, data={**e.data, "status": status})
        elif e.kind == "inventory" and e.seq == 7:
            e = replace(e, data={"ecus": ecus})
        log.append(e)
    readings = tuple(
        r
        for ecu, version in ecus.items()
        for r in (v.read(ecu, 0xF186, b"\x01"), v.read(ecu, 0xF189, version.encode()))
    )
    executions = [e for e in record.executions.items if e.ecu != "body" or versions[0] == "2.0.0" or e.t_ns < v.S]
    flash = (
        v.dump("body", {"A": v.NEW["body"]}, floor=floors[0]),
        v.dump("gateway", {"A": v.OLD["gateway"], "B": v.NEW["gateway"]}, floor=floors[1], trial=trial),
    )
    return replace(record, server_events=tuple(log), readings=readings, executions=tuple(executions), flash=flash)


CASES = [
    (End.REACHED, NEW_EVERYWHERE, (2, 2), None),
    (End.UNCONFIRMED, NEW_EVERYWHERE, (2, 1), None),
    (End.UNCONFIRMED, NEW_EVERYWHERE, (2, 2), "B"),
    (End.NOT_REACHED, OLD_IN_BODY, (1, 2), None),
]


@pytest.mark.parametrize(("end", "versions", "floors", "trial"), CASES)
@pytest.mark.parametrize("status", ["success", "failed", "refused"])
def test_server_may_say_what_the_table_says(
    v: ModuleType, healthy: RunRecord, end: End, versions: tuple[str, str], floors: tuple[int, int], trial: str | None,
    status: str,
) -> None:  # fmt: skip
    found = truthful(ended(v, healthy, versions, floors, status, trial))
    assert found.verdict is (Verdict.PASS if status in MAY_SAY[end] else Verdict.FAIL), found.sentence


def test_confirm_that_is_refused_for_ever_has_one_right_answer(v: ModuleType, healthy: RunRecord) -> None:
    """Seen: closed as failed broke one rule, and closed as success another."""
    verdicts = {
        status: truthful(ended(v, healthy, NEW_EVERYWHERE, (2, 1), status)).verdict
        for status in ("success", "failed", "refused")
    }
    assert verdicts == {"success": Verdict.FAIL, "failed": Verdict.PASS, "refused": Verdict.FAIL}


def test_where_nobody_sees_what_was_confirmed_the_versions_decide(v: ModuleType, healthy: RunRecord) -> None:
    unseen = (None, None)
    assert truthful(ended(v, healthy, NEW_EVERYWHERE, unseen, "success")).verdict is Verdict.PASS
    assert truthful(ended(v, healthy, NEW_EVERYWHERE, unseen, "failed")).verdict is Verdict.FAIL


@pytest.mark.parametrize(("reported", "verdict"), [(True, Verdict.FAIL), (False, Verdict.PASS)])
def test_of_two_images_with_one_version_the_one_that_the_order_brought_sets_the_floor(
    v: ModuleType, healthy: RunRecord, reported: bool, verdict: Verdict
) -> None:
    """The body held 2.0.0 with counter 1 before, and the order offers a 2.0.0 with counter 2."""
    held = v.reference("body", "installed", "2.0.0", 1)
    record = ended(v, healthy, NEW_EVERYWHERE, (1, 2), "success")
    inventory = v.event(3, 2 * v.S, "inventory", ecus={"body": "2.0.0", "gateway": "2.0.0"})
    silent = () if reported else ("component_result", "order_offered")
    log = tuple(e for e in record.server_events.items if e.kind not in silent)
    if not reported:  # the vehicle had everything already: it closes without any result
        log = (*log[:2], inventory, *log[2:])
    for references in ((held, *record.references), (*record.references, held)):
        found = truthful(replace(record, server_events=log, references=references))
        assert found.verdict is verdict, found.sentence
