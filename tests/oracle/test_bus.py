"""The bus as events: who is addressed by which identifier, byte and bit, and what becomes known when."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from bench.core.frame_run import FrameRunRecord, RunTimes
from bench.core.records import EXTENDED, FrameRecord, InhibitSignal, RunRecord
from bench.oracle.bus import BusDecoder, ChannelHeard, CyclicHeard, FunctionalRequest, Inhibited
from bench.oracle.decode_download import Block, Download
from bench.oracle.facts import Facts
from bench.oracle.pairing import AnsweredLate, Exchanged, Requested
from tests.oracle.neighbours_car import DOOR_FRAME, car
from tests.oracle.oracle_vectors import MS, healthy, replace, spoken


def frame(t_ns: int, can_id: int, text: str, *, channel: str = "can0", flags: int = 0) -> FrameRecord:
    return FrameRecord(t_ns, channel, "x", can_id, flags, bytes.fromhex(text))


def decoded(record: RunRecord, *frames: FrameRecord) -> list[Any]:
    """What these frames mean, and what the end leaves; without that a channel was heard."""
    decoder = BusDecoder(Facts.of(record))
    found = [event for each in frames for event in decoder.take(each)] + decoder.finish()
    return [event for event in found if not isinstance(event, ChannelHeard)]


def body(**changes: Any) -> RunRecord:
    base = healthy()
    return replace(base, layouts=(replace(base.layouts[0], **changes), base.layouts[1]))


def kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_request_is_known_at_its_end_and_settled_by_its_answer() -> None:
    events = decoded(healthy(), frame(1, 0x7A0, "0322F189"), frame(2, 0x7A8, "0462F18931"))
    assert kinds(events) == ["Requested", "Exchanged"]
    assert events[1].exchange.answer.payload == bytes.fromhex("62F18931")


def test_a_request_without_answer_is_settled_by_the_next_or_the_end() -> None:
    events = decoded(healthy(), frame(1, 0x7A0, "0322F189"), frame(2, 0x7A0, "0322F186"))
    assert kinds(events) == ["Requested", "Exchanged", "Requested", "Exchanged"]
    assert [e.exchange.answer for e in events if isinstance(e, Exchanged)] == [None, None]


def test_an_answer_after_that_is_late() -> None:
    events = decoded(healthy(), frame(1, 0x7A0, "0322F189"), frame(2, 0x7A0, "0322F186"), frame(3, 0x7A8, "0462F18931"))
    assert kinds(events) == ["Requested", "Exchanged", "Requested", "AnsweredLate", "Exchanged"]
    assert isinstance(events[3], AnsweredLate)
    assert events[3].exchange.request.t_end_ns == 1


def test_tester_present_gives_no_request_up() -> None:
    events = decoded(healthy(), frame(1, 0x7A0, "0322F189"), frame(2, 0x7A0, "023E80"), frame(3, 0x7A8, "0462F18931"))
    assert kinds(events) == ["Requested", "Requested", "Exchanged", "Exchanged"]
    assert events[3].exchange.answer is not None


def test_what_broke_off_was_no_request() -> None:
    events = decoded(healthy(), frame(1, 0x7A0, "100A3101FF004400"))
    assert kinds(events) == ["Exchanged"]
    assert not events[0].exchange.request.complete


@pytest.mark.parametrize(
    ("changes", "can_id", "flags", "text", "heard"),
    [
        ({}, 0x7A0, 0, "0322F189", True),
        ({}, 0x7A0, EXTENDED, "0322F189", False),
        ({"id_29_bit": True}, 0x7A0, EXTENDED, "0322F189", True),
        ({"request_extension": 0x03}, 0x7A0, 0, "030322F189", True),
        ({"request_extension": 0x03}, 0x7A0, 0, "020322F189", False),
        ({"request_extension": 0x03}, 0x7A0, 0, "0322F189", False),
        ({"request_extension": 0x03}, 0x7A0, 0, "", False),
        ({"request_extension": 0x00}, 0x7A0, 0, "000322F189", True),
    ],
)
def test_a_request_is_known_by_identifier_width_and_address_byte(
    changes: dict[str, Any], can_id: int, flags: int, text: str, heard: bool
) -> None:
    events = decoded(body(**changes), frame(1, can_id, text, flags=flags))
    assert [e.exchange.request.payload for e in events if isinstance(e, Requested)] == (
        [bytes.fromhex("22F189")] if heard else []
    )


def test_a_request_on_another_channel_is_for_nobody() -> None:
    assert decoded(healthy(), frame(1, 0x7A0, "0322F189", channel="can1")) == []


def test_a_functional_request_belongs_to_its_channel() -> None:
    (event,) = decoded(healthy(), frame(1, 0x7DF, "023E80"))
    assert isinstance(event, FunctionalRequest)
    assert (event.exchange.ecu, event.exchange.channel) == (None, "can0")


def test_every_channel_is_heard_once() -> None:
    decoder = BusDecoder(Facts.of(healthy()))
    trace = [frame(n, 0x123, "00", channel=channel) for n, channel in enumerate(("can0", "can1", "can0", "can1"), 5)]
    found = [event for each in trace for event in decoder.take(each)]
    assert found == [ChannelHeard(5, "can0"), ChannelHeard(6, "can1")]


@pytest.mark.parametrize(("bit", "words"), [(16, "00F0FF"), (8, "00F100"), (23, "000080"), (0, "010000")])
def test_the_first_and_every_changed_word_about_the_start_are_told(bit: int, words: str) -> None:
    record = body(inhibit=InhibitSignal("can0", 0x130, False, bit))
    cleared = bytearray(bytes.fromhex(words))
    cleared[bit // 8] &= 0xFF ^ (1 << bit % 8)
    trace = [
        frame(1, 0x130, words), frame(2, 0x130, words), frame(3, 0x130, cleared.hex()),
        frame(4, 0x130, words[: bit // 8 * 2]),
        frame(5, 0x130, words),
    ]  # fmt: skip
    assert decoded(record, *trace) == [
        Inhibited(1, "body", True),
        Inhibited(3, "body", False),
        Inhibited(5, "body", True),
    ]


def test_a_cyclic_frame_is_heard_on_its_own_bus_alone() -> None:
    heard = decoded(car(), frame(7, DOOR_FRAME, "00", channel="can1"), frame(8, DOOR_FRAME, "00"),
                    frame(9, DOOR_FRAME, "00", channel="can1", flags=EXTENDED))  # fmt: skip
    assert heard == [CyclicHeard(7, "can1", DOOR_FRAME, False)]


def test_blocks_and_downloads_follow_their_exchange() -> None:
    trace = [
        *spoken(0, 0x7A0, bytes.fromhex("3400440000800000000002")), frame(MS, 0x7A8, "0474200FFF"),
        frame(2 * MS, 0x7A0, "043601AABB"), frame(3 * MS, 0x7A8, "027601"),
        frame(4 * MS, 0x7A0, "0137"), frame(5 * MS, 0x7A8, "0177"),
    ]  # fmt: skip
    events = decoded(healthy(), *trace)
    assert kinds(events) == ["Requested", "Exchanged"] * 1 + [
        "Requested",
        "Exchanged",
        "Block",
        "Requested",
        "Exchanged",
        "Download",
    ]
    assert [(e.data, e.stored) for e in events if isinstance(e, Block)] == [(b"\xaa\xbb", True)]
    assert [(e.data, e.completed_t_ns) for e in events if isinstance(e, Download)] == [(b"\xaa\xbb", 5 * MS)]


def test_the_end_of_the_run_breaks_a_download_off() -> None:
    trace = [*spoken(0, 0x7A0, bytes.fromhex("3400440000800000000002")), frame(MS, 0x7A8, "0474200FFF")]
    assert [e.completed_t_ns for e in decoded(healthy(), *trace) if isinstance(e, Download)] == [None]


@pytest.mark.parametrize(("later", "found"), [(7, True), (8, False)])
def test_a_late_answer_is_looked_for_among_the_last_eight_requests(later: int, found: bool) -> None:
    asked = [frame(n, 0x7A0, f"0322F1{n:02X}") for n in range(later + 1)]
    events = decoded(healthy(), *asked, frame(99, 0x7A8, "0462F10031"))
    assert bool([event for event in events if isinstance(event, AnsweredLate)]) is found


def run_of(can_id: int, *texts: str, channel: str = "can0", head_bytes: int = 1) -> FrameRunRecord:
    """A run of these frames, 10 ns apart."""
    heads, payload = zip(*((data[:head_bytes], data[head_bytes:]) for data in map(bytes.fromhex, texts)), strict=True)
    times = RunTimes(0, 0, array("q", [10] * len(texts)))
    return FrameRunRecord(channel, "x", can_id, 0, heads, b"".join(payload), times)


def at_once(record: RunRecord, run: FrameRunRecord, *, heard: bool = True) -> list[Any]:
    """What a run means, on a channel that was heard before or not: the same as its frames one by one."""
    once, singly = BusDecoder(Facts.of(record)), BusDecoder(Facts.of(record))
    for decoder in (once, singly):
        if heard:
            decoder.take(frame(1, 0x123, "00", channel=run.channel))
    found = [event for each in run.frames() for event in singly.take(each)]
    assert list(once.take_run(run)) == found
    assert once.key() == singly.key()
    return found


def test_words_about_the_start_are_told_of_every_frame_of_a_run() -> None:
    record = body(inhibit=InhibitSignal("can0", 0x130, False, 0))
    found = at_once(record, run_of(0x130, "01", "00", "01", head_bytes=0))
    assert found == [Inhibited(10, "body", True), Inhibited(20, "body", False), Inhibited(30, "body", True)]


def test_every_cyclic_frame_of_a_run_is_heard() -> None:
    found = at_once(car(), run_of(DOOR_FRAME, "00", "00", channel="can1"))
    assert found == [CyclicHeard(10, "can1", DOOR_FRAME, False), CyclicHeard(20, "can1", DOOR_FRAME, False)]


def test_the_first_frame_of_a_run_may_be_the_first_of_its_channel() -> None:
    assert at_once(healthy(), run_of(0x124, "00", "01"), heard=False) == [ChannelHeard(10, "can0")]
    assert at_once(healthy(), run_of(0x124, "00", "01")) == []


@pytest.mark.parametrize(("address", "heard"), [("03", 2), ("04", 0)])
def test_frames_of_a_run_go_to_the_address_byte_that_each_has(address: str, heard: int) -> None:
    run = run_of(0x7A0, f"{address}0322F189", f"{address}0322F186", head_bytes=2)
    found = at_once(body(request_extension=0x03), run)
    assert [event.exchange.request.payload for event in found if isinstance(event, Requested)] == [
        bytes.fromhex("22F189"), bytes.fromhex("22F186"),
    ][:heard]  # fmt: skip
