"""One CAN adapter through python-can: a thread that reads, a thread that writes and paces, errors translated.

The only module that knows python-can. Both threads hand what happened to one callback (`Post`), which must be
safe to call from any thread; nothing else of otabench runs in them.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

import can

from bench.core.clock import NS_PER_MS, NS_PER_S, NS_PER_US, Clock
from bench.core.errors import EquipmentError, InputError
from bench.core.records import BRS, EXTENDED, FD, REMOTE
from bench.link.echoes import Echoes
from bench.link.receive_queue import ReceiveQueue
from bench.link.stamps import Stamps
from bench.ports.can import FRAMES_LOST, ChannelSpec
from bench.wire.can import CanFrame
from bench.wire.can_fd import frame_time_ns
from bench.wire.outcome import Exactness, Fate

CONFIGURED_ELSEWHERE = ("socketcan", "virtual", "udp_multicast")
"""Interfaces whose bit rate python-can does not set: `ip link` does, or there is none."""
ECHOES = ("socketcan",)
"""Interfaces that give our own frame back once it crossed the bus, so that `sent` means sent. Those of others do so
that are asked to, by the option `receive_own_messages`."""
WITHOUT_A_WIRE = ("virtual", "udp_multicast")
"""Interfaces on which a frame takes no time: once it is handed over the others have it."""
REPEATS = ("udp_multicast",)
"""Interfaces that let us hear our own frames, whether they reached anybody or not: such an echo is dropped."""
ECHO_LIMIT_NS = NS_PER_S
"""An echo that did not come within this time was lost, as datagrams are."""
POLL_S = 0.05
"""How long the reader waits before it looks whether it shall stop."""
SEND_LIMIT_S = 1.0
"""How long a full transmit queue is waited for; the standard's N_As is as long."""
RETRY_S = 0.001
SPIN_NS = 150 * NS_PER_US
"""The last stretch before a paced frame is spent looking at the clock: sleeping is not exact enough."""
FAILURES_MAX = 20
"""Failures in a row after which an adapter counts as gone; a single one is a damaged frame or a full queue."""
CAN_ERR_BUSOFF = 0x40
"""The class of an error frame of SocketCAN that says: the controller is off the bus."""
FULL_QUEUE = (errno.ENOBUFS, errno.EAGAIN)
LOOK_NS = 50 * NS_PER_MS
"""How often the reader looks what the receive queue dropped, and at the state of a controller whose driver keeps it."""
# python-can's driver complains once that its timestamps are relative; here they are only compared with each other.
logging.getLogger("can.pcan").addFilter(lambda record: not record.getMessage().startswith("uptime library"))


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame of another node."""

    frame: CanFrame
    t_ns: int


@dataclass(frozen=True, slots=True)
class Sent:
    """Our frame `token` was sent, as far as the interface can tell."""

    token: int
    t_ns: int
    exact: Exactness


@dataclass(frozen=True, slots=True)
class Failed:
    """Our frame `token` was not sent: its node lost power, the interface refused it, or it never came back."""

    token: int
    t_ns: int
    fate: Fate
    why: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something went wrong: an error frame, an unreadable or refused frame.

    `bus_off` when the controller left the bus, `fatal` when the adapter is gone.
    """

    kind: str
    text: str
    fatal: bool = False
    bus_off: bool = False


Event = Heard | Sent | Failed | Trouble
Post = Callable[[Event], None]


class Pacing:
    """How well the writer kept earliest instants: how many, and how late they were, in nanoseconds."""

    def __init__(self) -> None:
        self.frames = 0
        self.late_min_ns: int | None = None
        self.late_max_ns = self.late_total_ns = 0

    def add(self, late_ns: int) -> None:
        """Count a paced frame that began `late_ns` after its earliest instant."""
        self.frames += 1
        self.late_total_ns += late_ns
        self.late_max_ns = max(self.late_max_ns, late_ns)
        self.late_min_ns = late_ns if self.late_min_ns is None else min(self.late_min_ns, late_ns)

    def text(self) -> str:
        """Return the measurement in words."""
        if self.late_min_ns is None:
            return "writer thread: no paced frame"
        mean_us = self.late_total_ns / self.frames / NS_PER_US
        low_us, high_us = self.late_min_ns / NS_PER_US, self.late_max_ns / NS_PER_US
        return (
            f"writer thread: {self.frames} paced frames, late by {low_us:.0f} to {high_us:.0f} us, mean {mean_us:.0f}"
        )


class CanAdapter:
    """An open adapter with its two threads."""

    def __init__(self, spec: ChannelSpec, clock: Clock, post: Post) -> None:
        """Open it and start; EquipmentError when it cannot be opened, InputError when python-can does not know it."""
        self._spec, self._clock, self._post = spec, clock, post
        self._echoes, self._repeats = echoes(spec), repeats(spec)
        self._has_wire = spec.interface not in WITHOUT_A_WIRE
        self._bus = open_bus(spec)
        self._receive_queue = ReceiveQueue(self._bus)
        self._keeps_state = type(self._bus).state is not can.BusABC.state
        self._state = can.BusState.ACTIVE
        self._lost = 0
        self._looked_ns = 0
        self._stamps = Stamps(spec.interface)
        self._newest_ns = 0
        """The latest instant that was told: no later event is dated before it."""
        self._free_ns = 0
        """When the wire is free again, as computed where no echo tells."""
        self.pacing = Pacing()
        self._queue: list[tuple[int, int, CanFrame, Callable[[], bool]]] = []
        self._numbers = count(1)
        self._on_their_way = Echoes()
        self._changed = threading.Condition()
        self._in_order = threading.Lock()
        """Held from handing a frame over to dating and telling it, and while a frame that was heard is dated and told:
        an answer must stand behind its question, in order and in time. Dated before the lock was free, a consecutive
        frame once stood before the flow control that allowed it (ISO 15765-2, 9.6.5), in 3 of 39,031 frames."""
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=f"{spec.name} {name}", daemon=True)
            for name, work in (("reader", self._read), ("writer", self._write))
        ]
        for thread in self._threads:
            thread.start()

    def send(self, frame: CanFrame, not_before_ns: int, still_wanted: Callable[[], bool]) -> int:
        """Queue a frame and return its token; it is dropped when it is no longer wanted when its turn comes."""
        with self._changed:
            token = next(self._numbers)
            # By earliest instant, then by token: frames of one message keep their order, flow control overtakes frames
            # that have to wait for STmin.
            heapq.heappush(self._queue, (not_before_ns, token, frame, still_wanted))
            self._changed.notify()
        return token

    def cancel(self, tokens: set[int]) -> set[int]:
        """Drop frames that have not been handed to the interface yet; returns which ones."""
        with self._changed:
            dropped = {entry[1] for entry in self._queue} & tokens
            self._queue = [entry for entry in self._queue if entry[1] not in dropped]
            heapq.heapify(self._queue)
            self._on_their_way.given_up(tokens - dropped)
        return dropped

    def flush(self) -> tuple[list[int], list[int]]:
        """Drop what waits; returns that, and what the interface had taken and not sent: the controller dropped it."""
        with self._changed:
            waiting = [entry[1] for entry in self._queue]
            self._queue.clear()
            return waiting, self._on_their_way.flushed()

    @property
    def dropped(self) -> int:
        """How many frames were lost in front of the reader since the adapter was opened, as far as anybody counts."""
        return self._receive_queue.dropped()

    @property
    def sending(self) -> str:
        """How `sent` is known here, in words."""
        if self._echoes:
            return "sent: as the adapter gives frames back"
        computed = ", ends of frames computed from the bit rate" if self._has_wire else ""
        return f"sent: when the interface took a frame{computed}"

    def close(self) -> None:
        """End both threads and give the adapter back."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._look()
        self._receive_queue.close()
        self._bus.shutdown()

    # Reader -----------------------------------------------------------------------------------------

    def _read(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                message = self._bus.recv(POLL_S)
            except Exception as error:  # drivers of adapters raise what they like
                failures += 1
                self._trouble("unreadable", error, failures)
                if failures >= FAILURES_MAX:
                    return
                continue
            failures = 0
            if self._clock.now_ns() - self._looked_ns >= LOOK_NS:
                self._look()
            if message is None:
                continue
            if self._echoes:  # the interface keeps the order: our own frame comes back before what answers it
                self._heard(message, self._clock.now_ns())
            else:
                with self._in_order:
                    self._heard(message, self._clock.now_ns())

    def _look(self) -> None:
        """Tell what the receive queue dropped, and that the controller left the bus where only its state says so."""
        self._looked_ns = self._clock.now_ns()
        new = self._receive_queue.dropped() - self._lost
        if new > 0:
            self._lost += new
            self._post(Trouble(FRAMES_LOST, f"{new} dropped by the receive queue, which was read too slowly"))
        if self._keeps_state and not self._stop.is_set():
            before, self._state = self._state, self._bus.state
            if self._state is not before:
                off = self._state is can.BusState.ERROR
                self._post(Trouble("error_state", f"the adapter says {self._state.name}", bus_off=off))

    def _heard(self, message: can.Message, arrived_ns: int) -> None:
        if message.is_error_frame:
            # Only SocketCAN puts a class of errors in the place of the identifier; elsewhere the bits mean nothing.
            off = self._spec.interface == "socketcan" and bool(message.arbitration_id & CAN_ERR_BUSOFF)
            text = f"class 0x{message.arbitration_id:X} {bytes(message.data).hex()}"
            self._post(Trouble("error_frame", text, bus_off=off))
            return
        frame = from_message(message)
        t_ns = self._newest_ns = max(self._newest_ns, self._stamps.dated(message.timestamp, arrived_ns))
        if not (self._repeats or not message.is_rx) or not self._is_echo(frame, t_ns):
            self._post(Heard(frame, t_ns))

    def _is_echo(self, frame: CanFrame, t_ns: int) -> bool:
        """Return whether this is our own frame that came back, and tell what that says of it and of earlier ones."""
        if not self._on_their_way:  # without the lock: a frame is noted before it is sent, so its echo comes later
            return False
        with self._changed:
            if self._repeats:
                self._on_their_way.forget_before(t_ns - ECHO_LIMIT_NS)
            echo = self._on_their_way.came(frame, self._lost)
        if echo is None:
            return False
        if self._echoes:
            for token in echo.unseen:
                self._post(Sent(token, t_ns, Exactness.QUEUED))
            for token in echo.overtaken:
                self._post(Failed(token, t_ns, Fate.LOST, "a later frame came back first"))
            self._post(Sent(echo.token, t_ns, Exactness.ECHO))
        return True

    # Writer -----------------------------------------------------------------------------------------

    def _write(self) -> None:
        failures = 0
        while (entry := self._next()) is not None:
            not_before_ns, token, frame, still_wanted = entry
            # Asked at the last instant: a message that was given up while its frames waited must not leave a
            # consecutive frame without its first one.
            if not still_wanted():
                self._post(Failed(token, self._clock.now_ns(), Fate.CANCELLED, "its node lost power"))
                continue
            if not_before_ns:
                self.pacing.add(self._clock.now_ns() - not_before_ns)
            try:
                self._send(frame, token)
                failures = 0
            except Exception as error:  # drivers of adapters raise what they like
                failures += 1
                why = f"{type(error).__name__}: {error}"
                self._post(Failed(token, self._clock.now_ns(), Fate.REFUSED, why))
                self._trouble("send_failed", error, failures)

    def _next(self) -> tuple[int, int, CanFrame, Callable[[], bool]] | None:
        """Wait for the next frame that is due; None at the end. A frame that is not due lets others pass."""
        while True:
            with self._changed:
                if self._stop.is_set():
                    return None
                if not self._queue:
                    self._changed.wait()
                    continue
                # Without an echo the wire is taken as busy for as long as the frame before takes there: so no frame
                # waits in the adapter, where nobody can date it or take it back.
                left_ns = max(self._queue[0][0], self._free_ns) - self._clock.now_ns()
                if left_ns <= 0:
                    return heapq.heappop(self._queue)
                # The last stretch is spun: a condition wakes up to a millisecond late, which is more than a small
                # STmin.
                if left_ns > SPIN_NS:
                    self._changed.wait((left_ns - SPIN_NS) / NS_PER_S)

    def _send(self, frame: CanFrame, token: int) -> None:
        message = to_message(frame)
        if self._echoes or self._repeats:
            with self._changed:
                # Noted before it is sent: the echo may be back before `send` returns.
                self._on_their_way.handing_over(from_message(message), token, self._clock.now_ns(), self._lost)
        try:
            self._send_patiently(message, frame, token)
        except BaseException:
            with self._changed:
                self._on_their_way.refused(token)
            raise

    def _send_patiently(self, message: can.Message, frame: CanFrame, token: int) -> None:
        """Send; a full transmit queue is waited for, at most `SEND_LIMIT_S`. Without echoes, post that it is sent.

        Between two attempts the reader goes on: what comes while our frame still waits is no answer to it.
        """
        end_ns = self._clock.now_ns() + round(SEND_LIMIT_S * NS_PER_S)
        while True:
            try:
                if self._echoes:
                    self._bus.send(message, timeout=SEND_LIMIT_S)
                    with self._changed:
                        return self._on_their_way.taken(token)
                with self._in_order:
                    self._bus.send(message, timeout=SEND_LIMIT_S)
                    self._newest_ns = max(self._newest_ns, self._clock.now_ns()) + self._wire_ns(frame)
                    if self._has_wire:
                        self._free_ns = self._newest_ns
                    return self._post(Sent(token, self._newest_ns, Exactness.QUEUED))
            except can.CanOperationError as error:
                if error.error_code not in FULL_QUEUE or self._clock.now_ns() >= end_ns or self._stop.is_set():
                    raise
                self._stop.wait(RETRY_S)

    def _wire_ns(self, frame: CanFrame) -> int:
        """Return how long a frame takes on the wire behind this interface, if there is one."""
        if not self._has_wire:
            return 0
        rate_bit_s = self._spec.bitrate_bit_s
        return frame_time_ns(frame, rate_bit_s, self._spec.data_bitrate_bit_s or rate_bit_s)

    def _trouble(self, kind: str, error: Exception, failures: int) -> None:
        if not self._stop.is_set():
            self._post(Trouble(kind, f"{type(error).__name__}: {error}", fatal=failures == FAILURES_MAX))


def echoes(spec: ChannelSpec) -> bool:
    """Return whether an interface gives our frames back once they crossed the bus."""
    asked = bool(spec.options.get("receive_own_messages")) and spec.interface not in WITHOUT_A_WIRE
    return spec.interface in ECHOES or asked


def repeats(spec: ChannelSpec) -> bool:
    """Return whether we hear our own frames, which says nothing of them."""
    asked = bool(spec.options.get("receive_own_messages")) and spec.interface in WITHOUT_A_WIRE
    return spec.interface in REPEATS or asked


def open_bus(spec: ChannelSpec) -> can.BusABC:
    """Open an adapter; its own configuration files are not read, so that the bench file alone decides."""
    if spec.interface not in can.VALID_INTERFACES:
        raise InputError(
            "python-can knows no such interface",
            key="interface",
            found=spec.interface,
            allowed=", ".join(sorted(can.VALID_INTERFACES)),
        )
    options: dict[str, Any] = dict(spec.options)
    if spec.interface not in CONFIGURED_ELSEWHERE:
        options["bitrate"] = spec.bitrate_bit_s
        if spec.fd:
            options |= {"fd": True, "data_bitrate": spec.data_bitrate_bit_s}
    elif spec.interface != "virtual":
        options["fd"] = spec.fd
    if spec.interface in ECHOES:
        options["receive_own_messages"] = True
    where = f"CAN channel {spec.name} ({spec.interface} {spec.channel})"
    try:
        bus = can.Bus(channel=spec.channel, interface=spec.interface, ignore_config=True, **options)
    except TypeError as error:
        raise InputError(
            f"{where} does not take these options: {error}", key="options", found=", ".join(spec.options) or "none"
        ) from None
    except (can.CanError, OSError, ValueError, ImportError, AttributeError) as error:
        raise EquipmentError(
            f"{where} cannot be opened", key=spec.named_by, found=str(error) or type(error).__name__,
            allowed="an adapter that is there and up; without hardware, the interface udp_multicast",
            hint=f"{_remedy(spec)}; otabench doctor says what works here",
        ) from None  # fmt: skip
    return bus


def _remedy(spec: ChannelSpec) -> str:
    """Return what to do about an adapter that cannot be opened."""
    if spec.interface != "socketcan":
        return f"plug it in, install its maker's driver for {spec.interface}, check the channel's name"
    if spec.channel.startswith("vcan"):
        return f"sudo modprobe vcan, sudo ip link add dev {spec.channel} type vcan, sudo ip link set {spec.channel} up"
    return f"sudo ip link set {spec.channel} up type can bitrate {spec.bitrate_bit_s}"


def to_message(frame: CanFrame) -> can.Message:
    """Return a checked frame as python-can sends it."""
    return can.Message(
        arbitration_id=frame.can_id,
        is_extended_id=bool(frame.flags & EXTENDED),
        is_remote_frame=bool(frame.flags & REMOTE),
        is_fd=bool(frame.flags & FD),
        bitrate_switch=bool(frame.flags & BRS),
        dlc=len(frame.data),
        data=b"" if frame.flags & REMOTE else frame.data,
    )


def from_message(message: can.Message) -> CanFrame:
    """Return a received frame as a value."""
    flags = (
        (EXTENDED if message.is_extended_id else 0)
        | (FD if message.is_fd else 0)
        | (BRS if message.bitrate_switch else 0)
        | (REMOTE if message.is_remote_frame else 0)
    )
    data = bytes(message.dlc) if message.is_remote_frame else bytes(message.data)
    return CanFrame(message.arbitration_id, data, flags)


async def measure_pacing(clock: Clock, gap_ns: int, gaps: int) -> list[int]:
    """Send frames `gap_ns` apart through an adapter that leads nowhere; returns the gaps kept, in nanoseconds."""
    loop = asyncio.get_running_loop()
    sent: asyncio.Queue[int] = asyncio.Queue()

    def post(event: Event) -> None:
        if isinstance(event, Sent):
            loop.call_soon_threadsafe(sent.put_nowait, event.t_ns)

    spec = ChannelSpec(
        name="pacing", interface="virtual", channel="otabench pacing", bitrate_bit_s=500_000, data_bitrate_bit_s=None,
        options={},
    )  # fmt: skip
    adapter = CanAdapter(spec, clock, post)
    try:
        instants = []
        not_before_ns = 0
        for _ in range(gaps + 1):
            adapter.send(CanFrame(0x7FF, b""), not_before_ns, lambda: True)
            instants.append(await sent.get())
            not_before_ns = instants[-1] + gap_ns
        return [after - before for before, after in pairwise(instants)]
    finally:
        adapter.close()
