"""Injectors by name: each ends the other side's message in exactly the N_Result that stands beside it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpParams
from bench.wire.isotp_misbehave import IGNORED, INJECTORS, N_OK, Misbehaver, chosen
from bench.wire.isotp_params import CONSECUTIVE, FLOW, SINGLE
from bench.wire.outcome import OutcomeCallback, sent_on_wire

FRAME_NS = 230_000
Sent = OutcomeCallback


class Side:
    """One end: an endpoint, what it heard, and what its messages came to."""

    def __init__(self, loop: VirtualLoop, params: IsoTpParams, address: IsoTpAddress, *misbehave: str) -> None:
        self.loop = loop
        self.frames: list[tuple[int, bytes]] = []
        self.struck: list[str] = []
        self.messages: list[bytes] = []
        self.errors: list[str] = []
        self.outcomes: list[str | None] = []
        self.other: Side | None = None
        self._free_ns = 0
        self.misbehaver = Misbehaver(
            loop, [chosen(text) for text in misbehave], self._put, len(address.prefix), self.struck.append
        )
        self.endpoint = IsoTpEndpoint(loop, params, self.misbehaver.transmit, self, address=address)

    def _put(self, data: bytes, sent: Sent) -> None:
        self._free_ns = max(self._free_ns, self.loop.now_ns()) + FRAME_NS
        self.loop.call_at_ns(self._free_ns, self._arrive, data, sent, self._free_ns)

    def _arrive(self, data: bytes, sent: Sent, t_ns: int) -> None:
        self.frames.append((t_ns, data))
        assert self.other is not None
        self.other.misbehaver.heard(data)
        self.other.endpoint.on_frame(data, t_ns)
        sent(sent_on_wire(t_ns))

    def on_start(self, length: int) -> None:
        del length

    def on_message(self, payload: bytes) -> None:
        self.messages.append(payload)

    def on_error(self, name: str) -> None:
        self.errors.append(name)


class Ends:
    """An honest side and one that misbehaves."""

    def __init__(self, *misbehave: str, mixed: int = 0, tx_dl: int = 8, block_size: int = 0) -> None:
        self.loop = VirtualLoop()
        address = IsoTpAddress.mixed(1, 2, 0x55) if mixed else IsoTpAddress.normal(1, 2)
        self.honest = Side(self.loop, IsoTpParams(tx_dl=tx_dl), address)
        wild = IsoTpParams(n_cr_ms=20_000, n_ar_ms=20_000, tx_dl=tx_dl, block_size=block_size)
        self.wild = Side(self.loop, wild, address, *misbehave)
        self.honest.other, self.wild.other = self.wild, self.honest

    def send(self, side: Side, payload: bytes, run_ms: int = 60_000) -> None:
        side.endpoint.send(payload, side.outcomes.append)
        self.loop.run(self.loop.sleep_ns(run_ms * NS_PER_MS))


def content(length: int) -> bytes:
    return bytes(i * 7 + 1 & 0xFF for i in range(length))


FLOWS = [name for name, injector in INJECTORS.items() if FLOW in injector.kinds]
TALKS = [name for name in INJECTORS if name not in FLOWS]


@pytest.mark.parametrize("options", [{}, {"mixed": 1}, {"tx_dl": 64}], ids=["classic", "mixed", "fd"])
@pytest.mark.parametrize("name", FLOWS)
def test_sender_that_meets_an_injector_of_flow_control_ends_in_its_named_result(
    name: str, options: dict[str, int]
) -> None:
    ends, payload = Ends(name, **options), content(300)
    ends.send(ends.honest, payload)
    expected = INJECTORS[name].ends
    assert ends.honest.outcomes == [None if expected == N_OK else expected]
    assert ends.wild.messages == ([payload] if expected == N_OK else [])
    assert ends.wild.struck == [name]
    ends.send(ends.honest, b"\x3e\x00")
    assert ends.honest.outcomes[1:] == [None]


@pytest.mark.parametrize("options", [{}, {"mixed": 1}, {"tx_dl": 64}], ids=["classic", "mixed", "fd"])
@pytest.mark.parametrize("name", TALKS)
def test_receiver_that_meets_an_injector_of_messages_ends_in_its_named_result(
    name: str, options: dict[str, int]
) -> None:
    ends = Ends(name, **options)
    payload = content(5 if INJECTORS[name].kinds == (SINGLE,) else 300)
    ends.send(ends.wild, payload)
    expected = INJECTORS[name].ends
    assert ends.honest.errors == ([] if expected == IGNORED else [expected])
    assert ends.honest.messages == ([payload] if name == "unexpected_first_frame" else [])
    assert ends.wild.struck == [name]


def test_truncated_single_frame_is_ignored() -> None:
    ends = Ends("truncated_frame")
    ends.send(ends.wild, content(5))
    assert (ends.honest.errors, ends.honest.messages, ends.wild.frames[0][1]) == ([], [], b"\x05\x01")


@pytest.mark.parametrize(("name", "error"), [("skipped_frame", ["N_TIMEOUT_Cr"]), ("repeated_frame", [])])
def test_only_consecutive_frame_left_out_or_repeated_ends_as_the_title_says(name: str, error: list[str]) -> None:
    ends = Ends(name)
    ends.send(ends.wild, content(12))
    assert ends.honest.errors == error


@pytest.mark.parametrize("name", INJECTORS)
def test_injector_at_the_second_message_leaves_the_others_alone(name: str) -> None:
    ends, injector = Ends(f"{name}@2"), INJECTORS[name]
    payloads = [content(5 if injector.kinds == (SINGLE,) else 200 + n) for n in range(3)]
    sender, receiver = (ends.honest, ends.wild) if name in FLOWS else (ends.wild, ends.honest)
    for payload in payloads:
        ends.send(sender, payload)
    whole = injector.ends == N_OK or name == "unexpected_first_frame"
    assert receiver.messages == (payloads if whole else [payloads[0], payloads[2]])
    assert ends.wild.struck == [name]


def test_messages_are_counted_not_the_flow_controls_of_their_blocks() -> None:
    ends, payloads = Ends("overflow@2", block_size=3), [content(200), content(210)]
    for payload in payloads:
        ends.send(ends.honest, payload)
    assert (ends.wild.messages, ends.honest.outcomes) == ([payloads[0]], [None, "N_BUFFER_OVFLW"])


@pytest.mark.parametrize("own", [0, 1, 3])
def test_block_size_1_asks_for_every_frame_once_whatever_the_sides_own_block_size(own: int) -> None:
    ends, payload = Ends("block_size_1", block_size=own), content(300)
    ends.send(ends.honest, payload)
    assert ends.wild.messages == [payload]
    assert [data[1] for _, data in ends.wild.frames] == [1] * len(ends.honest.frames[1:])


def test_st_min_127_ms_paces_every_gap() -> None:
    ends = Ends("st_min_127_ms")
    ends.send(ends.honest, content(60))
    times = [t_ns for t_ns, data in ends.honest.frames if data[0] >> 4 == CONSECUTIVE]
    assert {b - a for a, b in pairwise(times)} == {127 * NS_PER_MS + FRAME_NS}


def test_wait_for_ever_ends_with_the_next_message_of_the_other_side() -> None:
    ends = Ends("wait_for_ever@1")
    ends.send(ends.honest, content(50))
    assert len(ends.wild.frames) > 100
    ends.send(ends.honest, content(60))
    waits = len(ends.wild.frames)
    ends.send(ends.honest, content(70))
    assert (ends.honest.outcomes, len(ends.wild.frames)) == (["N_WFT_OVRN", None, None], waits + 1)


def test_late_consecutive_frames_come_in_order_after_all() -> None:
    ends, payload = Ends("late_consecutive"), content(4_095)
    ends.send(ends.wild, payload)
    sequence = [data[0] & 0xF for _, data in ends.wild.frames if data[0] >> 4 == CONSECUTIVE]
    assert sequence == [n & 0xF for n in range(1, 586)]
    assert ends.wild.outcomes == [None]


def test_wrong_length_of_the_longest_message_in_12_bits_is_shorter_and_with_32_bits_longer() -> None:
    ends = Ends("wrong_length")
    ends.send(ends.wild, content(4_095))
    assert ends.honest.messages == [content(4_095)[:4_031]]
    long = Ends("wrong_length").wild.misbehaver
    assert long.longer(bytes.fromhex("1000 00001000 0102")) == bytes.fromhex("1000 00001040 0102")


def test_first_of_two_injectors_at_one_frame_acts() -> None:
    ends = Ends("overflow@2", "no_flow_control")
    for _ in range(2):
        ends.send(ends.honest, content(50))
    assert ends.honest.outcomes == ["N_TIMEOUT_Bs", "N_BUFFER_OVFLW"]


@pytest.mark.parametrize("text", ["", "warp", "overflow@", "overflow@0", "overflow@-1", "overflow@1@2", "overflow@²"])
def test_name_or_number_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"one of no_flow_control|N from 1"):
        chosen(text)
