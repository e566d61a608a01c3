"""What makes a run repeatable: random bytes by key, a journal with a stable hash."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.canonical import canonical_json
from bench.core.frame_run import FrameRunRecord, RunTimes
from bench.core.journal import INLINE_BYTES, Journal
from bench.core.loop import VirtualLoop
from bench.core.records import BRS, EXTENDED, FD, REMOTE, FrameRecord
from bench.core.seeds import Seeds, keyed_bytes

NAMES = st.sampled_from(["agent", "server", "body"])


@given(st.lists(st.tuples(NAMES, NAMES, st.integers(1, 40)), max_size=20), st.integers(0, 19))
def test_one_draw_more_changes_no_other_stream(draws: list[tuple[str, str, int]], extra_at: int) -> None:
    def values(*, extra: bool) -> list[bytes]:
        seeds = Seeds(1)
        drawn = []
        for number, (part, purpose, length) in enumerate(draws):
            if extra and number == extra_at:
                seeds.draw("a part of its own", purpose, 16)
            drawn.append(seeds.draw(part, purpose, length))
        return drawn

    assert values(extra=True) == values(extra=False)


def test_each_draw_of_a_stream_is_new_and_the_state_says_how_many() -> None:
    seeds = Seeds(1)
    drawn = [seeds.draw("agent", "token", 16) for _ in range(3)]
    assert len(set(drawn)) == 3
    assert seeds.state() == {("agent", "token"): 3}


@pytest.mark.parametrize("other", [(2, "a", "b", 0), (1, "x", "b", 0), (1, "a", "x", 0), (1, "a", "b", 1)])
def test_every_field_of_the_key_matters(other: tuple[int, str, str, int]) -> None:
    assert keyed_bytes(1, "a", "b", 0, 16) != keyed_bytes(*other, 16)


def test_keyed_bytes_are_pinned_for_ever() -> None:
    assert keyed_bytes(1, "agent", "token", 0, 8) == hashlib.shake_256(b"1|agent|token|0").digest(8)


FRAME = FrameRecord(1_000, "can0", "agent", 0x7A0, 0, bytes.fromhex("0322f195"))


def sample(clock: VirtualLoop) -> Journal:
    journal = Journal(clock)
    journal.add("body", "boot", "application A power")
    journal.frame(FRAME)
    journal.add("agent", "disk", bytes(INLINE_BYTES))
    journal.add("agent", "disk", bytes(INLINE_BYTES + 1))
    return journal


def test_lines_are_canonical_json_in_the_order_of_events(clock: VirtualLoop) -> None:
    assert list(sample(clock).lines()) == [
        b'{"kind":"boot","part":"body","payload":"application A power","t":0}',
        b'{"kind":"frame","part":"can0","payload":"agent 7A0#0322F195","t":1000}',
        b'{"kind":"disk","part":"agent","payload":"%s","t":0}' % (b"00" * 64),
        b'{"kind":"disk","part":"agent","payload":"sha256:%s","t":0}' % hashlib.sha256(bytes(65)).hexdigest().encode(),
    ]


def test_the_trace_hash_is_that_of_the_lines_each_ended(clock: VirtualLoop) -> None:
    journal = sample(clock)
    text = b"".join(line + b"\n" for line in journal.lines())
    assert journal.sha256() == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_the_trace_hash_does_not_depend_on_the_hash_seed(clock: VirtualLoop, hash_seed: str) -> None:
    program = (
        "from bench.core.journal import Journal\nfrom bench.core.loop import VirtualLoop\n"
        "j = Journal(VirtualLoop())\nfor p in ('b', 'a', 'c'): j.add(p, 'x', p)\nprint(j.sha256())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    journal = Journal(clock)
    for part in ("b", "a", "c"):
        journal.add(part, "x", part)
    assert done.stdout.strip() == journal.sha256()


def test_a_sealed_journal_takes_neither_event_nor_frame(clock: VirtualLoop) -> None:
    journal = sample(clock)
    before = journal.sha256()
    journal.seal()
    journal.add("body", "late", "x")
    journal.frame(FRAME)
    assert journal.sha256() == before
    assert journal.frames() == (FRAME,)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_journals_that_differ_in_one_payload_have_different_hashes(
    clock: VirtualLoop, first: bytes, second: bytes
) -> None:
    one, other = Journal(clock), Journal(clock)
    one.add("body", "x", first)
    other.add("body", "x", second)
    assert (one.sha256() == other.sha256()) is (first == second)


@pytest.mark.parametrize(
    ("can_id", "flags", "data", "text"),
    [
        (0x7A0, 0, b"\x03\x22", "7A0#0322"),
        (0x1, EXTENDED, b"", "00000001#"),
        (0x7DF, REMOTE, b"", "7DF#R"),
        (0x123, FD, b"\x01", "123##001"),
        (0x123, FD | BRS, b"\x01", "123##101"),
    ],
)
def test_candump_notation(can_id: int, flags: int, data: bytes, text: str) -> None:
    assert FrameRecord(0, "can0", "agent", can_id, flags, data).candump() == text


def test_canonical_json_refuses_what_has_no_one_form() -> None:
    assert canonical_json({"b": [1, "ü"], "a": None}) == b'{"a":null,"b":[1,"\\u00fc"]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


WORDS = st.text(max_size=8)


def run_of_frames(draw: st.DrawFn) -> FrameRunRecord:
    count, part = draw(st.integers(1, 40)), draw(st.integers(0, 7))
    heads = draw(st.lists(st.binary(min_size=1, max_size=1), min_size=1, max_size=5))
    times = RunTimes(draw(st.integers(0, 10**12)), draw(st.integers(0, 10**6)), array("q", range(100, 100 + count)))
    payload = draw(st.binary(min_size=count * part, max_size=count * part))
    flags = draw(st.sampled_from([0, EXTENDED, FD, FD | BRS, EXTENDED | FD]))
    return FrameRunRecord(draw(WORDS), draw(WORDS), draw(st.integers(0, 0x7FF)), flags, tuple(heads), payload, times)


@st.composite
def journals(draw: st.DrawFn) -> list[tuple[str, str, bytes | str] | FrameRunRecord]:
    events = st.tuples(WORDS, WORDS, WORDS | st.binary(max_size=2 * INLINE_BYTES))
    return [run_of_frames(draw) if draw(st.booleans()) else draw(events) for _ in range(draw(st.integers(0, 5)))]


@given(journals())
def test_lines_put_together_by_hand_are_those_of_canonical_json(
    clock: VirtualLoop, events: list[tuple[str, str, bytes | str] | FrameRunRecord]
) -> None:
    journal = Journal(clock)
    for event in events:
        if isinstance(event, FrameRunRecord):
            journal.frame(event)
        else:
            journal.add(*event)
    trace = journal.trace()
    for line, entry in zip(trace.lines, journal.entries(), strict=True):
        shown = json.loads(line)
        assert canonical_json(shown) == line
        assert (shown["t"], shown["part"], shown["kind"]) == entry[:3]
        if isinstance(entry.payload, str):
            assert shown["payload"] == entry.payload
    assert trace.lines == tuple(journal.lines())
    assert trace.sha256 == journal.sha256()


def test_a_trace_taken_before_further_events_does_not_change(clock: VirtualLoop) -> None:
    journal = sample(clock)
    trace, before = journal.trace(), journal.sha256()
    journal.add("body", "more", "x")
    assert trace.sha256 == before != journal.sha256()
