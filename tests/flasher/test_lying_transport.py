"""An ECU whose ISO-TP lies: flow control that waits for ever, is wrong, late or missing; answers in odd frames.

The fake ECU speaks CAN frames here; what its transport says passes through a function that may change it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.node import Incarnation, Node
from bench.flasher.errors import FlasherError, FlashFailed, TransportError
from bench.flasher.sequence import flash_ecu
from bench.link.isotp_link import IsoTpFunctionalLink, IsoTpLink
from bench.link.sim_bus import SimCanBus
from bench.ports.can import CanPort
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpParams
from bench.wire.outcome import OutcomeCallback, sent_on_wire

if TYPE_CHECKING:
    from bench.flasher.values import FlashReport
    from tests.flasher.conftest import Bench

FUNCTIONAL_ID, REQUEST_ID, RESPONSE_ID = 0x7DF, 0x7A0, 0x7A8
Says = Callable[[bytes], list[tuple[int, bytes]]]
"""What goes out instead of a frame: (delay in milliseconds, data)."""


def honest(data: bytes) -> list[tuple[int, bytes]]:
    return [(0, data)]


class OnCan:
    """The fake ECU on a CAN bus, heard through `says`."""

    def __init__(self, bench: Bench, says: Says, params: IsoTpParams) -> None:
        self.bench, self.says, self.params = bench, says, params
        self.bus = SimCanBus(bench.world, "can0", 500_000)
        Node(bench.world, "ecu", self._boot).power_on()

    def _boot(self, life: Incarnation) -> None:
        self.port = self.bus.attach(life)
        self.port.subscribe(self._heard)
        self.endpoint = IsoTpEndpoint(life, self.params, self._transmit, self)

    def _heard(self, frame: CanFrame, t_ns: int) -> None:
        if not self.bench.ecu.up:
            return
        if frame.can_id == REQUEST_ID:
            self.endpoint.on_frame(frame.data, t_ns)
        elif frame.can_id == FUNCTIONAL_ID:
            self.bench.ecu.hear_functional(frame.data[1 : 1 + frame.data[0]])

    def _transmit(self, data: bytes, sent: OutcomeCallback) -> None:
        frames = self.says(data)
        for delay_ms, each in frames:
            at_ns = self.bench.loop.now_ns() + delay_ms * NS_PER_MS
            self.bench.loop.call_at_ns(at_ns, self._put, each, sent if each == data else None)
        if data not in [each for _, each in frames]:
            self.bench.loop.call_at_ns(self.bench.loop.now_ns(), sent, sent_on_wire(self.bench.loop.now_ns()))

    def _put(self, data: bytes, sent: OutcomeCallback | None) -> None:
        self.port.send(CanFrame(RESPONSE_ID, data), sent)

    def on_start(self, length: int) -> None:
        del length

    def on_error(self, name: str) -> None:
        del name

    def on_message(self, payload: bytes) -> None:
        ecu = self.bench.ecu
        ecu.hear(payload)
        for start_ns, _, answer in ecu.sent:
            self.bench.loop.call_at_ns(start_ns, self._answer, ecu.boots, answer)
        ecu.sent = []

    def _answer(self, life: int, payload: bytes) -> None:
        if self.bench.ecu.boots == life and not self.endpoint.sending:
            self.endpoint.send(payload, lambda _error: None)


def flash(bench: Bench, says: Says, params: IsoTpParams | None = None) -> FlashReport | FlasherError:
    """Flash over the bus; the tester is a node of its own."""
    bench.limits(retries={"job": 2})
    can = OnCan(bench, says, params or IsoTpParams(n_ar_ms=5_000, n_cr_ms=5_000))
    ends: list[FlashReport | FlasherError] = []
    done = bench.loop.create_future()

    def boot(life: Incarnation) -> None:
        life.spawn(work(life, can.bus.attach(life)), "flasher")

    async def work(life: Incarnation, port: CanPort) -> None:
        try:
            ends.append(await flashing(bench, life, port))
        except FlasherError as failure:
            ends.append(failure)
        done.set_result(None)

    async def story() -> None:
        Node(bench.world, "tester", boot).power_on()
        await done

    bench.loop.run(story())
    assert bench.world.crash is None
    assert (bench.ecu.communication, bench.ecu.dtc_setting) == (True, True)
    assert bench.loop.now_ns() < 3_600 * NS_PER_S
    if isinstance(ends[0], FlashFailed):
        believed = ends[0].believed
        assert believed.startswith("silent") or believed.endswith("1.0.0") == bench.ecu.in_application
    else:
        bench.assert_runs("1.1.0")
        assert bench.ecu.banks[0].image() == bench.new.data
    return ends[0]


async def flashing(bench: Bench, life: Incarnation, port: CanPort) -> FlashReport:
    link = IsoTpLink(life, port, IsoTpAddress.normal(REQUEST_ID, RESPONSE_ID), IsoTpParams())
    functional = IsoTpFunctionalLink(port, IsoTpAddress.normal(FUNCTIONAL_ID, RESPONSE_ID), IsoTpParams())
    return await flash_ecu(bench.job(), link, functional, bench.recipe, life, bench.world.points)


def flow(*frames: tuple[int, str]) -> Says:
    """Say these instead of every flow control."""

    def says(data: bytes) -> list[tuple[int, bytes]]:
        return [(ms, bytes.fromhex(each)) for ms, each in frames] if data[0] >> 4 == 3 else [(0, data)]

    return says


def named(end: FlashReport | FlasherError) -> str:
    assert isinstance(end, FlashFailed), end
    assert isinstance(end.cause, TransportError)
    return end.cause.name


def test_honest_transport_on_the_bus_is_flashed(bench: Bench) -> None:
    assert not isinstance(flash(bench, honest), FlasherError)


def test_fc_wait_without_end_ends_in_n_wft_ovrn(bench: Bench) -> None:
    end = flash(bench, flow(*((500 * n, "310000cccccccccc") for n in range(200))))
    assert named(end) == "N_WFT_OVRN"


def test_fc_wait_and_then_continue_is_waited_for(bench: Bench) -> None:
    end = flash(bench, flow((0, "310000"), (800, "310000"), (1_600, "300000cccccccccc")))
    assert not isinstance(end, FlasherError)


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ("330000", "N_INVALID_FS"),
        ("3f0000", "N_INVALID_FS"),
        ("320000", "N_BUFFER_OVFLW"),
        ("3000", "N_TIMEOUT_Bs"),
        ("30", "N_TIMEOUT_Bs"),
        ("40000000", "N_TIMEOUT_Bs"),
    ],
)
def test_fc_that_is_wrong_ends_in_its_named_error(bench: Bench, frame: str, name: str) -> None:
    assert named(flash(bench, flow((0, frame)))) == name


def test_fc_that_never_comes_ends_in_n_timeout_bs(bench: Bench) -> None:
    assert named(flash(bench, flow())) == "N_TIMEOUT_Bs"


def test_fc_that_comes_after_n_bs_ends_in_n_timeout_bs(bench: Bench) -> None:
    assert named(flash(bench, flow((1_100, "300000cccccccccc")))) == "N_TIMEOUT_Bs"


def test_fc_given_twice_is_taken_once(bench: Bench) -> None:
    assert not isinstance(flash(bench, flow((0, "300000cccccccccc"), (1, "300000cccccccccc"))), FlasherError)


@pytest.mark.parametrize(("block_size", "st_min"), [(1, 0), (0, 1), (3, 0xF1), (255, 0)])
def test_fc_with_any_block_size_and_st_min_is_obeyed(bench: Bench, block_size: int, st_min: int) -> None:
    params = IsoTpParams(block_size=block_size, st_min=st_min)
    assert not isinstance(flash(bench, honest, params), FlasherError)


def test_fc_with_a_reserved_st_min_is_obeyed_as_127_ms(bench: Bench) -> None:
    bench.new = bench.image("1.1.0", length=256)
    end = flash(bench, flow((0, "300080")))
    assert not isinstance(end, FlasherError)
    assert end.phase_ns["transfer"] > 35 * 127 * NS_PER_MS


def answers(change: Callable[[bytes], list[bytes]], kinds: str) -> Says:
    """Change the frames of answers whose PCI is one of `kinds`."""

    def says(data: bytes) -> list[tuple[int, bytes]]:
        changed = change(data) if str(data[0] >> 4) in kinds else [data]
        return [(0, each) for each in changed]

    return says


@pytest.mark.parametrize(
    ("change", "kinds", "name"),
    [
        (lambda data: [bytes((data[0] ^ 0x08,)) + data[1:]], "2", "N_WRONG_SN"),
        (lambda _: [], "2", "N_TIMEOUT_Cr"),
        (lambda data: [b"\x15\x00" + data[2:]], "1", "N_TIMEOUT_Cr"),
        (lambda data: [b"\x10\x00\x00\x01\x00\x00" + data[6:]], "1", "P2"),
        (lambda data: [b"\x10\x07" + data[2:]], "1", "P2"),
        (lambda data: [data, data], "1", "N_UNEXP_PDU"),
        (lambda data: [data[:4]], "1", "P2"),
        (lambda data: [b"\x00" + data[1:]], "0", "P2"),
        (lambda data: [b"\x0f" + data[1:]], "0", "P2"),
        (lambda data: [data[: data[0]]], "0", "P2"),
        (lambda _: [b""], "0", "P2"),
    ],
    ids=[
        "cf_wrong_sn", "cf_missing", "ff_dl_too_large", "ff_over_the_buffer", "ff_dl_too_small", "ff_twice",
        "ff_short", "sf_dl_0", "sf_dl_too_large", "sf_cut_off", "no_data",
    ],
)  # fmt: skip
def test_answer_in_odd_frames_ends_in_its_named_error(
    bench: Bench, change: Callable[[bytes], list[bytes]], kinds: str, name: str
) -> None:
    end = flash(bench, answers(change, kinds))
    assert isinstance(end, FlashFailed)
    assert isinstance(end.cause, TransportError)
    assert end.cause.name == name


def test_job_cancelled_in_the_middle_of_a_long_block_switches_on_again_and_resets_the_ecu(bench: Bench) -> None:
    can = OnCan(bench, honest, IsoTpParams(st_min=5))
    jobs: list[asyncio.Task[None]] = []

    def boot(life: Incarnation) -> None:
        async def work() -> None:
            await flashing(bench, life, can.bus.attach(life))

        jobs.append(life.spawn(work(), "flasher"))

    async def story() -> None:
        Node(bench.world, "tester", boot).power_on()
        while not can.endpoint.receiving or bench.ecu.download is None:
            await bench.loop.sleep_ns(NS_PER_MS)
        jobs[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await jobs[0]
        await bench.loop.sleep_ns(NS_PER_S)

    bench.loop.run(story())
    assert bench.world.crash is None
    assert (bench.ecu.communication, bench.ecu.dtc_setting, bench.ecu.boots) == (True, True, 4)
    assert b"\x11\x01" in bench.ecu.received
