from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from bench.core.records import RunRecord
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import authentic, replace


def executing(record: RunRecord, v: ModuleType, **changes: Any) -> RunRecord:
    """Let the body controller execute the target with something changed."""
    execution = replace(v.ran(7 * v.S, v.NEW["body"], "A"), **changes)
    return replace(record, executions=(*(record.executions.items), execution))


def test_healthy_and_refused_runs_pass_with_evidence(healthy: RunRecord, refused: RunRecord) -> None:
    for record in (healthy, refused):
        found = authentic(record)
        assert found.verdict is Verdict.PASS
        assert {"execution", "http"} <= {e.kind for e in found.evidence}


def test_image_signed_by_another_key_fails(v: ModuleType, healthy: RunRecord) -> None:
    raw = v.header("body", "2.0.0", 2, v.NEW["body"].data, signer="attacker")
    found = authentic(executing(healthy, v, header=raw))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")
    assert "signature" in found.sentence


def test_image_for_other_hardware_fails(v: ModuleType, healthy: RunRecord) -> None:
    raw = v.header("body", "2.0.0", 2, v.NEW["body"].data, hardware="GW-HW-02")
    found = authentic(executing(healthy, v, header=raw))
    assert found.verdict is Verdict.FAIL
    assert "GW-HW-02" in found.sentence


def test_counter_below_the_floor_of_that_instant_fails(v: ModuleType, healthy: RunRecord) -> None:
    assert authentic(executing(healthy, v, release_floor=3)).verdict is Verdict.FAIL
    assert authentic(executing(healthy, v, release_floor=2)).verdict is Verdict.PASS


@pytest.mark.parametrize("digest", ["", "00" * 32])
def test_flash_that_does_not_hash_as_signed_fails(v: ModuleType, healthy: RunRecord, digest: str) -> None:
    assert authentic(executing(healthy, v, image_sha256=digest)).verdict is Verdict.FAIL


@pytest.mark.parametrize("raw", [b"", b"\xff" * 256])
def test_execution_without_a_header_fails(v: ModuleType, healthy: RunRecord, raw: bytes) -> None:
    assert authentic(executing(healthy, v, header=raw)).verdict is Verdict.FAIL


def test_executions_unknown_is_not_observed(healthy: RunRecord) -> None:
    assert authentic(replace(healthy, executions=None)).verdict is Verdict.NOT_OBSERVED


def test_nothing_executed_passes_only_when_no_application_shows(v: ModuleType, healthy: RunRecord) -> None:
    assert authentic(replace(healthy, executions=())).verdict is Verdict.INCONCLUSIVE
    dead = replace(healthy, executions=(), boots=(), readings=())
    assert authentic(dead).verdict is Verdict.PASS


def test_execution_of_a_foreign_ecu_is_inconclusive(v: ModuleType, healthy: RunRecord) -> None:
    assert authentic(executing(healthy, v, ecu="radio")).verdict is Verdict.INCONCLUSIVE


def forged_flash(v: ModuleType, data: bytes, *, frames: int | None = None) -> tuple[Any, ...]:
    talk = v.Talk(4 * v.S)
    talk.download("body", 0, data)
    return tuple(talk.frames[:frames])


def test_forged_data_on_the_bus_fails_although_it_was_never_executed(v: ModuleType, refused: RunRecord) -> None:
    forged = v.NEW["body"].data[:-1] + bytes((v.NEW["body"].data[-1] ^ 1,))
    found = authentic(replace(refused, frames=forged_flash(v, forged)))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert "in 3 transfers" in found.sentence


def test_forged_data_of_a_transfer_that_broke_off_fails(v: ModuleType, refused: RunRecord) -> None:
    frames = forged_flash(v, v.payload("evil"), frames=10)
    assert authentic(replace(refused, frames=frames)).verdict is Verdict.FAIL


def test_image_of_the_other_ecu_on_the_bus_fails(v: ModuleType, refused: RunRecord) -> None:
    frames = forged_flash(v, v.NEW["gateway"].data)
    assert authentic(replace(refused, frames=frames)).verdict is Verdict.FAIL


def flashed(v: ModuleType, image: Any) -> tuple[Any, ...]:
    """Send image and header, filled up with erased bytes."""
    talk = v.Talk(4 * v.S)
    talk.download("body", 0, image.data + b"\xff" * 168)
    talk.download("body", v.HEADER_ADDRESS, image.header + b"\xff" * 256)
    return tuple(talk.frames)


def test_target_counts_only_when_a_genuine_package_holds_it(v: ModuleType, refused: RunRecord) -> None:
    frames = flashed(v, v.NEW["body"])
    found = authentic(replace(refused, frames=frames))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert authentic(replace(refused, frames=frames, http=(v.http(v.PACKAGE),))).verdict is Verdict.PASS


@pytest.mark.parametrize(("hardware", "counter"), [("GW-HW-02", 2), ("", 0)])
def test_rightly_signed_target_for_other_hardware_or_a_rollback_fails(
    v: ModuleType, refused: RunRecord, hardware: str, counter: int
) -> None:
    data = v.payload("attack")
    raw = v.header("body", "2.0.0", counter, data, hardware=hardware)
    target = replace(v.NEW["body"], header=raw, data=data)
    record = replace(
        refused, references=(*v.OLD.values(), target), http=(v.http(v.package({"body": raw + data})),),
        frames=flashed(v, target),
    )  # fmt: skip
    assert (authentic(record).verdict, authentic(record).blame) == (Verdict.FAIL, "agent")


def test_installed_image_may_be_sent_whatever_was_delivered(v: ModuleType, refused: RunRecord) -> None:
    frames = flashed(v, v.OLD["body"])
    assert authentic(replace(refused, frames=frames)).verdict is Verdict.PASS
    assert authentic(replace(refused, frames=frames, http=())).verdict is Verdict.PASS


def test_foreign_data_fails_although_every_package_is_genuine(v: ModuleType, healthy: RunRecord) -> None:
    frames = (*(healthy.frames.items), *forged_flash(v, v.payload("evil")))
    found = authentic(replace(healthy, frames=frames))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert "body" in found.sentence
    without = authentic(replace(healthy, frames=forged_flash(v, v.payload("evil")), http=()))
    assert (without.verdict, without.blame) == (Verdict.FAIL, "agent")


def test_image_of_a_genuine_package_delivered_later_passes(v: ModuleType, refused: RunRecord) -> None:
    data = v.payload("third")
    raw = v.package({"body": v.header("body", "3.0.0", 3, data) + data})
    frames = forged_flash(v, data)
    assert authentic(replace(refused, frames=frames)).verdict is Verdict.FAIL
    later = (*refused.http.items, v.http(raw, t_ns=3 * v.S + 1))
    assert authentic(replace(refused, http=later, frames=frames)).verdict is Verdict.PASS


def test_forged_package_without_a_bus_trace_is_not_observed(refused: RunRecord) -> None:
    assert authentic(replace(refused, frames=None)).verdict is Verdict.NOT_OBSERVED


def test_genuine_package_needs_no_bus_trace(healthy: RunRecord) -> None:
    assert authentic(replace(healthy, frames=None)).verdict is Verdict.PASS


def test_unknown_data_with_a_package_in_pieces_is_inconclusive(v: ModuleType, refused: RunRecord) -> None:
    pieces = (v.http(v.PACKAGE[1000:1200], status=206),)
    record = replace(refused, http=pieces, frames=forged_flash(v, v.payload("evil")))
    assert authentic(record).verdict is Verdict.INCONCLUSIVE


def test_no_package_is_said(refused: RunRecord) -> None:
    found = authentic(replace(refused, http=()))
    assert found.verdict is Verdict.PASS
    assert "no package was delivered" in [e.text for e in found.evidence]


def test_application_that_only_its_version_shows_is_inconclusive(v: ModuleType, healthy: RunRecord) -> None:
    record = replace(healthy, executions=(), boots=None)
    assert authentic(record).verdict is Verdict.INCONCLUSIVE
    in_bootloader = tuple(replace(r, value=None) if r.did == 0xF189 else r for r in healthy.readings.items)
    assert authentic(replace(record, readings=in_bootloader)).verdict is Verdict.PASS


def test_the_first_reason_stands_in_the_sentence_and_every_one_in_the_evidence(
    v: ModuleType, healthy: RunRecord
) -> None:
    raw = v.header("body", "2.0.0", 2, v.NEW["body"].data, signer="attacker", hardware="GW-HW-02")
    found = authentic(executing(healthy, v, header=raw, release_floor=3, image_sha256=""))
    assert "signature" in found.sentence
    for reason in ("signature", "hardware 'GW-HW-02'", "counter 2 is below the floor 3", "they hash to nothing"):
        assert any(reason in item.text for item in found.evidence), reason
    other = authentic(executing(healthy, v, image_sha256="ab" * 32))
    assert any(f"they hash to {'ab' * 32}" in item.text for item in other.evidence)


def test_a_header_that_cannot_be_read_is_called_so(v: ModuleType, healthy: RunRecord) -> None:
    found = authentic(executing(healthy, v, header=b""))
    assert any("executes an unreadable header from bank A" in item.text for item in found.evidence)


def test_foreign_data_is_shown_on_the_channel_of_its_ecu(v: ModuleType, refused: RunRecord) -> None:
    body, gateway = refused.layouts
    layouts = (replace(gateway, channel="can1"), body)
    found = authentic(replace(refused, layouts=layouts, frames=forged_flash(v, v.payload("evil"))))
    assert found.verdict is Verdict.FAIL
    assert [item.where.split(" @ ")[0] for item in found.evidence if "no genuine image" in item.text] == ["can0"] * 3


@pytest.mark.parametrize(("stage", "verdict"), [("application", Verdict.INCONCLUSIVE), ("bootloader", Verdict.PASS)])
def test_application_that_only_its_boot_shows_is_inconclusive(
    v: ModuleType, healthy: RunRecord, stage: str, verdict: Verdict
) -> None:
    boots = (v.boot(0, "body", "boot_manager"), v.boot(30 * v.MS, "body", stage))
    record = replace(healthy, executions=(), boots=boots, readings=(), frames=healthy.frames.items[:1])
    assert authentic(record).verdict is verdict
