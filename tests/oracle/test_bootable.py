from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from bench.core.records import EXTENDED, BootRecord, Crash, DidReading, FrameRecord, PowerRecord, RunRecord
from bench.oracle.facts import Facts
from bench.oracle.invariants.bootable_starts import StartsInTime
from bench.oracle.result import Verdict
from bench.oracle.situation import Situation
from tests.oracle.oracle_vectors import bootable, replace


def with_readings(record: RunRecord, *mine: DidReading) -> RunRecord:
    """Replace what `mine`'s ECU answered."""
    ecu = mine[0].ecu
    return replace(record, readings=(*(r for r in record.readings.items if r.ecu != ecu), *mine))


def with_body_boots(record: RunRecord, v: ModuleType, *boots: BootRecord) -> RunRecord:
    """Replace the body controller's boots after the first second."""
    kept = tuple(b for b in record.boots.items if b.ecu != "body" or b.t_ns < v.S)
    return replace(record, boots=(*kept, *boots))


def in_bootloader(record: RunRecord, v: ModuleType, ecu: str) -> RunRecord:
    silent = with_readings(record, v.read(ecu, 0xF186, b"\x01"), v.read(ecu, 0xF189, None))
    return replace(silent, boots=(*(silent.boots.items), *v.start(7 * v.S, ecu, "bootloader")))


def test_healthy_run_passes_with_evidence_for_each_ecu(healthy: RunRecord) -> None:
    found = bootable(healthy)
    assert found.verdict is Verdict.PASS
    assert {"did", "boot"} <= {e.kind for e in found.evidence}
    assert any("gateway" in e.where for e in found.evidence)


def test_ecu_that_answers_nothing_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = bootable(with_readings(healthy, v.read("body", 0xF186, None), v.read("body", 0xF189, None)))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert "body answers nothing" in found.sentence


def test_ecu_that_was_not_asked_is_not_observed(healthy: RunRecord) -> None:
    record = replace(healthy, readings=tuple(r for r in healthy.readings.items if r.ecu != "body"))
    assert bootable(record).verdict is Verdict.NOT_OBSERVED


def test_record_without_ecus_is_not_observed_and_has_evidence(healthy: RunRecord) -> None:
    found = bootable(replace(healthy, layouts=()))
    assert found.verdict is Verdict.NOT_OBSERVED
    assert found.evidence


def test_boot_that_takes_too_long_fails(v: ModuleType, healthy: RunRecord) -> None:
    late = v.boot(6 * v.S, "body", "boot_manager"), v.boot(6 * v.S + 501 * v.MS, "body", "application", "A")
    found = bootable(with_body_boots(healthy, v, *late))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")
    in_time = v.boot(6 * v.S, "body", "boot_manager"), v.boot(6 * v.S + 500 * v.MS, "body", "application", "A")
    executions = (*(healthy.executions.items), v.ran(6 * v.S + 500 * v.MS, v.NEW["body"], "A"))
    assert bootable(replace(with_body_boots(healthy, v, *in_time), executions=executions)).verdict is Verdict.PASS


def test_boot_manager_that_starts_late_counts_from_power_on(v: ModuleType, healthy: RunRecord) -> None:
    power = (
        *healthy.power.items,
        PowerRecord(6 * v.S, "body", False, "cut"),
        PowerRecord(7 * v.S, "body", True, "restore"),
    )
    late = v.start(7 * v.S + 480 * v.MS, "body", "application", "A")
    assert bootable(replace(with_body_boots(healthy, v, *late), power=power)).verdict is Verdict.FAIL


def test_start_without_any_boot_fails(v: ModuleType, healthy: RunRecord) -> None:
    power = (*healthy.power.items, PowerRecord(7 * v.S, "body", True, "restore"))
    found = bootable(replace(healthy, power=power))
    assert found.verdict is Verdict.FAIL
    assert "never came up" in found.sentence


def test_start_cut_off_again_within_the_limit_is_no_failure(v: ModuleType, healthy: RunRecord) -> None:
    cut = PowerRecord(7 * v.S, "body", True, "on"), PowerRecord(7 * v.S + 100 * v.MS, "body", False, "cut")
    again = PowerRecord(8 * v.S, "body", True, "restore")
    boots = (*(healthy.boots.items), *v.start(8 * v.S, "body", "application", "A"))
    executions = (*(healthy.executions.items), v.ran(8 * v.S + 30 * v.MS, v.NEW["body"], "A"))
    record = replace(healthy, power=(*healthy.power.items, *cut, again), boots=boots, executions=executions)
    assert bootable(record).verdict is Verdict.PASS


def test_start_cut_off_after_the_limit_without_boot_fails(v: ModuleType, healthy: RunRecord) -> None:
    cut = PowerRecord(7 * v.S, "body", True, "on"), PowerRecord(8 * v.S, "body", False, "cut")
    again = PowerRecord(9 * v.S, "body", True, "restore")
    boots = (*(healthy.boots.items), *v.start(9 * v.S, "body", "application", "A"))
    executions = (*(healthy.executions.items), v.ran(9 * v.S + 30 * v.MS, v.NEW["body"], "A"))
    record = replace(healthy, power=(*healthy.power.items, *cut, again), boots=boots, executions=executions)
    assert bootable(record).verdict is Verdict.FAIL


def test_run_that_ends_during_a_boot_is_inconclusive(v: ModuleType, healthy: RunRecord) -> None:
    power = (*healthy.power.items, PowerRecord(10 * v.S - 100 * v.MS, "body", True, "restore"))
    assert bootable(replace(healthy, power=power)).verdict is Verdict.INCONCLUSIVE


def test_single_bank_ecu_may_end_in_its_bootloader(v: ModuleType, healthy: RunRecord) -> None:
    assert bootable(in_bootloader(healthy, v, "body")).verdict is Verdict.PASS


def test_dual_bank_ecu_left_in_its_bootloader_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = bootable(in_bootloader(healthy, v, "gateway"))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")


def test_version_that_is_neither_old_nor_new_fails(v: ModuleType, healthy: RunRecord) -> None:
    record = with_readings(healthy, v.read("body", 0xF189, b"6.6.6"))
    assert bootable(record).verdict is Verdict.FAIL
    old = with_readings(healthy, v.read("body", 0xF189, b"1.0.0\x00\x00"))
    assert bootable(old).verdict is Verdict.PASS


def test_ecu_without_any_reference_is_inconclusive(healthy: RunRecord) -> None:
    record = replace(healthy, references=tuple(r for r in healthy.references if r.ecu == "gateway"))
    assert bootable(record).verdict is Verdict.INCONCLUSIVE


def test_boots_unknown_and_nothing_heard_in_time_is_not_observed(healthy: RunRecord) -> None:
    assert bootable(replace(healthy, boots=None)).verdict is Verdict.NOT_OBSERVED
    assert bootable(replace(healthy, boots=None, frames=None)).verdict is Verdict.NOT_OBSERVED


def test_boots_unknown_but_each_start_heard_on_the_bus_passes(v: ModuleType, healthy: RunRecord) -> None:
    said = [f for can_id in (0x7A8, 0x7A9) for f in v.spoken(100 * v.MS, can_id, b"\x7e\x00", "ecu")]
    record = replace(healthy, boots=None, frames=(*said, *(healthy.frames.items)))
    assert bootable(record).verdict is Verdict.PASS


def test_boots_and_versions_unknown_do_not_tell_what_runs(v: ModuleType, healthy: RunRecord) -> None:
    readings = tuple(r for r in healthy.readings.items if r.did == 0xF186)
    record = replace(healthy, boots=None, power=(), readings=readings, executions=None)
    assert bootable(record).verdict is Verdict.INCONCLUSIVE


def test_slowest_start_is_told(v: ModuleType, healthy: RunRecord) -> None:
    (text,) = [e.text for e in bootable(healthy).evidence if (e.kind, e.where) == ("boot", "body")]
    assert text == "2 starts, the slowest took 0.030000000 s, allowed 0.500000000 s"


def test_version_of_another_ecu_is_not_known_here(v: ModuleType, healthy: RunRecord) -> None:
    references = (*healthy.references, v.reference("gateway", "target", "3.0.0", 3))
    record = with_readings(replace(healthy, references=references), v.read("body", 0xF189, b"3.0.0"))
    assert bootable(record).verdict is Verdict.FAIL


def test_frames_of_another_ecu_do_not_prove_a_start(v: ModuleType, healthy: RunRecord) -> None:
    said = tuple(v.spoken(100 * v.MS, 0x7A9, b"\x7e\x00", "gateway"))
    assert (
        bootable(replace(healthy, boots=None, frames=v.and_the_gateway(said, "body"))).verdict is Verdict.NOT_OBSERVED
    )


def test_version_that_is_silent_is_taken_from_the_execution(v: ModuleType, healthy: RunRecord) -> None:
    record = with_readings(healthy, v.read("gateway", 0xF186, b"\x01"), v.read("gateway", 0xF189, None))
    assert bootable(record).verdict is Verdict.PASS


def test_boots_unknown_and_a_silent_version_mean_the_bootloader(v: ModuleType, healthy: RunRecord) -> None:
    quiet = replace(healthy, boots=None, power=())
    body = with_readings(quiet, v.read("body", 0xF186, b"\x01"), v.read("body", 0xF189, None))
    assert bootable(body).verdict is Verdict.PASS
    gateway = with_readings(quiet, v.read("gateway", 0xF186, b"\x01"), v.read("gateway", 0xF189, None))
    assert bootable(gateway).verdict is Verdict.FAIL


def test_application_whose_image_nobody_saw_is_undecided(v: ModuleType, healthy: RunRecord) -> None:
    """It booted its application; which one neither the version nor an execution tells."""
    readings = tuple(r for r in healthy.readings.items if (r.ecu, r.did) != ("body", 0xF189))
    found = bootable(replace(healthy, readings=readings, executions=None))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "the record does not say what body runs (application)" in found.sentence


# A start by what is heard of it --------------------------------------------------------------------------------


def started_at(record: RunRecord, t_ns: int, *frames: FrameRecord, **changes: Any) -> RunRecord:
    """Nobody sees boots; the body gets its supply once, and the gateway none that anybody saw."""
    power = (PowerRecord(t_ns, "body", True, "supply"),)
    return replace(record, boots=None, power=power, frames=(*frames, *record.frames.items), **changes)


def start_of(record: RunRecord) -> list[str]:
    return [e.text for e in bootable(record).evidence if (e.kind, e.where) == ("power", "body")]


def test_a_version_that_is_read_tells_that_the_ecu_is_up(v: ModuleType, healthy: RunRecord) -> None:
    on_ns = 10 * v.S - 300 * v.MS
    assert start_of(started_at(healthy, on_ns)) == ["1 starts, the slowest took 0.300000000 s, allowed 0.500000000 s"]
    unread = [r for r in healthy.readings.items if r.ecu != "body"]
    refused = tuple(DidReading(10 * v.S, "body", did, None, 0x31) for did in (0xF186, 0xF189))
    found = bootable(started_at(healthy, on_ns, readings=(*unread, *refused)))
    assert found.verdict is Verdict.NOT_OBSERVED
    assert "how long body took to boot was not observed" in found.sentence


def test_signs_of_life_without_a_start_count_for_nothing(v: ModuleType, healthy: RunRecord) -> None:
    record = replace(healthy, boots=None, power=())
    assert start_of(record) == ["0 starts, the slowest took 0.000000000 s, allowed 0.500000000 s"]
    facts = Facts.of(record)
    (silent, _) = StartsInTime(facts, Situation.of(facts)).findings()
    assert silent.evidence[0].text == "0 starts, the slowest took 0.000000000 s, allowed 0.500000000 s"
    off = replace(healthy, boots=None, power=(PowerRecord(v.S, "body", False, "cut"),))
    assert start_of(off) == ["0 starts, the slowest took 0.000000000 s, allowed 0.500000000 s"]


RESPONSE = b"\x7e\x00"


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ({}, True),
        ({"can_id": 0x7A9}, False),
        ({"channel": "can1"}, False),
        ({"flags": EXTENDED}, False),
    ],
    ids=["its response", "of another ECU", "on another channel", "of 29 bits"],
)
def test_only_a_response_of_its_own_tells_that_an_ecu_is_up(
    v: ModuleType, healthy: RunRecord, said: dict[str, Any], heard: bool
) -> None:
    (frame,) = v.spoken(v.S, 0x7A8, RESPONSE, "ecu")
    found = bootable(started_at(healthy, v.S - 400 * v.MS, frame._replace(**said)))
    assert found.verdict is (Verdict.PASS if heard else Verdict.NOT_OBSERVED)


@pytest.mark.parametrize(("extension", "heard"), [(0x02, True), (0x03, False), (0x7E, False)])
def test_a_response_with_an_address_byte_is_known_by_it(
    v: ModuleType, healthy: RunRecord, extension: int, heard: bool
) -> None:
    body, gateway = healthy.layouts
    layouts = (replace(body, response_extension=extension), gateway)
    frame = FrameRecord(v.S, "can0", "body", 0x7A8, 0, bytes.fromhex("02027E00CCCCCCCC"))
    readings = tuple(r for r in healthy.readings.items)
    found = bootable(started_at(healthy, v.S - 400 * v.MS, frame, layouts=layouts, readings=readings))
    assert found.verdict is (Verdict.PASS if heard else Verdict.NOT_OBSERVED)


# A start that is under way when the run ends -------------------------------------------------------------------


def on_at(record: RunRecord, t_ns: int, **changes: Any) -> RunRecord:
    return replace(record, power=(*record.power.items, PowerRecord(t_ns, "body", True, "restore")), **changes)


def test_open_start_is_undecided_up_to_its_limit(v: ModuleType, healthy: RunRecord) -> None:
    found = bootable(on_at(healthy, 10 * v.S - 500 * v.MS))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert any("started 0.500000000 s before the end of the run" in item.text for item in found.evidence)
    found = bootable(on_at(healthy, 10 * v.S - 500 * v.MS - 1))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")
    assert any("no boot followed until 10.000000000 s" in item.text for item in found.evidence)


@pytest.mark.parametrize(("part", "verdict"), [("gateway", Verdict.INCONCLUSIVE), ("body", Verdict.FAIL)])
def test_a_crash_excuses_an_open_start_of_everybody_but_the_one_that_crashed(
    v: ModuleType, healthy: RunRecord, part: str, verdict: Verdict
) -> None:
    found = bootable(on_at(healthy, 8 * v.S, crash=Crash(9 * v.S, part, "ValueError: x")))
    assert found.verdict is verdict
    assert (found.blame, "crashed" in found.sentence) == (
        ("bench", True) if verdict is Verdict.INCONCLUSIVE else ("bootloader", False)
    )


def test_how_a_late_start_ended_is_told(v: ModuleType, healthy: RunRecord) -> None:
    late = v.boot(6 * v.S, "body", "boot_manager"), v.boot(6 * v.S + 501 * v.MS, "body", "application", "A")
    texts = [item.text for item in bootable(with_body_boots(healthy, v, *late)).evidence]
    assert "0.501000000 s after its start it came up; allowed are 500 ms" in texts
    off = PowerRecord(8 * v.S, "body", False, "cut")
    texts = [item.text for item in bootable(replace(on_at(healthy, 7 * v.S), power=(
        *healthy.power.items, PowerRecord(7 * v.S, "body", True, "on"), off))).evidence]  # fmt: skip
    assert any(text.startswith("1.000000000 s after its start the supply went off again") for text in texts)


def test_a_car_of_which_nobody_ever_gave_a_sign_of_life_is_judged(v: ModuleType, healthy: RunRecord) -> None:
    dead = replace(
        healthy, boots=(), executions=(), frames=(), readings=(), power=(PowerRecord(v.S, "body", True, "on"),)
    )
    found = bootable(dead)
    assert found.verdict is Verdict.FAIL
    assert any("no boot followed until 10.000000000 s" in item.text for item in found.evidence)
