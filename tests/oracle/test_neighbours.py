"""Neighbours: an update of two ECUs beside a door module on a bus of its own, which must not notice anything."""

from __future__ import annotations

import pytest

from bench.core.records import (
    BootRecord,
    ConditionRecord,
    FlashDump,
    MemoryRegion,
    Watch,
    Watched,
)
from bench.oracle.result import Verdict
from tests.oracle.neighbours_car import (
    BODY_FRAME,
    DOOR_FRAME,
    DRIVE_BEGAN,
    DRIVE_ENDED,
    LOST_BODY,
    LOST_GATEWAY,
    Change,
    around,
    body_reverted,
    booted_at_5_s,
    car,
    changed_to,
    door_dump,
    dtcs,
    faulted,
    gateway_dead,
    hidden,
    no_dtcs,
    silenced,
    slept_until_5_s,
    supplied_anew,
    with_dtcs,
    without,
)
from tests.oracle.oracle_vectors import MS, NEW, S, boot, healthy, neighbours, replace


def test_update_that_nobody_beside_it_notices_passes() -> None:
    found = neighbours(car())
    assert (found.verdict, found.blame) == (Verdict.PASS, None), found
    assert "as it was" in found.sentence


BREAKS: dict[str, tuple[Change, str, str]] = {
    "it boots anew": (booted_at_5_s, "door restarted", "ecu"),
    "a byte of its flash": (changed_to(door_dump(9_999)), "memory of door changed", "ecu"),
    "a byte of its NVM": (changed_to(door_dump(nvm=bytes(63) + b"\x01")), "memory of door changed", "ecu"),
    "a DTC": (with_dtcs(dtcs(False, "door", (LOST_BODY, 0x2C))), "new DTC C10087", "flasher"),
    "a DTC that had healed fails again": (
        with_dtcs(dtcs(False, "door", (0x123456, 0x2F)), before=(dtcs(True, "door", (0x123456, 0x2C)),)),
        "new DTC 123456",
        "flasher",
    ),
    "a DTC of an ordered ECU": (
        with_dtcs(dtcs(False, "body", (0x060254, 0x2C))), "body has a new DTC 060254", "flasher"
    ),
    "a DTC of an ordered ECU that was programmed after the fault": (
        faulted("power.ecu:body:program:9", with_dtcs(dtcs(False, "body", (0x060254, 0x2C))), t_ns=S, over_ns=2 * S),
        "body has a new DTC",
        "flasher",
    ),
    "a DTC, excused by a fault that strikes the car at its point": (
        faulted("condition:door:request:1", with_dtcs(dtcs(False, "door", (0x123456, 0x2C)))),
        "new DTC 123456",
        "flasher",
    ),
    "a lost communication that lasts": (
        faulted("power.agent:agent:frame:9", with_dtcs(dtcs(False, "door", (LOST_BODY, 0x2F)))),
        "new DTC C10087",
        "flasher",
    ),
    "its frames stop": (without(DOOR_FRAME, 5 * S, 20 * S), "frame 0x210 of door", "ecu"),
    "its frames pause for one": (without(DOOR_FRAME, 5 * S, 5 * S + 101 * MS), "0x210 of door", "ecu"),
    "silence on another bus is no excuse": (
        lambda record: without(DOOR_FRAME, 4 * S, 6 * S)(record), "0x210 of door, which the order", "ecu"
    ),
    "it does not speak again after 28": (
        silenced((4 * S, "288301"), (5 * S, "288001"), back_ns=5 * S + 151 * MS), "0x210 of door", "ecu"
    ),
    "28 that switches only reception off": (
        silenced((4 * S, "288201"), (5 * S, "288001"), back_ns=5 * S), "0x210 of door", "ecu"
    ),
    "28 about network management alone": (
        silenced((4 * S, "288302"), (5 * S, "288002"), back_ns=5 * S), "0x210 of door", "ecu"
    ),
    "silence beyond S3": (silenced((2 * S, "288301"), back_ns=7 * S + 151 * MS), "0x210 of door", "ecu"),
    "frames of an ordered ECU stop in the drive": (
        without(BODY_FRAME, DRIVE_BEGAN + 200 * MS, 20 * S), "frame 0x110 of body was missing", "ecu"
    ),
    "frames of an ordered ECU never come back": (
        without(BODY_FRAME, 4 * S, 20 * S), "frame 0x110 of body was missing", "ecu"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKS)
def test_what_an_update_does_to_a_neighbour_fails(what: str) -> None:
    change, word, blame = BREAKS[what]
    found = neighbours(change(car()))
    assert (found.verdict, found.blame) == (Verdict.FAIL, blame), found
    assert word in found.sentence
    assert found.evidence


HIDDEN: dict[str, tuple[Change, Verdict]] = {
    "nobody described the vehicle": (hidden(surroundings=None), Verdict.NOT_OBSERVED),
    "boots": (hidden(boots=None), Verdict.NOT_OBSERVED),
    "memory before": (hidden(memory_before=None), Verdict.NOT_OBSERVED),
    "memory after": (hidden(flash=None), Verdict.NOT_OBSERVED),
    "its memory before is missing": (hidden(memory_before=()), Verdict.INCONCLUSIVE),
    "its NVM": (changed_to(door_dump(nvm=None)), Verdict.NOT_OBSERVED),
    "DTCs": (hidden(dtcs=None), Verdict.NOT_OBSERVED),
    "it answers nothing to 19": (with_dtcs(dtcs(False, "door", silent=True)), Verdict.INCONCLUSIVE),
    "it does not serve 19": (with_dtcs(dtcs(False, "door", refused=0x11)), Verdict.NOT_OBSERVED),
    "it was not asked before": (
        lambda record: replace(record, dtcs=tuple(r for r in no_dtcs() if not r.before)), Verdict.INCONCLUSIVE
    ),
    "frames": (hidden(frames=None), Verdict.NOT_OBSERVED),
    "frames of its bus": (
        lambda record: replace(
            record, frames=Watched(record.frames.items, ((0, 10 * S),), places={"can0": Watch(((0, 10 * S),))})
        ),
        Verdict.NOT_OBSERVED,
    ),
    "frames of its bus were lost": (
        lambda record: replace(
            record,
            frames=Watched(
                without(DOOR_FRAME, 5 * S, 6 * S)(record).frames.items, ((0, 10 * S),),
                places={"can0": Watch(((0, 10 * S),)), "can1": Watch(((0, 10 * S),), lost=9)},
            ),
        ),
        Verdict.INCONCLUSIVE,
    ),
    "nobody drove the vehicle": (hidden(drive_after_ns=None), Verdict.INCONCLUSIVE),
}  # fmt: skip


@pytest.mark.parametrize("what", HIDDEN)
def test_what_was_not_seen_never_passes(what: str) -> None:
    change, verdict = HIDDEN[what]
    assert neighbours(change(car())).verdict is verdict


ALLOWED: dict[str, Change] = {
    "it boots when its supply comes back": supplied_anew,
    "it boots when it is woken": slept_until_5_s,
    "it boots when a fault struck it": faulted("ecu:door:request:1", booted_at_5_s),
    "it booted before the story": lambda record: replace(
        record,
        surroundings=replace(around(), began_t_ns=40 * MS),
        boots=(*record.boots.items, BootRecord(35 * MS, "door", "boot_manager", None, "start")),
    ),
    "a bit that a fault flipped": faulted("storage:door:boot:1", changed_to(door_dump(7))),
    "a DTC that it had before": with_dtcs(
        dtcs(False, "door", (0x123456, 0x2C)), before=(dtcs(True, "door", (0x123456, 0x2F)),)
    ),
    "a lost communication that healed after the tester lost power": faulted(
        "power.agent:agent:frame:9", with_dtcs(dtcs(False, "door", (LOST_BODY, 0x2C)))
    ),
    "a lost communication that healed after a gateway lost power": faulted(
        "power.ecu:gateway:frame:9", with_dtcs(dtcs(False, "door", (LOST_BODY, 0x2C)))
    ),
    "a lost communication of one that stays in its bootloader": lambda record: gateway_dead(
        with_dtcs(dtcs(False, "door", (LOST_GATEWAY, 0x2F)))(record)
    ),
    "a DTC after the whole vehicle lost power at somebody's point": faulted(
        "power.vehicle:body:frame:9", with_dtcs(dtcs(False, "door", (0xF00316, 0x2C)))
    ),
    "a DTC of an ECU that a fault struck": faulted(
        "supply:door:frame:9", with_dtcs(dtcs(False, "door", (0xF00316, 0x2C)))
    ),
    "a DTC of an ordered ECU whose software did not stay": lambda record: body_reverted(
        with_dtcs(dtcs(False, "body", (0x060747, 0x2F)))(record)
    ),
    "a DTC of an ordered ECU that a fault struck after its programming": faulted(
        "power.ecu:body:frame:9", with_dtcs(dtcs(False, "body", (0xF00316, 0x2C))), t_ns=7 * S, over_ns=7 * S + 1
    ),
    "a gap of its limit": lambda record: replace(
        record,
        frames=tuple(
            f._replace(t_ns=f.t_ns + 50 * MS) if (f.can_id, f.t_ns) == (DOOR_FRAME, 5 * S) else f
            for f in record.frames.items
        ),
    ),
    "silence that 28 states": silenced((4 * S, "288301"), (5 * S, "288001"), back_ns=5 * S + 150 * MS),
    "silence until the default session": silenced((4 * S, "288301"), (5 * S, "1081"), back_ns=5 * S + 100 * MS),
    "silence until S3 is over": silenced((2 * S, "288301"), back_ns=7 * S + 150 * MS),
    "silence kept by tester present": silenced(
        (4 * S, "288301"), (6 * S, "3E80"), (7 * S, "288001"), back_ns=7 * S + 150 * MS
    ),
    "it sleeps while ignition is off": lambda record: replace(
        without(DOOR_FRAME, 4 * S, 5 * S)(record),
        conditions=(
            *record.conditions.items,
            ConditionRecord(4 * S + 100 * MS, "ignition", False, True, "drive"),
            ConditionRecord(5 * S - 50 * MS, "ignition", True, True, "drive"),
        ),
    ),
    "frames of an ordered ECU while it is programmed": without(BODY_FRAME, 4 * S, 7 * S),
    "frames of an ordered ECU that stays in its bootloader": lambda record: replace(
        without(BODY_FRAME, 4 * S, 20 * S)(record),
        boots=(*record.boots.items, boot(7 * S, "body", "bootloader")),
    ),
    "nothing is heard once the drive is over": without(DOOR_FRAME, DRIVE_ENDED - 100 * MS, 20 * S),
}  # fmt: skip


@pytest.mark.parametrize("what", ALLOWED)
def test_what_is_just_allowed_passes(what: str) -> None:
    found = neighbours(ALLOWED[what](car()))
    assert found.verdict is Verdict.PASS, found


def test_torn_cells_are_not_compared() -> None:
    """The cells read unstably before and after: their bytes say nothing."""
    same = FlashDump("door", (MemoryRegion("image:A", 0x8000, b"\x01" * 100, ((40, 16),)),), 0, 0, (), nvm=b"")
    other = bytearray(b"\x01" * 100)
    other[45] = 7
    changed = FlashDump("door", (MemoryRegion("image:A", 0x8000, bytes(other), ((40, 16),)),), 0, 0, (), nvm=b"")
    quiet = replace(changed_to(changed)(car()), memory_before=(same,))
    assert neighbours(quiet).verdict is Verdict.PASS


def test_order_that_names_every_ecu_has_no_neighbours_and_its_dtcs_are_still_read() -> None:
    assert neighbours(healthy()).verdict is Verdict.PASS
    assert NEW.keys() == {"body", "gateway"}
    stays = replace(healthy(), dtcs=tuple(dtcs(b, e, *([] if b else [(1, 0x2F)])) for b in (True, False) for e in NEW))
    assert neighbours(stays).verdict is Verdict.FAIL
