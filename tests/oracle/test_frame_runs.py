"""Runs of frames, read at once: whatever the judge says of them it says of their frames one by one too."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.frame_run import FrameRunRecord, Frames, RunTimes
from bench.core.records import REMOTE, Crash, FrameRecord, PowerRecord, RunRecord, Watched
from bench.oracle.decode_isotp import Message, Reassembler
from bench.oracle.judge import judge, judge_one
from bench.oracle.result import Invariant
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
