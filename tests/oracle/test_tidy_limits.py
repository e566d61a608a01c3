"""Tidy at its limits: the instants between which a second flash or erasure is excused, and the ranges that overlap."""

from __future__ import annotations

from typing import Any

import pytest

from bench.core.records import (
    Crash,
    FaultRecord,
    FrameRecord,
    InhibitSignal,
    PowerRecord,
    RunRecord,
    StoredFile,
    Watch,
    Watched,
)
from bench.oracle.result import Verdict
from tests.oracle import oracle_vectors as v
from tests.oracle.oracle_vectors import MS, NEW, OLD, S, Talk, healthy, replace, tidy


def after(record: RunRecord, *talks: Talk) -> RunRecord:
    return replace(record, frames=(*record.frames.items, *(frame for talk in talks for frame in talk.frames)))


def shown(record: RunRecord) -> list[tuple[str, str]]:
    return [(item.where, item.text) for item in tidy(record).evidence]


def cut(record: RunRecord, t_ns: int, part: str = "body", *, on: bool = False) -> RunRecord:
    return replace(record, power=(*record.power.items, PowerRecord(t_ns, part, on, "cut")))


# A second flash ------------------------------------------------------------------------------------------------


def flashed_twice() -> RunRecord:
    """The body gets the image again at 7 s that it holds checked, and nobody sees what it executes."""
    talk = Talk(7 * S)
    talk.flash(NEW["body"])
    return replace(after(healthy(), talk), executions=())


def spoke(record: RunRecord, begins: str, can_id: int) -> int:
    """The first frame to or from the body that begins so."""
    wanted = bytes.fromhex(begins)
    return next(f.t_ns for f in record.frames.items if f.can_id == can_id and f.data.startswith(wanted))


def asked_ns() -> int:
    return spoke(healthy(), "0431010202", 0x7A0)


def answered_ns() -> int:
    return spoke(healthy(), "057101020200", 0x7A8)


def begun_again_ns() -> int:
    frames = [f for f in flashed_twice().frames.items if f.t_ns >= 7 * S and f.can_id == 0x7A0]
    return next(f.t_ns for f in frames if f.data[2:5] == b"\x34\x00\x44")


@pytest.mark.parametrize(
    ("t_ns", "part", "on", "verdict"),
    [
        (answered_ns(), "body", False, Verdict.PASS),
        (answered_ns() - 1, "body", False, Verdict.FAIL),
        (begun_again_ns(), "body", False, Verdict.PASS),
        (begun_again_ns() + 1, "body", False, Verdict.FAIL),
        (asked_ns(), "agent", False, Verdict.PASS),
        (asked_ns() - 1, "agent", False, Verdict.FAIL),
        (begun_again_ns(), "agent", False, Verdict.PASS),
        (asked_ns() + 1, "gateway", False, Verdict.FAIL),
        (asked_ns() + 1, "agent", True, Verdict.FAIL),
    ],
)
def test_a_supply_lost_from_the_answer_to_the_next_download_excuses_a_second_flash(
    t_ns: int, part: str, on: bool, verdict: Verdict
) -> None:
    assert tidy(cut(flashed_twice(), t_ns, part, on=on)).verdict is verdict


@pytest.mark.parametrize("ran_ns", [6 * S, begun_again_ns()])
def test_an_image_that_ran_after_the_loss_was_there_to_the_instant(ran_ns: int) -> None:
    record = cut(flashed_twice(), 6 * S)
    ran = v.ran(ran_ns, NEW["body"], "A")
    assert tidy(replace(record, executions=(ran,))).verdict is Verdict.FAIL
    for outside_ns in (6 * S - 1, begun_again_ns() + 1):
        assert tidy(replace(record, executions=(replace(ran, t_ns=outside_ns),))).verdict is Verdict.PASS


def test_an_execution_without_a_header_proves_no_image() -> None:
    record = cut(flashed_twice(), 6 * S)
    nothing = replace(v.ran(6 * S + 1, NEW["body"], "A"), header=b"")
    assert tidy(replace(record, executions=(nothing,))).verdict is Verdict.PASS


def test_of_three_downloads_every_pair_is_compared() -> None:
    talk = Talk(8 * S)
    talk.flash(OLD["body"])
    found = tidy(after(flashed_twice(), talk))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "flasher")


# A second erasure ----------------------------------------------------------------------------------------------


def erased(*options: str, between: tuple[str, str] | None = None) -> RunRecord:
    """The body is erased by these options, one after the other, and nothing is downloaded; then all goes well."""
    base, talk = healthy(), Talk(3 * S + 500 * MS)
    for n, option in enumerate(options):
        if n and between is not None:
            talk.ask("body", bytes.fromhex(between[0]), between[1])
        talk.ask("body", bytes.fromhex("3101FF00" + option), "7101FF0000")
    talk.download("body", 0x8000, OLD["body"].data)
    return replace(base, frames=(*talk.frames, *base.frames.items))


LOW, HIGH = "44" + "00000000" + "00004000", "44" + "00004000" + "00004000"


@pytest.mark.parametrize(
    ("first", "again", "overlap"),
    [
        (LOW, LOW, True),
        (LOW, HIGH, False),
        (HIGH, LOW, False),
        (LOW, "44" + "00003FFF" + "00004000", True),
        ("44" + "00003FFF" + "00004000", LOW, True),
        ("22" + "0100" + "0110", "44" + "00000200" + "00000010", True),
        ("22" + "0101" + "0010", "44" + "00000200" + "00000010", False),
        ("33" + "000101" + "000010", "44" + "00000105" + "00000010", True),
        ("33" + "000101" + "000010", "44" + "00000111" + "00000010", False),
        ("12" + "0100" + "10", "44" + "0000010F" + "00000010", True),
        ("12" + "0100" + "10", "44" + "00000110" + "00000010", False),
        ("", "14" + "00000000" + "01", True),
        ("", "18" + "FFFFFFFFFFFFFFF0" + "01", True),
        ("44" + "00000000", HIGH, True),
        ("40" + "00000010", HIGH, True),
        ("04" + "00000000", HIGH, True),
    ],
)
def test_ranges_that_overlap_or_cannot_be_read_are_erased_needlessly(first: str, again: str, overlap: bool) -> None:
    found = tidy(erased(first, again))
    assert found.verdict is (Verdict.FAIL if overlap else Verdict.PASS), found.sentence
    if overlap:
        assert (found.blame, found.sentence) == (
            "flasher", "needless erase: body was erased again before anything was downloaded"
        )  # fmt: skip


def test_only_a_download_in_between_makes_a_second_erasure_needed() -> None:
    assert tidy(erased(LOW, LOW, between=("22F189", "62F189312E302E30"))).verdict is Verdict.FAIL
    assert tidy(erased(LOW, LOW, between=("340044" + "0000000000000010", "7F3431"))).verdict is Verdict.PASS


def window() -> tuple[int, int]:
    """The beginning of the first erasure and the end of the second."""
    to_body = [f.t_ns for f in erased(LOW, LOW).frames.items if f.can_id == 0x7A0]
    second = [t_ns for t_ns in to_body if t_ns >= 3 * S + 520 * MS]
    return to_body[0], second[1]


@pytest.mark.parametrize("offset_ns", [-1, 0, 1])
def test_what_excuses_a_second_erasure_lies_between_the_two_to_the_nanosecond(offset_ns: int) -> None:
    record, (since_ns, until_ns) = erased(LOW, LOW), window()
    before = Verdict.FAIL if offset_ns < 0 else Verdict.PASS
    behind = Verdict.FAIL if offset_ns > 0 else Verdict.PASS
    assert tidy(cut(record, since_ns + offset_ns)).verdict is before
    assert tidy(cut(record, until_ns + offset_ns)).verdict is behind
    over = FaultRecord("bus", "bus:body:frame:9", {}, S, since_ns + offset_ns)
    begun = FaultRecord("bus", "bus:body:frame:9", {}, until_ns + offset_ns, None)
    assert tidy(replace(record, faults=(over,))).verdict is before
    assert tidy(replace(record, faults=(begun,))).verdict is behind


# Communication and DTC setting ---------------------------------------------------------------------------------


def said(t_ns: int, *texts: str) -> Talk:
    talk = Talk(t_ns)
    for text in texts:
        talk.to_all(text)
    return talk


def test_the_last_command_is_the_evidence() -> None:
    restored = shown(after(healthy(), said(7 * S, "288301", "288001")))
    assert ("can0 @ 7.020000000 s", "agent to all ECUs: 28 80 01") in restored
    off = after(healthy(), said(7 * S, "288301"))
    assert shown(off)[0] == ("can0 @ 7.000000000 s", "agent to all ECUs: 28 83 01")
    crashed = replace(off, crash=Crash(8 * S, "car", "ValueError: x"))
    found = tidy(crashed)
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert ("can0 @ 7.000000000 s", "agent to all ECUs: 28 83 01") in shown(crashed)
    talk = Talk(7 * S)
    talk.ask("body", b"\x28\x03\x01", "6803")
    assert shown(after(healthy(), talk))[0][1] == "agent to body: 28 03 01"


def test_a_command_without_a_sub_function_commands_nothing() -> None:
    assert tidy(after(healthy(), said(7 * S, "28", "85"))).verdict is Verdict.PASS


@pytest.mark.parametrize(("answer", "verdict"), [("7F2822", Verdict.PASS), ("6803", Verdict.FAIL)])
def test_a_command_that_is_refused_late_changed_nothing_either(answer: str, verdict: Verdict) -> None:
    """Off is given up for a question, and answered only then."""
    talk = Talk(7 * S)
    talk.ask("body", b"\x28\x00\x01", "6800")
    talk.ask("body", b"\x28\x03\x01", None)
    talk.ask("body", bytes.fromhex("22F189"), "62F189312E302E30")
    late = v.spoken(talk.t_ns, 0x7A8, bytes.fromhex(answer), "body")
    record = after(healthy(), talk)
    assert tidy(replace(record, frames=(*record.frames.items, *late))).verdict is verdict


def test_a_bus_on_which_nothing_was_heard_or_watched_is_not_observed() -> None:
    elsewhere = Watched(v.refused().frames.items, ((0, 10 * S),), places={"can9": Watch(((0, 10 * S),))})
    for verdict in (tidy(replace(v.refused(), frames=elsewhere)), v.silent(replace(v.refused(), frames=elsewhere))):
        assert verdict.verdict is Verdict.NOT_OBSERVED
        assert "the bus to body was not observed" in verdict.sentence


# The inhibit signal --------------------------------------------------------------------------------------------


def inhibiting(*words: tuple[int, bool], crash: bool = False) -> RunRecord:
    """The body says these words about the start of the car."""
    base = healthy()
    body, gateway = base.layouts
    frames = [
        FrameRecord(t_ns, "can0", "body", 0x130, 0, bytes.fromhex("00F0FF" if on else "00F0FE")) for t_ns, on in words
    ]
    return replace(
        base,
        layouts=(replace(body, inhibit=InhibitSignal("can0", 0x130, False, 16)), gateway),
        frames=(*base.frames.items, *frames),
        crash=Crash(9 * S, "car", "ValueError: x") if crash else None,
    )


def test_the_last_word_about_the_start_decides() -> None:
    allowed = inhibiting((7 * S, True), (8 * S, False))
    assert tidy(allowed).verdict is Verdict.PASS
    assert ("can0 @ 8.000000000 s", "body allows the start, from then on") in shown(allowed)
    forbidden = inhibiting((7 * S, False), (8 * S, True))
    assert (tidy(forbidden).verdict, tidy(forbidden).blame) == (Verdict.FAIL, "bootloader")
    assert ("can0 @ 8.000000000 s", "body inhibits the start, from then on") in shown(forbidden)


def test_a_crash_leaves_an_inhibited_start_undecided_and_no_other() -> None:
    found = tidy(inhibiting((8 * S, True), crash=True))
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert "inhibited the start when a part crashed" in found.sentence
    assert "inhibited" not in tidy(inhibiting((8 * S, False), crash=True)).sentence


# Sessions, downgrades, the disk --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest", "word"),
    [(None, "answers nothing, so its session is unknown"), (b"2.0.0", "does not tell its session")],
)
def test_why_a_session_is_unknown_is_told(rest: bytes | None, word: str) -> None:
    readings = [r for r in healthy().readings.items if r.ecu != "body"]
    record = replace(healthy(), readings=(*readings, v.read("body", 0xF189, rest), v.read("body", 0xF186, None)))
    found = tidy(record)
    assert (found.verdict, found.sentence) == (Verdict.INCONCLUSIVE, f"body {word}")


def test_the_first_image_that_runs_is_no_downgrade_whatever_its_counter() -> None:
    first = v.reference("body", "x", "0.9.0", 0)
    later = [run for run in healthy().executions.items if run.ecu != "body"]
    found = tidy(replace(healthy(), executions=(v.ran(30 * MS, first, "A"), *later)))
    assert "went back" not in found.sentence


@pytest.mark.parametrize("suffix", ["spring.zip", "/spring.zip", "/a/b/spring.zip"])
def test_what_the_package_is_called_is_the_end_of_its_url(suffix: str) -> None:
    left = (StoredFile("agent/spring.zip", 10),)
    url = f"https://dm.test{suffix}" if suffix.startswith("/") else f"https://dm.test/{suffix}"
    exchanges = tuple(replace(exchange, url=url) for exchange in healthy().http.items)
    record = replace(healthy(), package_url_suffix=suffix, http=exchanges)
    assert tidy(record).verdict is Verdict.PASS
    assert tidy(replace(record, agent_files=left)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("files", "entry"),
    [((), ("agent", "no files")), ((StoredFile("agent/log.json", 812),), ("agent/log.json", "812 bytes"))],
)
def test_what_is_left_on_the_disk_is_listed(files: Any, entry: tuple[str, str]) -> None:
    assert entry in shown(replace(healthy(), agent_files=files))
