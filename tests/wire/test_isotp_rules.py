"""ISO-TP: lines of the checklist that no other module names: BS 0, default limits, FF during reception, padding."""

from __future__ import annotations

import pytest

from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.wire.isotp import IsoTpEndpoint, IsoTpParams
from bench.wire.outcome import OutcomeCallback, sent_on_wire

FLOW_ON = bytes.fromhex("300000")


class End:
    """One endpoint with the standard's limits; frames it sends are confirmed at once, unless `stuck`."""

    def __init__(self, params: IsoTpParams | None = None, *, stuck: bool = False) -> None:
        self.loop = VirtualLoop()
        self.sent: list[bytes] = []
        self.events: list[int | bytes | str] = []
        self.outcomes: list[str | None] = []
        self.stuck = stuck
        self.endpoint = IsoTpEndpoint(self.loop, params or IsoTpParams(padding=None), self._transmit, self)

    def _transmit(self, data: bytes, sent: OutcomeCallback) -> None:
        self.sent.append(data)
        if not self.stuck:
            self.loop.call_at_ns(self.loop.now_ns(), lambda: sent(sent_on_wire(self.loop.now_ns())))

    def on_start(self, length: int) -> None:
        self.events.append(length)

    def on_message(self, payload: bytes) -> None:
        self.events.append(payload)

    def on_error(self, name: str) -> None:
        self.events.append(name)

    def hear(self, *frames: str) -> None:
        for data in frames:
            self.endpoint.on_frame(bytes.fromhex(data), self.loop.now_ns())

    def send(self, payload: bytes) -> None:
        self.endpoint.send(payload, self.outcomes.append)
        self.run(0)

    def run(self, run_ms: float) -> None:
        self.loop.run(self.loop.sleep_ns(round(run_ms * NS_PER_MS)))


def test_bs_0_asks_for_no_more_flow_control() -> None:
    end = End()
    end.send(bytes(1_000))
    end.hear("300000")
    end.run(1)
    assert end.outcomes == [None]
    assert len(end.sent) == 1 + -(-(1_000 - 6) // 7)


def test_bs_0_told_by_us_sends_one_flow_control_however_long_the_message_is() -> None:
    end = End()
    end.hear("10c8000000000000", *(f"2{(1 + n) % 16:x}00000000000000" for n in range(28)))
    assert end.events == [200, bytes(200)]
    assert end.sent == [FLOW_ON]


def test_n_as_is_1000_ms_by_default() -> None:
    end = End(stuck=True)
    end.send(b"\x3e\x00")
    end.run(999)
    assert end.outcomes == []
    end.run(1)
    assert end.outcomes == ["N_TIMEOUT_A"]


def test_n_ar_is_1000_ms_by_default() -> None:
    end = End(stuck=True)
    end.hear("1014000000000000")
    end.run(999)
    assert end.events == [20]
    end.run(1)
    assert end.events == [20, "N_TIMEOUT_A"]


def test_n_bs_is_1000_ms_by_default_and_anew_after_each_wait() -> None:
    end = End()
    end.send(bytes(20))
    end.run(999)
    end.hear("310000")
    end.run(999)
    assert end.outcomes == []
    end.run(1)
    assert end.outcomes == ["N_TIMEOUT_Bs"]


def test_n_cr_is_1000_ms_by_default_and_anew_after_each_frame() -> None:
    end = End()
    end.hear("1014000000000000")
    end.run(999)
    end.hear("2100000000000000")
    end.run(999)
    assert end.events == [20]
    end.run(1)
    assert end.events == [20, "N_TIMEOUT_Cr"]


def test_ff_during_reception_ends_the_running_one_and_starts_anew() -> None:
    end = End()
    end.hear("1014000000000000", "21aaaaaaaaaaaaaa", "100801020304050 6".replace(" ", ""), "210708")
    assert end.events == [20, "N_UNEXP_PDU", 8, bytes(range(1, 9))]
    assert end.sent == [FLOW_ON, FLOW_ON]


def test_ff_larger_than_the_buffer_during_reception_ends_the_running_one_too() -> None:
    end = End(IsoTpParams(padding=None, buffer_bytes=100))
    end.hear("1014000000000000", "1fff000000000000", "21aaaaaaaaaaaaaa")
    assert end.events == [20, "N_UNEXP_PDU"]
    assert end.sent == [FLOW_ON, bytes.fromhex("320000")]


@pytest.mark.parametrize("sf", ["023e00", "023e00cccccccccc", "023e000000"])
def test_sf_is_received_with_and_without_padding(sf: str) -> None:
    end = End()
    end.hear(sf)
    assert end.events == [2, b"\x3e\x00"]


@pytest.mark.parametrize("last", ["2107080 9", "21070809cccccccc", "2107080955"])
def test_last_cf_is_received_with_and_without_padding(last: str) -> None:
    end = End()
    end.hear("1009010203040506", last.replace(" ", ""))
    assert end.events == [9, bytes(range(1, 10))]


@pytest.mark.parametrize("flow", ["300000", "300000cccccccccc", "30000055"])
def test_fc_is_received_with_and_without_padding(flow: str) -> None:
    end = End()
    end.send(bytes(9))
    end.hear(flow)
    end.run(1)
    assert end.outcomes == [None]


@pytest.mark.parametrize("padding", [None, 0x00, 0x55, 0xCC, 0xFF])
def test_padding_byte_is_configurable_for_sf_fc_and_the_last_cf(padding: int | None) -> None:
    end = End(IsoTpParams(padding=padding))
    end.send(b"\x3e\x00")
    end.hear("1009010203040506")
    end.send(bytes(8))
    end.hear("300000")
    end.run(1)
    short = [bytes.fromhex(text) for text in ("023e00", "300000", "1008000000000000", "210000")]
    fill = b"" if padding is None else bytes((padding,)) * 8
    assert end.sent == [(data + fill)[: max(len(data), 8 if fill else 0)] for data in short]


def test_unexpected_cf_and_fc_are_ignored_while_the_other_direction_runs() -> None:
    end = End()
    end.send(bytes(20))
    end.hear("2100000000000000", "300000", "310000", "320000")
    end.run(1)
    assert (end.outcomes, end.events) == ([None], [])
