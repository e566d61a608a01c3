"""Neighbours at their limits: the instant, the byte and the bit at which what is allowed ends."""

from __future__ import annotations

from typing import Any

import pytest

from bench.core.records import (
    ConditionRecord,
    CyclicFrame,
    FaultRecord,
    FlashDump,
    FrameRecord,
    MemoryRegion,
    PowerRecord,
    RunRecord,
)
from bench.oracle.result import Verdict
from tests.oracle.neighbours_car import (
    DOOR_FRAME,
    LOST_BODY,
    LOST_GATEWAY,
    Change,
    around,
    booted_at_5_s,
    car,
    changed_to,
    door_dump,
    dtcs,
    faulted,
    silenced,
    supplied_anew,
    to_all,
    with_dtcs,
    without,
)
from tests.oracle.oracle_vectors import MS, S, Talk, boot, neighbours, replace

BODY_DTC = (0x060254, 0x2C)


def evidence_of(record: RunRecord) -> list[tuple[str, str]]:
    return [(item.where, item.text) for item in neighbours(record).evidence]


# What is counted and shown -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "where", "text"),
    [
        (lambda r: r, "record", "1 boots of door in the story, none without supply or waking"),
        (supplied_anew, "record", "2 boots of door in the story, none without supply or waking"),
        (lambda r: r, "record", "10064 bytes of flash and NVM of door compared"),
        (lambda r: r, "can1", "88 times frame 0x210 of door"),
        (lambda r: r, "door @ 10.000000000 s", "0 DTCs, 0 before"),
        (
            with_dtcs(dtcs(False, "door", (1, 0x2C)), before=(dtcs(True, "door", (1, 0x2C), (2, 0x2C)),)),
            "door @ 10.000000000 s", "1 DTCs, 2 before",
        ),
        (
            with_dtcs(dtcs(False, "door", (0x123456, 0x2C))),
            "door @ 10.000000000 s", "123456, status 2C: stored",
        ),
        (
            with_dtcs(dtcs(False, "door", (0x123456, 0x2F))),
            "door @ 10.000000000 s", "123456, status 2F: fails now",
        ),
        (booted_at_5_s, "door @ 5.000000000 s", "booted anew: power on"),
        (faulted("ecu:door:request:1", booted_at_5_s), "door @ 5.000000000 s", "booted anew: power on"),
        (
            without(DOOR_FRAME, 5 * S, 5 * S + 101 * MS), "can1 @ 5.000000000 s",
            "frame 0x210 of door: nothing for 0.200000000 s, at most 150 ms are allowed",
        ),
        (
            faulted("storage:door:boot:1", changed_to(door_dump(7))), "door flash 0x00008000",
            "image:A: 1 pages of 4096 bytes changed, the first one here",
        ),
    ],
)  # fmt: skip
def test_evidence_has_the_figures_and_the_place(change: Change, where: str, text: str) -> None:
    assert (where, text) in evidence_of(change(car()))


def test_of_two_equal_gaps_the_first_is_shown() -> None:
    record = without(DOOR_FRAME, 3 * S, 3 * S + 101 * MS)(car())
    record = without(DOOR_FRAME, 6 * S, 6 * S + 101 * MS)(record)
    assert "can1 @ 3.000000000 s" in [where for where, _ in evidence_of(record)]


# Memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "page"),
    [((0,), 0x8000), ((4095,), 0x8000), ((4096,), 0x9000), ((9_999,), 0xA000), ((5, 9_999), 0x8000)],
)
def test_every_byte_is_compared_and_the_first_changed_page_is_named(changed: tuple[int, ...], page: int) -> None:
    data = bytearray(b"\xa5" * 10_000)
    for offset in changed:
        data[offset] ^= 1
    after = FlashDump("door", (MemoryRegion("image:A", 0x8000, bytes(data)),), 0, 0, (), nvm=bytes(64))
    found = neighbours(changed_to(after)(car()))
    assert found.verdict is Verdict.FAIL
    assert f"door flash 0x{page:08X}" in [item.where for item in found.evidence]


def test_a_changed_nvm_is_named_from_its_beginning() -> None:
    found = neighbours(changed_to(door_dump(nvm=bytes(63) + b"\x01"))(car()))
    assert ("door flash 0x00000000", "nvm: 1 pages of 4096 bytes changed, the first one here") in [
        (item.where, item.text) for item in found.evidence
    ]


# Boots ---------------------------------------------------------------------------------------------------------


def test_an_ecu_whose_supply_nobody_recorded_may_boot_once() -> None:
    base = car()
    power = tuple(p for p in base.power.items if p.part != "door")
    assert "restarted" not in neighbours(replace(base, power=power)).sentence
    assert neighbours(booted_at_5_s(replace(base, power=power))).verdict is Verdict.FAIL


def test_a_reset_is_seen_although_nothing_starts_after_it() -> None:
    base = car()
    found = neighbours(replace(base, boots=(*base.boots.items, boot(5 * S, "door", "boot_manager"))))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert "door restarted" in found.sentence


# DTCs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(0x2C, 0x2C), (0x2F, 0x2F), (0x2F, 0x2C)])
def test_a_dtc_that_was_there_is_not_new(before: int, after: int) -> None:
    change = with_dtcs(dtcs(False, "door", (0x123456, after)), before=(dtcs(True, "door", (0x123456, before)),))
    assert neighbours(change(car())).verdict is Verdict.PASS


@pytest.mark.parametrize(("status", "verdict"), [(0x2E, Verdict.PASS), (0x2D, Verdict.FAIL)])
def test_whether_the_failure_is_there_now_is_bit_0_of_its_status(status: int, verdict: Verdict) -> None:
    healed = faulted("power.agent:agent:frame:9", with_dtcs(dtcs(False, "door", (LOST_BODY, status))))
    assert neighbours(healed(car())).verdict is verdict


@pytest.mark.parametrize("nothing", ["supply", "boot"])
def test_a_sender_without_supply_or_boot_explains_what_is_missed(nothing: str) -> None:
    record = with_dtcs(dtcs(False, "door", (LOST_GATEWAY, 0x2F)))(car())
    if nothing == "supply":
        record = replace(record, power=(*record.power.items, PowerRecord(9 * S + 1, "gateway", False, "cut")))
    else:
        record = replace(record, boots=tuple(b for b in record.boots.items if b.ecu != "gateway"))
    assert neighbours(record).verdict is Verdict.PASS


def checked_ns(record: RunRecord) -> int:
    """When the body was asked to check its image."""
    asked = bytes.fromhex("0431010202")
    return max(f.t_ns for f in record.frames.items if f.can_id == 0x7A0 and f.data[:5] == asked)


def body_after_fault(fault_class: str, t_ns: int, over_ns: int | None, part: str = "body") -> RunRecord:
    """The body has a DTC at the end, and a fault was there."""
    struck = FaultRecord(fault_class, f"{fault_class}:{part}:frame:1", {}, t_ns, over_ns)
    return replace(with_dtcs(dtcs(False, "body", BODY_DTC))(car()), faults=(struck,))


@pytest.mark.parametrize(
    ("record", "verdict"),
    [
        (lambda ns: body_after_fault("power.ecu", 7 * S, 7 * S), Verdict.PASS),
        (lambda ns: body_after_fault("power.ecu", 7 * S, None), Verdict.PASS),
        (lambda ns: body_after_fault("power.ecu", S, 7 * S), Verdict.PASS),
        (lambda ns: body_after_fault("power.ecu", S, None), Verdict.FAIL),
        (lambda ns: body_after_fault("power.ecu", S, ns + 1), Verdict.PASS),
        (lambda ns: body_after_fault("power.ecu", S, ns), Verdict.FAIL),
        (lambda ns: body_after_fault("power.vehicle", 7 * S, 7 * S, "gateway"), Verdict.PASS),
        (lambda ns: body_after_fault("power.ecu", 7 * S, 7 * S, "gateway"), Verdict.FAIL),
        (lambda ns: body_after_fault("isotp", 7 * S, 7 * S), Verdict.FAIL),
    ],
    ids=[
        "after its check", "after it, never over", "until after it", "before it, never over", "until just after it",
        "until it", "of the whole vehicle", "of another ECU", "of another kind",
    ],
)  # fmt: skip
def test_only_a_supply_lost_after_its_check_excuses_a_dtc_of_an_ordered_ecu(record: Any, verdict: Verdict) -> None:
    assert neighbours(record(checked_ns(car()))).verdict is verdict


def test_a_supply_lost_at_the_very_beginning_excuses_an_ecu_that_nobody_checked() -> None:
    record = body_after_fault("power.ecu", 0, 0)
    frames = tuple(f for f in record.frames.items if f.can_id not in (0x7A0, 0x7A8))
    assert "DTC" not in neighbours(replace(record, frames=frames)).sentence


@pytest.mark.parametrize(("request_", "answer"), [("22F189", "62F189322E302E30"), ("31010202", "7F3122")])
def test_only_a_check_that_was_answered_well_ends_the_excuse(request_: str, answer: str) -> None:
    talk = Talk(7 * S + 100 * MS)
    talk.ask("body", bytes.fromhex(request_), answer)
    record = body_after_fault("power.ecu", 7 * S, 7 * S)
    frames = sorted((*record.frames.items, *talk.frames), key=lambda frame: frame.t_ns)
    assert neighbours(replace(record, frames=tuple(frames))).verdict is Verdict.PASS


# Cyclic frames -------------------------------------------------------------------------------------------------

FIRST_MS, LIMIT_MS, BOOT_MS = 300, 150, 500


def woken(first_ns: int) -> RunRecord:
    """The door gets its supply again at 5 s, and its frames go on from an instant on; the first may take 300 ms."""
    base = car()
    cyclic = tuple(
        CyclicFrame("door", "can1", DOOR_FRAME, False, LIMIT_MS, FIRST_MS) if frame.ecu == "door" else frame
        for frame in around().cyclic
    )
    record = replace(supplied_anew(base), surroundings=replace(around(), cyclic=cyclic))
    record = without(DOOR_FRAME, 4 * S - 1, first_ns)(record)
    first = FrameRecord(first_ns, "can1", "door", DOOR_FRAME, 0, bytes(8))
    return replace(record, frames=tuple(sorted((*record.frames.items, first), key=lambda frame: frame.t_ns)))


def test_first_frame_may_take_the_boot_and_its_own_time_on_top() -> None:
    due_ns = 5 * S + (BOOT_MS + FIRST_MS) * MS
    assert neighbours(woken(due_ns)).verdict is Verdict.PASS
    assert neighbours(woken(due_ns + 1)).verdict is Verdict.FAIL


def test_frames_are_waited_for_from_the_beginning_of_the_story_on() -> None:
    """The door booted before it, and was silent for long before it."""
    base = without(DOOR_FRAME, 0, 2_500 * MS)(car())
    assert neighbours(base).verdict is Verdict.FAIL
    assert neighbours(replace(base, surroundings=replace(around(), began_t_ns=3 * S))).verdict is Verdict.PASS


def at_5_s(key: str, value: bool, *, accepted: bool = True, t_ns: int = 5 * S) -> Change:
    """A condition of the car changes in the middle of a silence of the door."""
    return lambda record: replace(
        without(DOOR_FRAME, t_ns, t_ns + S)(record),
        conditions=(
            *record.conditions.items,
            ConditionRecord(t_ns, key, value, accepted, "drive"),
            ConditionRecord(t_ns + S - 50 * MS, "ignition", True, True, "drive"),
        ),
    )


def test_only_an_ignition_that_went_off_lets_an_ecu_sleep() -> None:
    assert neighbours(at_5_s("ignition", False)(car())).verdict is Verdict.PASS
    assert neighbours(at_5_s("engine", False)(car())).verdict is Verdict.FAIL
    assert neighbours(at_5_s("ignition", False, accepted=False)(car())).verdict is Verdict.FAIL
    assert neighbours(at_5_s("ignition", True)(car())).verdict is Verdict.FAIL


def test_ignition_that_goes_on_as_the_story_begins_wakes() -> None:
    """Nothing else says that frames are waited for: the door booted long before."""
    base = replace(car(), surroundings=replace(around(), began_t_ns=3 * S))
    on = ConditionRecord(3 * S, "ignition", True, True, "drive")
    silent = without(DOOR_FRAME, 5 * S, 20 * S)(replace(base, conditions=(*base.conditions.items, on)))
    assert neighbours(silent).verdict is Verdict.FAIL
    before = replace(silent, conditions=(*base.conditions.items, on.__class__(3 * S - 1, "ignition", True, True, "x")))
    assert neighbours(before).verdict is Verdict.PASS


ALLOWED: dict[str, Change] = {
    "28 in the instant in which the story begins": lambda record: silenced(
        (4 * S, "288301"), (5 * S, "288001"), back_ns=5 * S + 150 * MS
    )(replace(record, surroundings=replace(around(), began_t_ns=4 * S),
              conditions=(ConditionRecord(4 * S, "ignition", True, True, "drive"),))),
    "other sessions and services end no silence": silenced(
        (4 * S, "288301"), (4_300 * MS, "1083"), (4_500 * MS, "8582"), (4_700 * MS, "8581"), (6 * S, "288001"),
        back_ns=6 * S + 150 * MS,
    ),
    "tester present in the last instant of S3 keeps the silence": silenced(
        (2 * S, "288301"), (7 * S, "3E80"), (8 * S, "288001"), back_ns=8 * S + 150 * MS
    ),
    "a reset of all ends it": silenced((4 * S, "288301"), (5 * S, "1181"), back_ns=5 * S + 150 * MS),
}  # fmt: skip


@pytest.mark.parametrize("what", ALLOWED)
def test_silence_that_is_just_allowed_passes(what: str) -> None:
    found = neighbours(ALLOWED[what](car()))
    assert found.verdict is Verdict.PASS, found


BREAKS: dict[str, Change] = {
    "the default session ends the silence": silenced((4 * S, "288301"), (5 * S, "1081"), back_ns=5 * S + 151 * MS),
    "a reset of all ends it": silenced((4 * S, "288301"), (5 * S, "1181"), back_ns=5 * S + 151 * MS),
    "28 for reception alone ends it": silenced((4 * S, "288301"), (5 * S, "288201"), back_ns=5 * S + 151 * MS),
    "28 that does not say of what": silenced((4 * S, "2883"), (5 * S, "288001"), back_ns=5 * S),
    "tester present after S3 is too late": silenced(
        (2 * S, "288301"), (7 * S + 1, "3E80"), (8 * S, "288001"), back_ns=8 * S
    ),
    "28 on another bus": lambda record: replace(
        without(DOOR_FRAME, 4 * S, 5 * S)(record),
        frames=tuple(
            f._replace(channel="can0") if f.can_id == 0x7DF else f
            for f in to_all(without(DOOR_FRAME, 4 * S, 5 * S)(record), (4 * S, "288301")).frames.items
        ),
    ),
    "a fault that took everybody's supply, which came back": faulted(
        "power.vehicle:body:frame:9", without(DOOR_FRAME, 6 * S, 20 * S), t_ns=S, over_ns=S + 1
    ),
    "a fault of another ECU": faulted("ecu:body:request:1", without(DOOR_FRAME, 5 * S, 20 * S)),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKS)
def test_silence_that_is_just_too_long_fails(what: str) -> None:
    found = neighbours(BREAKS[what](car()))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu"), found
    assert "0x210 of door" in found.sentence


def test_an_ecu_that_a_fault_makes_misbehave_may_fall_silent() -> None:
    assert neighbours(faulted("ecu:door:request:1", without(DOOR_FRAME, 5 * S, 20 * S))(car())).verdict is Verdict.PASS
