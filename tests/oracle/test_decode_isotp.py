from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.core.records import EXTENDED, FD, REMOTE, CanAddress, FrameRecord
from bench.oracle.decode_isotp import heard, reassemble, split


def frames(*texts: str) -> list[FrameRecord]:
    return [FrameRecord(10 * n, "can0", "agent", 0x7A0, 0, bytes.fromhex(text)) for n, text in enumerate(texts, 1)]


def said(*texts: str) -> list[tuple[str, bool]]:
    return [(message.payload.hex(), message.complete) for message in reassemble(frames(*texts))]


def test_single_frame_with_padding_gives_its_length() -> None:
    assert said("0322F189CCCCCCCC") == [("22f189", True)]


def test_multi_frame_message_carries_both_ends_and_its_sender() -> None:
    (message,) = reassemble(frames("100A010203040506", "300000", "210708090ACCCCCC"))
    assert (message.t_start_ns, message.t_end_ns, message.sender) == (10, 30, "agent")
    assert message.payload == bytes(range(1, 11))
    assert message.complete


def test_sequence_number_wraps_from_15_to_0() -> None:
    length = 6 + 7 * 17
    texts = [f"1{length:03X}000102030405"] + [f"2{n & 15:X}" + "AA" * 7 for n in range(1, 18)]
    assert said(*texts) == [("000102030405" + "aa" * 119, True)]


def test_wrong_sequence_number_ends_the_message_as_broken() -> None:
    assert said("1014010203040506", "2107080910111213", "2314151617181920") == [
        ("01020304050607080910111213", False),
    ]


def test_repeated_consecutive_frame_ends_the_message_as_broken() -> None:
    found = said("1014010203040506", "2107080910111213", "2107080910111213", "2214151617181920")
    assert found == [("01020304050607080910111213", False)]


def test_new_first_frame_ends_the_running_message() -> None:
    assert said("1014010203040506", "1008010203040506", "210708") == [
        ("010203040506", False),
        ("0102030405060708", True),
    ]


def test_transfer_that_a_power_cut_ended_is_given_as_broken() -> None:
    assert said("1014010203040506") == [("010203040506", False)]


def test_impossible_and_stray_frames_are_skipped_without_ending_a_message() -> None:
    found = said("1008010203040506", "00", "0F0102", "10", "1002AABBCCDDEEFF", "40AA", "3001", "210708")
    assert found == [("0102030405060708", True)]
    assert said("2101020304050607") == []


def test_remote_frame_is_skipped() -> None:
    remote = FrameRecord(1, "can0", "x", 0x7A0, REMOTE, b"\x01\x3e")
    assert reassemble([remote]) == ()


def test_fd_escape_lengths_are_read() -> None:
    single = FrameRecord(1, "can0", "x", 0x7A0, FD, bytes((0, 10)) + bytes(range(10)))
    assert reassemble([single])[0].payload == bytes(range(10))
    first = FrameRecord(1, "can0", "x", 0x7A0, FD, bytes.fromhex("1000") + (100).to_bytes(4, "big") + bytes(58))
    rest = FrameRecord(2, "can0", "x", 0x7A0, FD, b"\x21" + b"\x01" * 63)
    assert reassemble([first, rest])[0].payload == bytes(58) + b"\x01" * 42


def test_directions_are_told_apart_by_channel_identifier_and_width() -> None:
    trace = [
        FrameRecord(1, "can0", "a", 0x7A0, 0, b"\x01\x3e"),
        FrameRecord(2, "can1", "b", 0x7A0, 0, b"\x01\x3e"),
        FrameRecord(3, "can0", "c", 0x7A0, EXTENDED, b"\x01\x3e"),
        FrameRecord(4, "can0", "d", 0x18DA01F1, EXTENDED, b"\x01\x3e"),
    ]
    bus = split(trace)
    assert [f.sender for f in heard(bus, "can0", CanAddress(0x7A0))] == ["a"]
    assert [f.sender for f in heard(bus, "can0", CanAddress(0x18DA01F1, id_29_bit=True))] == ["d"]
    assert heard(bus, "can2", CanAddress(0x7A0)) == ()


@given(st.lists(st.binary(max_size=64), max_size=40))
def test_random_frames_never_raise_and_never_invent_bytes(data: list[bytes]) -> None:
    trace = [FrameRecord(n, "can0", "x", 1, 0, item) for n, item in enumerate(data)]
    messages = reassemble(trace)
    assert sum(len(m.payload) for m in messages) <= sum(len(item) for item in data)
    assert all(m.payload and m.t_start_ns <= m.t_end_ns for m in messages)


@given(st.binary(min_size=1, max_size=600))
def test_any_message_cut_into_frames_comes_back(message: bytes) -> None:
    if len(message) < 8:
        parts = [bytes((len(message),)) + message]
    else:
        rest = [message[at : at + 7] for at in range(6, len(message), 7)]
        parts = [(0x1000 | len(message)).to_bytes(2, "big") + message[:6]]
        parts += [bytes((0x20 | n & 15,)) + part for n, part in enumerate(rest, 1)]
    trace = [FrameRecord(n, "can0", "x", 1, 0, part.ljust(8, b"\x55")) for n, part in enumerate(parts)]
    assert [m.payload for m in reassemble(trace)] == [message]


def test_stray_frame_after_a_complete_message_does_not_lengthen_it() -> None:
    (message,) = reassemble(frames("1008010203040506", "210708", "220910111213"))
    assert (message.t_end_ns, message.complete) == (20, True)


def fd(text: str, *, extra: int = 0) -> list[FrameRecord]:
    return [FrameRecord(10, "can0", "agent", 0x7A0, FD, bytes.fromhex(text) + bytes(extra))]


def test_single_frame_has_at_least_one_byte_and_at_most_what_came() -> None:
    assert said("0711223344556677") == [("11223344556677", True)]
    assert said("081122334455667788"[:16]) == []
    assert said("021122") == [("1122", True)]
    assert said("0211") == []
    assert said("0011") == []
    assert said("0111") == [("11", True)]


def test_single_frame_beyond_eight_bytes_has_a_length_of_its_own() -> None:
    assert [m.payload for m in reassemble(fd("0007" + "11223344556677"))] == [bytes.fromhex("11223344556677")]
    assert [m.payload for m in reassemble(fd("0001" + "11223344556677"))] == [b"\x11"]
    assert reassemble(fd("0008" + "11223344556677")) == ()
    assert reassemble(fd("0000" + "11223344556677")) == ()
    assert reassemble(fd("0707" + "11223344556677")) == ()


def test_first_frame_fills_a_classic_frame_and_announces_more_than_it_holds() -> None:
    assert said("1007112233445566", "2177") == [("11223344556677", True)]
    assert said("1006112233445566") == []
    assert said("10071122334455", "2177") == []
    assert said("1108112233445566", "21") == [("112233445566", False)]
    assert said("2101") == []


def test_first_frame_with_a_length_of_four_bytes() -> None:
    def first(length: int, held: int = 2) -> list[FrameRecord]:
        return [FrameRecord(1, "can0", "x", 0x7A0, 0, b"\x10\x00" + length.to_bytes(4, "big") + bytes(held))]

    more = FrameRecord(2, "can0", "x", 0x7A0, 0, b"\x21\x01")
    assert [m.payload for m in reassemble([*first(3), more])] == [b"\x00\x00\x01"]
    assert reassemble(first(2)) == ()
    assert [m.complete for m in reassemble(first(1 << 24))] == [False]
    assert reassemble(first((1 << 24) + 1)) == ()
    assert reassemble(first(0x01000003, 2))[:1] == ()
    assert [m.payload for m in reassemble(first(0x00000102))] == [b"\x00\x00"]


def test_consecutive_frame_without_data_ends_the_message() -> None:
    assert said("1008112233445566", "21", "217788") == [("112233445566", False)]
    assert said("1008112233445566", "21", "227788") == [("112233445566", False)]
    assert said("1008112233445566", "2177", "2288") == [("1122334455667788", True)]


def test_an_address_byte_stands_before_everything() -> None:
    def extended(*texts: str) -> list[tuple[str, bool]]:
        return [(m.payload.hex(), m.complete) for m in reassemble(frames(*texts), 1)]

    assert extended("F1021122CCCCCCCC") == [("1122", True)]
    assert extended("F106112233445566") == [("112233445566", True)]
    assert extended("F1071122334455") == []
    assert extended("F110071122334455", "F1216677") == [("11223344556677", True)]
    assert extended("F1100711223344", "F1216677") == []
    assert extended("F1") == []


def test_messages_come_in_the_order_of_their_ends() -> None:
    found = reassemble(frames("1008112233445566", "30", "217788", "0122"))
    assert [(m.t_start_ns, m.t_end_ns) for m in found] == [(10, 30), (40, 40)]
