"""What a verdict counts and measures is what was there: its reader sees how much the judge looked at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.core.records import FlashOperation, RunRecord, VoltageRecord
from bench.oracle.judge import judge_one
from bench.oracle.result import Invariant, Verdict
from tests.oracle import oracle_vectors as vectors
from tests.oracle.oracle_vectors import MS, S, Talk, event, healthy, refused, replace, spoken, start

POLL = "urn:oma:at:dm:2.0:ClientInitiatedMgmt"
Build = Callable[[], RunRecord]


def with_marks() -> RunRecord:
    """The gateway marks two images, the body one, each once it was checked."""
    marks = [FlashOperation(4_900 * MS, ecu, "program", "mark:A", 0, 16) for ecu in ("body", "gateway", "gateway")]
    return replace(healthy(), flash_operations=tuple(marks))


def with_seeds() -> RunRecord:
    """The body gives two seeds, and both are used up."""
    base, talk = healthy(), Talk(7 * S)
    for seed in ("11223344", "55667788"):
        talk.ask("body", b"\x27\x01", f"6701{seed}")
        talk.ask("body", b"\x27\x02\xaa\xbb", "6702")
    return replace(base, frames=(*base.frames.items, *talk.frames))


def with_sessions() -> RunRecord:
    """Three sessions of nothing but polling, one second apart, and each ends."""
    base, log = healthy(), []
    for n in range(3):
        log.append(event(10 + 2 * n, (81 + 10 * n) * 100 * MS, "session_started", session=f"s{n}", alert=POLL))
        log.append(event(11 + 2 * n, (82 + 10 * n) * 100 * MS, "session_ended", session=f"s{n}"))
    return replace(base, server_events=(*base.server_events.items, *log), ended_t_ns=12 * S)


def with_tester_present() -> RunRecord:
    base = healthy()
    kept = [f for t_ns in (5 * S, 6 * S) for f in spoken(t_ns, 0x7DF, b"\x3e\x80")]
    return replace(base, frames=(*base.frames.items, *kept))


def with_voltage() -> RunRecord:
    base = healthy()
    layouts = tuple(replace(layout, program_mv=(9_500, 16_000)) for layout in base.layouts)
    volts = tuple(VoltageRecord(0, ecu, ((0, 12_000), (S, 12_000))) for ecu in ("body", "gateway"))
    return replace(base, layouts=layouts, voltages=volts)


def slow_start() -> RunRecord:
    """The body takes 200 ms for its second start, and 30 ms for its third."""
    base = healthy()
    boots = [b for b in base.boots.items if b.ecu != "body" or b.t_ns < S]
    slow = vectors.boot(5 * S, "body", "boot_manager"), vectors.boot(5 * S + 200 * MS, "body", "application", "A")
    executions = [e for e in base.executions.items if e.ecu != "body" or e.t_ns < S]
    new = [vectors.ran(t_ns, vectors.NEW["body"], "A") for t_ns in (5 * S + 200 * MS, 7 * S + 30 * MS)]
    return replace(
        base,
        boots=(*boots, *slow, *start(7 * S, "body", "application", "A")),
        executions=tuple(sorted((*executions, *new), key=lambda run: run.t_ns)),
    )


def in_bootloader() -> RunRecord:
    """The body waits in its bootloader at the end."""
    base = healthy()
    readings = [r for r in base.readings.items if (r.ecu, r.did) != ("body", 0xF189)]
    boots = (*base.boots.items, *start(7 * S, "body", "bootloader"))
    return replace(base, readings=(*readings, vectors.read("body", 0xF189, None)), boots=boots)


def without_boots() -> RunRecord:
    return replace(healthy(), boots=None)


FIGURES: list[tuple[Invariant, Build, str, str]] = [
    (Invariant.AUTHENTIC, healthy, "can0", "4 transfers to body, all of them parts of genuine images"),
    (Invariant.AUTHENTIC, refused, "can0", "0 transfers to body, all of them parts of genuine images"),
    (Invariant.AUTHENTIC, healthy, "body @ 5.030000000 s", "executes 2.0.0 from bank A: signature, hardware id, hash "
     "and counter (floor 1) are right"),
    (Invariant.AUTHENTIC, with_marks, "record", "1 marks were programmed"),
    (Invariant.AUTHENTIC, with_marks, "record", "2 marks were programmed"),
    (Invariant.AUTHENTIC, healthy, "record", "0 seeds were used up"),
    (Invariant.AUTHENTIC, with_seeds, "record", "2 seeds were used up"),
    (Invariant.BOOTABLE, healthy, "record", "2 boots"),
    (Invariant.BOOTABLE, healthy, "gateway", "2 starts, the slowest took 0.030000000 s, allowed 0.500000000 s"),
    (Invariant.BOOTABLE, slow_start, "body", "3 starts, the slowest took 0.200000000 s, allowed 0.500000000 s"),
    (Invariant.BOOTABLE, healthy, "body @ 5.030000000 s", "application bank A: power on"),
    (Invariant.BOOTABLE, healthy, "body @ 5.030000000 s", "executes 2.0.0 from bank A"),
    (Invariant.BOOTABLE, in_bootloader, "body @ 7.030000000 s", "bootloader: power on"),
    (Invariant.WHOLE, without_boots, "gateway @ 6.030000000 s", "executes 2.0.0 from bank B"),
    (Invariant.LIVE, healthy, "bench @ 8.001000000 s", "6.001000000 s after that, allowed are 20.000000000 s"),
    (Invariant.NEIGHBOURS, healthy, "body @ 9.000000000 s", "0 DTCs, 0 before"),
    (Invariant.SILENT, healthy, "can0", "body: 3 requests to erase or download, none of them without a genuine "
     "package"),
    (Invariant.SILENT, refused, "can0", "gateway: 0 requests to erase or download, none of them without a genuine "
     "package"),
    (Invariant.SILENT, refused, "body flash", "0 erasures, 12 programmed units"),
    (Invariant.SILENT, with_voltage, "record", "7 erasures, downloads and blocks were obeyed"),
    (Invariant.TIDY, healthy, "can0 @ 4.195000000 s", "body: 600 bytes at 0x00000000 completed"),
    (Invariant.TIDY, healthy, "can0", "gateway: 1 erasures, 2 requests to download"),
    (Invariant.TIDY, healthy, "body @ 5.030000000 s", "2.0.0, release counter 2, floor 1"),
    (Invariant.TIDY, healthy, "record", "0 times tester present"),
    (Invariant.TIDY, with_tester_present, "record", "2 times tester present"),
    (Invariant.TIDY, healthy, "record", "8 entries of the log"),
    (Invariant.TIDY, healthy, "record", "0 sessions"),
    (Invariant.TIDY, with_sessions, "record", "3 sessions"),
    (Invariant.TIDY, healthy, "record", "0 pairs of idle sessions, the poll interval is 1.000000000 s"),
    (Invariant.TIDY, with_sessions, "record", "2 pairs of idle sessions, the poll interval is 1.000000000 s"),
    (Invariant.TIDY, healthy, "can0 @ 4.540000000 s", "agent to all ECUs: 28 80 01"),
    (Invariant.TRUTHFUL, healthy, "gateway @ 6.030000000 s", "first executed 2.0.0 from bank B"),
    (Invariant.TRUTHFUL, healthy, "record", "2 results, each of an ECU of its order"),
    (Invariant.WHOLE, healthy, "gateway flash 0x00000000", "256 header and 600 image bytes of 2.0.0 equal the signed "
     "ones"),
]  # fmt: skip


@pytest.mark.parametrize(("invariant", "build", "where", "text"), FIGURES)
def test_a_pass_counts_what_was_seen(invariant: Invariant, build: Build, where: str, text: str) -> None:
    found = judge_one(build(), invariant)
    assert found.verdict is Verdict.PASS, found
    assert (where, text) in [(item.where, item.text) for item in found.evidence]
