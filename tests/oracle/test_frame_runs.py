"""Runs of frames, read at once: whatever the judge says of them it says of their frames one by one too."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.frame_run import FrameRunRecord, Frames, RunTimes
from bench.core.records import REMOTE, Crash, FrameRecord, PowerRecord, RunRecord, Watched
from bench.oracle.decode_isotp import CONSECUTIVE, Message, Reassembler
from bench.oracle.judge import judge, judge_one
from bench.oracle.result import Invariant, Verdict
from bench.oracle.stream import events
from tests.oracle.oracle_vectors import MS, S, replace


def run_of(frames: Sequence[FrameRecord]) -> FrameRunRecord:
    """Put frames of one identifier and length into a run, as a bus of the bench records them."""
    first = frames[0]
    begin_ns = first.t_ns - 1
    ends = [begin_ns, *(frame.t_ns for frame in frames)]
    durations = array("q", (b - a for a, b in pairwise(ends)))
    heads = tuple(frame.data[:1] for frame in frames)
    payload = b"".join(frame.data[1:] for frame in frames)
    times = RunTimes(begin_ns, 0, durations)
    return FrameRunRecord(first.channel, first.sender, first.can_id, first.flags, heads, payload, times)


def in_runs(frames: Sequence[FrameRecord]) -> Frames:
    """Put neighbours that are alike into runs."""

    def parts() -> Iterator[FrameRecord | FrameRunRecord]:
        for _, alike in groupby(frames, lambda f: (*f[1:5], len(f.data), f.data[0] >> 4)):
            found = list(alike)
            yield run_of(found) if len(found) > 1 else found[0]

    return Frames(parts())


def compact(record: RunRecord) -> RunRecord:
    frames = sorted(record.frames.items, key=lambda frame: frame.t_ns)
    source = Watched(in_runs(frames), record.frames.spans_ns, places=record.frames.places)
    return replace(record, frames=source)


@pytest.fixture(params=["healthy", "off", "boots unseen", "crashed", "cut within a run"])
def vector(request: pytest.FixtureRequest, v: ModuleType, healthy: RunRecord) -> RunRecord:
    talk = v.Talk(7 * S)
    talk.to_all("8582")
    began = next(f.t_ns for f in healthy.frames.items if f.data[0] >> 4 == 2)
    off = PowerRecord(began + MS, "body", on=False, cause="battery")
    return {
        "healthy": healthy,
        "off": replace(healthy, frames=(*healthy.frames.items, *talk.frames)),
        "boots unseen": replace(healthy, boots=None),
        "crashed": replace(healthy, crash=Crash(began + MS, "server", "ValueError"), ended_by="crash"),
        "cut within a run": replace(healthy, power=(*healthy.power.items, off)),
    }[request.param]


def test_verdict_and_evidence_are_those_of_the_single_frames(vector: RunRecord) -> None:
    found = compact(vector)
    runs = found.frames.items
    assert isinstance(runs, Frames)
    assert any(isinstance(part, FrameRunRecord) for part in runs.parts)
    assert judge(found, tuple(Invariant)) == judge(vector, tuple(Invariant))
    for invariant in Invariant:
        assert judge_one(found, invariant) == judge_one(vector, invariant)


class Whole(FrameRunRecord):
    """A run that nobody may take apart."""

    def frames(self) -> Iterator[FrameRecord]:
        raise AssertionError(f"{self.frame_count} frames of 0x{self.can_id:X} were read one by one")


def test_judge_takes_no_run_of_a_download_apart(healthy: RunRecord) -> None:
    found = compact(healthy)
    runs = found.frames.items
    assert isinstance(runs, Frames)
    kept = Frames(
        Whole(*part) if isinstance(part, FrameRunRecord) and part.heads[0][0] >> 4 == CONSECUTIVE else part
        for part in runs.parts
    )
    assert any(isinstance(part, Whole) for part in kept.parts)
    whole = replace(found, frames=Watched(kept, found.frames.spans_ns, places=found.frames.places))
    assert judge(whole, tuple(Invariant)) == judge(healthy, tuple(Invariant))


@pytest.mark.parametrize(("crashed_ns", "verdict"), [
    (4 * S - 1, Verdict.INCONCLUSIVE), (4 * S, Verdict.FAIL), (4 * S + 1, Verdict.FAIL),
])  # fmt: skip
def test_of_a_run_counts_what_had_come_when_a_part_crashed(
    refused: RunRecord, crashed_ns: int, verdict: Verdict
) -> None:
    """With a forged package the agent begins, twice, to ask for an erasure: proven from the first time on."""
    erase = bytes.fromhex("100D3101FF004400")
    run = run_of([FrameRecord(t_ns, "can0", "agent", 0x7A0, 0, erase) for t_ns in (4 * S, 4 * S + 100)])
    record = replace(refused, frames=Watched(Frames([run]), ((0, 10 * S),)))
    found = judge(replace(record, crash=Crash(crashed_ns, "server", "ValueError"), ended_by="crash"), ())
    assert found.verdict is verdict


def test_run_is_taken_apart_only_where_something_falls_between_its_frames(healthy: RunRecord) -> None:
    record = compact(healthy)
    whole = [event for event in events(record) if isinstance(event, FrameRunRecord)]
    run = max(whole, key=lambda each: each.frame_count)
    cut_ns = run.times.first_ns + 1
    cut = PowerRecord(cut_ns, "body", on=False, cause="battery")
    apart = list(events(replace(record, power=(*record.power.items, cut))))
    kept = [event for event in apart if isinstance(event, FrameRunRecord)]
    assert kept == [each for each in whole if each is not run]
    behind = apart[apart.index(cut) :]
    assert apart[apart.index(cut) - 1] == next(run.frames())
    singly = [event for event in behind if isinstance(event, FrameRecord)]
    assert singly[: run.frame_count - 1] == list(run.frames())[1:]


def test_two_runs_through_each_other_are_both_taken_apart(healthy: RunRecord) -> None:
    def run(can_id: int, t_ns: int) -> FrameRunRecord:
        return run_of([FrameRecord(t_ns + n * 100, "can0", "agent", can_id, 0, bytes((0x21 + n, 1))) for n in range(3)])

    parts = Frames([run(0x7A0, 1_000), run(0x7A1, 1_050)])
    record = replace(healthy, frames=Watched(parts, ((0, 10 * S),)))
    heard = [event for event in events(record) if isinstance(event, FrameRecord | FrameRunRecord)]
    assert heard == sorted(parts)


def one_by_one(record: RunRecord) -> list[object]:
    """Return the events of a record, with frames in the place of runs."""
    found: list[object] = []
    for event in events(record):
        found += event.frames() if isinstance(event, FrameRunRecord) else [event]
    return found


def test_events_are_those_of_the_single_frames_in_the_same_order(vector: RunRecord) -> None:
    assert one_by_one(compact(vector)) == one_by_one(vector)


def only(record: RunRecord, *parts: FrameRecord | FrameRunRecord) -> RunRecord:
    """A record of nothing but frames."""
    nothing = dict.fromkeys(("power", "boots", "executions", "server_events", "http", "readings", "dtcs"), ())
    return replace(record, frames=Watched(Frames(parts), ((0, 10 * S),)), drive_after_ns=None, **nothing)


def short_run(can_id: int, *t_ns: int) -> FrameRunRecord:
    return run_of([FrameRecord(each, "can0", "agent", can_id, 0, bytes((0x21 + n, 1))) for n, each in enumerate(t_ns)])


def test_run_before_one_that_is_taken_apart_stays_whole(healthy: RunRecord) -> None:
    first, between = (FrameRecord(t_ns, "can1", "x", 1, 0, b"") for t_ns in (5, 350))
    kept, apart = short_run(0x7A0, 100, 200), short_run(0x7A1, 300, 400)
    found = [event for event in events(only(healthy, first, kept, between, apart))
             if isinstance(event, FrameRecord | FrameRunRecord)]  # fmt: skip
    assert found == [first, kept, next(apart.frames()), between, list(apart.frames())[1]]


def test_of_one_instant_the_order_of_the_trace_decides(healthy: RunRecord) -> None:
    """A run that stands in the trace before a frame of the instant of its own first one is read before that."""
    run, other = short_run(0x7A0, 100, 200), FrameRecord(100, "can1", "x", 1, 0, b"")
    record = only(healthy, run, other)
    singly = replace(record, frames=Watched((*run.frames(), other), ((0, 10 * S),)))
    assert one_by_one(record) == one_by_one(singly)


def carried(
    frames: int, part: int, length: int, *, heads: int = 16, before: int = 0, address: bytes = b"",
    flags: int = 0, rest: int = 0, wrong: int | None = None,
) -> tuple[Reassembler, Reassembler, FrameRunRecord]:  # fmt: skip
    """Two readers of a first frame (6 bytes, 5 behind an address byte) and `before` frames of one byte, and a run."""
    first = address + (0x1000 | length).to_bytes(2, "big") + bytes(6 - len(address))
    said = [FrameRecord(10, "can0", "agent", 0x7A0, 0, first)]
    said += [FrameRecord(10 + n, "can0", "agent", 0x7A0, 0, address + bytes((0x20 | n & 15, n))) for n in
             range(1, before + 1)]  # fmt: skip
    readers = Reassembler(len(address)), Reassembler(len(address))
    for reader in readers:
        for frame in said:
            assert reader.take(frame) == []
    numbers = [before + 1 + n + (n == wrong) for n in range(heads)]
    turns = tuple(address + bytes((0x20 | number & 15,)) for number in numbers)
    payload = bytes(n % 251 for n in range(frames * part + rest))
    times = RunTimes(100, 3, array("q", [7] * frames))
    return *readers, FrameRunRecord("can0", "agent", 0x7A0, flags, turns, payload, times)


def alike(once: Reassembler, singly: Reassembler, run: FrameRunRecord) -> list[Message]:
    """Read a run at once and frame by frame; return what both give."""
    expected = [message for frame in FrameRunRecord(*run).frames() for message in singly.take(frame)]
    assert once.take_run(run) == expected
    assert once.key() == singly.key()
    return expected + [message for message in once.finish() if singly.finish() == [message]]


@pytest.mark.parametrize("case", [
    {"frames": 3, "part": 7, "length": 300, "heads": 3},
    {"frames": 3, "part": 1, "length": 300, "heads": 3},
    {"frames": 2, "part": 7, "length": 300, "heads": 3},
    {"frames": 15, "part": 7, "length": 300},
    {"frames": 16, "part": 7, "length": 300},
    {"frames": 17, "part": 7, "length": 300},
    {"frames": 40, "part": 7, "length": 300, "heads": 32},
    {"frames": 4, "part": 7, "length": 300, "heads": 4, "before": 13},
    {"frames": 4, "part": 7, "length": 300, "heads": 4, "before": 14},
    {"frames": 4, "part": 7, "length": 300, "heads": 4, "before": 15},
    {"frames": 17, "part": 6, "length": 300, "address": b"\x12"},
    {"frames": 20, "part": 7, "length": 6 + 20 * 7 + 1},
    {"frames": 20, "part": 7, "length": 6 + 20 * 7},
    {"frames": 20, "part": 7, "length": 6 + 19 * 7 + 1},
])  # fmt: skip
def test_run_that_carries_a_transfer_on_is_read_at_once(case: dict[str, Any]) -> None:
    once, singly, run = carried(**case)
    (message,) = alike(once, singly, Whole(*run))
    assert message.complete == (case["length"] <= 6 + case["frames"] * case["part"])


@pytest.mark.parametrize("case", [
    {"frames": 20, "part": 7, "length": 6 + 19 * 7},
    {"frames": 20, "part": 7, "length": 20},
    {"frames": 3, "part": 0, "length": 300},
    {"frames": 3, "part": 7, "length": 300, "rest": 1},
    {"frames": 3, "part": 7, "length": 300, "rest": 2},
    {"frames": 3, "part": 7, "length": 20, "rest": 1},
    {"frames": 4, "part": 7, "length": 300, "heads": 3},
    {"frames": 16, "part": 7, "length": 300, "heads": 15},
    {"frames": 18, "part": 7, "length": 300, "heads": 17},
    {"frames": 40, "part": 7, "length": 300, "heads": 31},
    {"frames": 3, "part": 7, "length": 300, "wrong": 0},
    {"frames": 3, "part": 7, "length": 300, "wrong": 2},
    {"frames": 3, "part": 7, "length": 300, "flags": REMOTE},
])  # fmt: skip
def test_run_that_does_not_is_read_frame_by_frame(case: dict[str, Any]) -> None:
    alike(*carried(**case))
    once, _, run = carried(**case)
    with pytest.raises(AssertionError, match="one by one"):
        once.take_run(Whole(*run))


@st.composite
def transfers(draw: st.DrawFn) -> tuple[int, list[FrameRecord], FrameRunRecord]:
    """A direction with or without address byte, what was said before, and a run that may or may not carry it on."""
    address = draw(st.sampled_from([b"", b"\x12"]))
    length, part = draw(st.integers(1, 300)), draw(st.integers(0, 8))
    first = address + (0x1000 | length).to_bytes(2, "big") + bytes(6 - len(address))
    before = [FrameRecord(10, "can0", "agent", 0x7A0, 0, first)] if draw(st.booleans()) else []
    number, frames = draw(st.integers(0, 17)), draw(st.integers(1, 40))
    heads = [address + bytes((0x20 | number + n & 15,)) for n in range(draw(st.sampled_from([1, 3, 16, 32, 40])))]
    if draw(st.booleans()):
        heads[draw(st.integers(0, len(heads) - 1))] = address + bytes((draw(st.integers(0, 255)),))
    flags = draw(st.sampled_from([0, 0, 0, REMOTE]))
    payload = draw(st.binary(min_size=frames * part, max_size=frames * part))
    times = RunTimes(100, draw(st.integers(0, 3)), array("q", [7] * frames))
    return len(address), before, FrameRunRecord("can0", "agent", 0x7A0, flags, tuple(heads), payload, times)


@given(transfers())
def test_any_run_gives_what_its_frames_give(case: tuple[int, list[FrameRecord], FrameRunRecord]) -> None:
    address_bytes, before, run = case
    once, singly = Reassembler(address_bytes), Reassembler(address_bytes)
    for frame in before:
        once.take(frame)
        singly.take(frame)
    expected: list[Message] = [message for frame in run.frames() for message in singly.take(frame)]
    assert once.take_run(run) == expected
    assert once.key() == singly.key()
    assert once.finish() == singly.finish()


def test_frames_are_a_sequence_like_any_other(healthy: RunRecord) -> None:
    single = tuple(healthy.frames.items)
    frames = in_runs(single)
    assert len(frames.parts) < len(frames) == len(single)
    assert tuple(frames) == single
    assert (frames[3], frames[-2:]) == (single[3], single[-2:])
    assert frames == single
    assert frames == in_runs(single)
    assert hash(frames) == hash(in_runs(single))
    assert frames != in_runs(single[1:])
    assert frames != list(single)
