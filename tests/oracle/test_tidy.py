from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from bench.core.records import FaultRecord, PowerRecord, RunRecord, StoredFile
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import replace, tidy


def after(record: RunRecord, v: ModuleType, talk: Any) -> RunRecord:
    """Append what was said to the bus trace."""
    return replace(record, frames=(*(record.frames.items), *talk.frames))


def test_healthy_and_refused_runs_pass_with_evidence(healthy: RunRecord, refused: RunRecord) -> None:
    for record in (healthy, refused):
        found = tidy(record)
        assert found.verdict is Verdict.PASS
        assert {"frame", "did", "execution", "disk"} <= {e.kind for e in found.evidence}


@pytest.mark.parametrize("off", ["288301", "288101", "280201", "288401", "8582", "8502"])
def test_functional_off_without_on_fails(v: ModuleType, healthy: RunRecord, off: str) -> None:
    talk = v.Talk(7 * v.S)
    talk.to_all(off)
    found = tidy(after(healthy, v, talk))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "flasher")


@pytest.mark.parametrize(("off", "on"), [("288301", "288001"), ("288401", "288501"), ("8582", "8581")])
def test_functional_off_with_on_after_it_passes(v: ModuleType, healthy: RunRecord, off: str, on: str) -> None:
    talk = v.Talk(7 * v.S)
    talk.to_all(off)
    talk.to_all(on)
    assert tidy(after(healthy, v, talk)).verdict is Verdict.PASS


def test_physical_off_needs_an_on_that_this_ecu_hears(v: ModuleType, healthy: RunRecord) -> None:
    talk = v.Talk(7 * v.S)
    talk.ask("body", b"\x28\x03\x01", "6803")
    assert tidy(after(healthy, v, talk)).verdict is Verdict.FAIL
    other = v.Talk(8 * v.S)
    other.ask("gateway", b"\x28\x00\x01", "6800")
    assert tidy(after(after(healthy, v, talk), v, other)).verdict is Verdict.FAIL
    to_all = v.Talk(8 * v.S)
    to_all.to_all("288001")
    assert tidy(after(after(healthy, v, talk), v, to_all)).verdict is Verdict.PASS


def test_functional_off_is_not_cured_by_an_on_to_one_ecu(v: ModuleType, healthy: RunRecord) -> None:
    talk = v.Talk(7 * v.S)
    talk.to_all("288301")
    talk.ask("body", b"\x28\x00\x01", "6800")
    found = tidy(after(healthy, v, talk))
    assert found.verdict is Verdict.FAIL
    assert "gateway" in found.sentence
    talk.ask("gateway", b"\x28\x00\x01", "6800")
    assert tidy(after(healthy, v, talk)).verdict is Verdict.PASS


def test_refused_commands_change_nothing(v: ModuleType, healthy: RunRecord) -> None:
    off = v.Talk(7 * v.S)
    off.ask("body", b"\x28\x03\x01", "7F2822")
    assert tidy(after(healthy, v, off)).verdict is Verdict.PASS
    on = v.Talk(7 * v.S)
    on.to_all("8582")
    on.ask("body", b"\x85\x01", "7F8522")
    on.ask("gateway", b"\x85\x01", "C501")
    assert tidy(after(healthy, v, on)).verdict is Verdict.FAIL


def test_other_functional_identifier_is_heard_when_the_vehicle_has_it(v: ModuleType, healthy: RunRecord) -> None:
    frames = tuple(v.spoken(7 * v.S, 0x700, bytes.fromhex("288301")))
    assert tidy(replace(healthy, frames=(*(healthy.frames.items), *frames))).verdict is Verdict.PASS
    record = replace(healthy, frames=frames, functional_id=0x700)
    assert tidy(record).verdict is Verdict.FAIL


def test_session_other_than_default_fails(v: ModuleType, healthy: RunRecord) -> None:
    record = replace(healthy, readings=(*healthy.readings.items, v.read("body", 0xF186, b"\x03")))
    found = tidy(record)
    assert found.verdict is Verdict.FAIL
    assert "session 03" in found.sentence


def test_session_that_is_unknown_is_inconclusive(v: ModuleType, healthy: RunRecord) -> None:
    readings = tuple(r for r in healthy.readings.items if (r.ecu, r.did) != ("body", 0xF186))
    assert tidy(replace(healthy, readings=readings)).verdict is Verdict.INCONCLUSIVE
    silent = replace(healthy, readings=(*readings, v.read("body", 0xF186, None)))
    assert tidy(silent).verdict is Verdict.INCONCLUSIVE
    dead = (*(r for r in healthy.readings.items if r.ecu != "body"), v.read("body", 0xF186, None))
    assert tidy(replace(healthy, readings=dead)).verdict is Verdict.INCONCLUSIVE


def test_downgrade_fails_unless_it_is_the_revert_to_the_installed_image(v: ModuleType, healthy: RunRecord) -> None:
    reverted = (*(healthy.executions.items), v.ran(7 * v.S, v.OLD["gateway"], "A"))
    assert tidy(replace(healthy, executions=reverted)).verdict is Verdict.PASS
    older = v.reference("gateway", "x", "0.9.0", 1)
    downgraded = (*(healthy.executions.items), v.ran(7 * v.S, older, "A"))
    found = tidy(replace(healthy, executions=downgraded))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")


def test_executions_unknown_is_not_observed(healthy: RunRecord) -> None:
    assert tidy(replace(healthy, executions=None)).verdict is Verdict.NOT_OBSERVED


def test_bus_unknown_is_not_observed_but_a_failure_still_shows(v: ModuleType, healthy: RunRecord) -> None:
    record = replace(healthy, frames=None)
    assert tidy(record).verdict is Verdict.NOT_OBSERVED
    left = replace(record, agent_files=(StoredFile("agent/spring.zip", 10),))
    assert tidy(left).verdict is Verdict.FAIL


def flashed_again(v: ModuleType, image: str = "body", t_ns: int = 0) -> Any:
    talk = v.Talk(t_ns or 7 * v.S)
    talk.flash(v.NEW[image])
    return talk


def test_second_flash_of_a_checked_image_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = tidy(after(healthy, v, flashed_again(v)))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "flasher")
    assert len(found.evidence) == 2


def test_second_flash_of_an_unchecked_image_passes(v: ModuleType, healthy: RunRecord) -> None:
    talk = v.Talk(4 * v.S)
    talk.download("body", 0, v.NEW["body"].data)
    talk.check("body", "7101020204")
    talk.flash(v.NEW["body"])
    assert tidy(replace(healthy, frames=v.and_the_gateway(talk.frames))).verdict is Verdict.PASS


def test_second_flash_of_an_interrupted_download_passes(v: ModuleType, healthy: RunRecord) -> None:
    talk = v.Talk(4 * v.S)
    talk.download("body", 0, v.NEW["body"].data, complete=False)
    talk.flash(v.NEW["body"])
    assert tidy(replace(healthy, frames=v.and_the_gateway(talk.frames))).verdict is Verdict.PASS


def test_second_flash_of_another_image_passes(v: ModuleType, healthy: RunRecord) -> None:
    talk = v.Talk(7 * v.S)
    talk.flash(v.OLD["body"])
    assert tidy(after(healthy, v, talk)).verdict is Verdict.PASS


def test_power_loss_or_fault_in_between_excuses_a_second_flash(v: ModuleType, healthy: RunRecord) -> None:
    record = after(healthy, v, flashed_again(v))
    power = (*healthy.power.items, PowerRecord(6 * v.S, "body", False, "cut"))
    assert tidy(replace(record, power=power)).verdict is Verdict.PASS
    fault = FaultRecord("driver", "driver:body:program:9", {}, 6 * v.S, None)
    assert tidy(replace(record, faults=(fault,))).verdict is Verdict.PASS
    unreached = replace(fault, t_ns=None)
    assert tidy(replace(record, faults=(unreached,))).verdict is Verdict.FAIL


def test_power_loss_between_a_check_and_its_answer_excuses_a_second_flash(v: ModuleType, healthy: RunRecord) -> None:
    record = after(healthy, v, flashed_again(v))
    check = bytes.fromhex("0431010202")
    asked_ns = next(f.t_ns for f in record.frames.items if f.can_id == v.REQUEST["body"] and f.data.startswith(check))
    for offset_ns, verdict in ((v.MS // 10, Verdict.PASS), (-20 * v.MS, Verdict.FAIL)):
        power = (*healthy.power.items, PowerRecord(asked_ns + offset_ns, "agent", False, "cut"))
        assert tidy(replace(record, power=power, executions=())).verdict is verdict


def test_power_loss_is_no_excuse_once_the_image_ran_after_it(v: ModuleType, healthy: RunRecord) -> None:
    record = after(healthy, v, flashed_again(v))
    power = (*healthy.power.items, PowerRecord(6 * v.S, "body", False, "cut"))
    executions = (*(healthy.executions.items), v.ran(6 * v.S + 500 * v.MS, v.NEW["body"], "A"))
    assert tidy(replace(record, power=power, executions=executions)).verdict is Verdict.FAIL


@pytest.mark.parametrize(("path", "size_bytes"), [("agent/spring.zip", 10), ("cache/packages/spring.zip", 10)])
def test_package_or_image_left_on_the_disk_fails(healthy: RunRecord, path: str, size_bytes: int) -> None:
    found = tidy(replace(healthy, agent_files=(StoredFile(path, size_bytes),)))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert found.evidence[0].where == path


@pytest.mark.parametrize("sizes", [(4097,), (4096, 1), (1400, 1400, 1400)])
def test_files_that_are_too_large_together_fail(healthy: RunRecord, sizes: tuple[int, ...]) -> None:
    files = tuple(StoredFile(f"images/{n}.part", size) for n, size in enumerate(sizes))
    found = tidy(replace(healthy, agent_files=files))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert found.evidence[0].text.startswith(f"{sum(sizes)} bytes")


def erased_twice(v: ModuleType, *, first: str | None = "7101FF0000", second: str | None = "7101FF0000") -> Any:
    talk = v.Talk(4 * v.S)
    talk.erase("body", first)
    talk.erase("body", second)
    talk.download("body", 0, v.NEW["body"].data)
    return talk


def test_second_erasure_before_any_download_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = tidy(replace(healthy, frames=v.and_the_gateway(erased_twice(v).frames)))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "flasher")
    assert "needless erase" in found.sentence


@pytest.mark.parametrize("answers", [{"first": None}, {"first": "7F3172"}, {"second": "7F3133"}])
def test_erasure_that_was_not_obeyed_is_not_counted(v: ModuleType, healthy: RunRecord, answers: Any) -> None:
    assert tidy(replace(healthy, frames=v.and_the_gateway(erased_twice(v, **answers).frames))).verdict is Verdict.PASS


def test_erasure_after_a_download_or_of_another_range_or_ecu_is_needed(v: ModuleType, healthy: RunRecord) -> None:
    talk = v.Talk(4 * v.S)
    talk.erase("body")
    talk.erase("gateway")
    talk.ask("body", bytes.fromhex("3101FF00440000400000004000"), "7101FF0000")
    talk.download("body", 0, v.NEW["body"].data, complete=False)
    talk.erase("body")
    assert tidy(replace(healthy, frames=v.and_the_gateway(talk.frames))).verdict is Verdict.PASS
    talk.ask("body", bytes.fromhex("3101FF00440000200000004000"), "7101FF0000")
    assert tidy(replace(healthy, frames=v.and_the_gateway(talk.frames))).verdict is Verdict.FAIL


def test_power_loss_or_fault_in_between_excuses_a_second_erasure(v: ModuleType, healthy: RunRecord) -> None:
    record = replace(healthy, frames=v.and_the_gateway(erased_twice(v).frames))
    between, before = 4 * v.S + 10 * v.MS, 3 * v.S
    cuts = [(*healthy.power.items, PowerRecord(t_ns, "agent", False, "cut")) for t_ns in (between, before)]
    assert [tidy(replace(record, power=cut)).verdict for cut in cuts] == [Verdict.PASS, Verdict.FAIL]
    instants = [(between, None), (before, between), (before, None), (None, None)]
    faults = [FaultRecord("bus", "bus:body:frame:9", {}, t_ns, restored) for t_ns, restored in instants]
    assert [tidy(replace(record, faults=(fault,))).verdict for fault in faults] == [
        Verdict.PASS, Verdict.PASS, Verdict.FAIL, Verdict.FAIL,
    ]  # fmt: skip


def test_small_files_and_an_empty_disk_pass(healthy: RunRecord) -> None:
    assert tidy(replace(healthy, agent_files=(StoredFile("log", 4096),))).verdict is Verdict.PASS
    assert tidy(replace(healthy, agent_files=())).verdict is Verdict.PASS


def test_disk_is_not_judged_while_an_order_is_open(healthy: RunRecord) -> None:
    events = tuple(e for e in healthy.server_events.items if e.kind != "order_closed")
    record = replace(healthy, server_events=events, agent_files=(StoredFile("agent/spring.zip", 10),))
    assert tidy(record).verdict is Verdict.INCONCLUSIVE


def test_disk_unknown_is_not_observed(healthy: RunRecord) -> None:
    assert tidy(replace(healthy, agent_files=None)).verdict is Verdict.NOT_OBSERVED


def test_power_loss_before_the_first_flash_was_checked_is_no_excuse(v: ModuleType, healthy: RunRecord) -> None:
    record = after(healthy, v, flashed_again(v))
    power = (*healthy.power.items, PowerRecord(4 * v.S + 50 * v.MS, "body", False, "cut"))
    assert tidy(replace(record, power=power)).verdict is Verdict.FAIL


def test_another_image_that_ran_after_the_power_loss_leaves_the_excuse(v: ModuleType, healthy: RunRecord) -> None:
    record = after(healthy, v, flashed_again(v))
    power = (*healthy.power.items, PowerRecord(6 * v.S, "body", False, "cut"))
    executions = (*(healthy.executions.items), v.ran(6 * v.S + 500 * v.MS, v.OLD["body"], "A"))
    assert tidy(replace(record, power=power, executions=executions)).verdict is Verdict.PASS
