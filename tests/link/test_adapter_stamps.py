"""Stamps of one adapter: a frame that answers ours is never dated before it, however late our own send returns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise

import can
import pytest

from bench.core.clock import Timer
from bench.link import can_adapter
from bench.link.can_adapter import CanAdapter, Event, Heard, Sent
from bench.ports.can import ChannelSpec
from bench.wire.can import CanFrame

LIMIT_S = 20
SHORTLY_S = 0.05
ROUNDS = 3
SPEC = ChannelSpec(
    name="can0", interface="virtual", channel="stamps", bitrate_bit_s=500_000, data_bitrate_bit_s=None, options={}
)
FLOW_CONTROL, CONSECUTIVE = CanFrame(0x7A8, b"\x30\x00\x00"), CanFrame(0x7A0, b"\x21data")
OTHER = CanFrame(0x100, b"cyclic")


class CountingClock:
    """A clock that goes on by one at each look; it says when the reader thread has looked."""

    virtual = False
    epoch_ns = 0

    def __init__(self) -> None:
        self._now_ns, self._lock = 0, threading.Lock()
        self.reader_looked = threading.Semaphore(0)

    def now_ns(self) -> int:
        with self._lock:
            self._now_ns += 1
            now_ns = self._now_ns
        if threading.current_thread().name.endswith("reader"):
            self.reader_looked.release()
        return now_ns

    def call_at_ns(self, when_ns: int, callback: Callable[..., object], *args: object) -> Timer:
        raise AssertionError("the adapter's threads set no timers")

    def advance_inline(self, when_ns: int) -> bool:
        raise AssertionError("real time cannot be moved")

    def quiet_until_ns(self) -> int:
        return self.now_ns()

    async def sleep_ns(self, duration_ns: int) -> None:
        raise AssertionError("the adapter's threads do not sleep on the loop")


class QuickPartner(can.BusABC):
    """A bus whose other node answers before our `send` has returned, as it looks on a machine under load."""

    def __init__(self, clock: CountingClock, *, full: bool = False) -> None:
        super().__init__(channel="quick partner")
        self._clock, self._full = clock, full
        self._answers: list[can.Message] = []
        self._came = threading.Condition()

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Let the partner answer and give the reader the time to take the answer, and to date it, before we return."""
        if self._full:
            self._full = not self._clock.reader_looked.acquire(blocking=False)
            raise can.CanOperationError("full", error_code=can_adapter.FULL_QUEUE[0])
        self.hear(CONSECUTIVE)
        self._clock.reader_looked.acquire(timeout=SHORTLY_S)

    def hear(self, frame: CanFrame) -> None:
        """Have the other node send a frame."""
        with self._came:
            self._answers.append(
                can.Message(arbitration_id=frame.can_id, data=frame.data, is_extended_id=False, is_rx=True)
            )
            self._came.notify()

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        with self._came:
            self._came.wait_for(lambda: bool(self._answers), timeout)
            return (self._answers.pop(0) if self._answers else None), False


class Seen:
    """What the adapter tells, in its order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._came = threading.Condition()

    def post(self, event: Event) -> None:
        with self._came:
            self.events.append(event)
            self._came.notify()

    def until(self, number: int) -> list[Event]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.events) >= number, LIMIT_S), self.events
            return list(self.events)


Opened = Callable[..., tuple[CanAdapter, Seen]]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Open an adapter on a `QuickPartner`; closed at the end."""
    adapters: list[CanAdapter] = []

    def make(*, full: bool = False) -> tuple[CanAdapter, Seen]:
        clock, seen = CountingClock(), Seen()
        bus = QuickPartner(clock, full=full)
        if full:
            bus.hear(OTHER)
        monkeypatch.setattr(can_adapter, "open_bus", lambda _spec: bus)
        adapters.append(CanAdapter(SPEC, clock, seen.post))
        return adapters[-1], seen

    yield make
    for adapter in adapters:
        adapter.close()


def instants(events: list[Event]) -> list[int]:
    return [event.t_ns for event in events if isinstance(event, Heard | Sent)]


def test_consecutive_frame_that_our_flow_control_allowed_is_not_dated_before_it(opened: Opened) -> None:
    adapter, seen = opened()
    for round_ in range(1, ROUNDS + 1):
        adapter.send(FLOW_CONTROL, 0, lambda: True)
        seen.until(2 * round_)
    kinds = [type(event) for event in seen.events]
    assert kinds == [Sent, Heard] * ROUNDS
    assert all(before <= after for before, after in pairwise(instants(seen.events))), instants(seen.events)


def test_frame_heard_while_the_transmit_queue_is_full_is_told_at_once_and_in_order(opened: Opened) -> None:
    """The queue of this partner stays full until the reader has dated what came meanwhile."""
    adapter, seen = opened(full=True)
    adapter.send(FLOW_CONTROL, 0, lambda: True)
    events = seen.until(3)
    assert [type(event) for event in events] == [Heard, Sent, Heard]
    assert all(before <= after for before, after in pairwise(instants(events))), instants(events)
