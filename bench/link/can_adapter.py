"""One CAN adapter through python-can: a thread that reads, a thread that writes and paces, errors translated.

The only module that knows python-can. Both threads hand what happened to one callback (`Post`), which must be
safe to call from any thread; nothing else of otabench runs in them.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

import can
from can.interfaces.socketcan import SocketcanBus

from bench.core.clock import NS_PER_S, NS_PER_US, Clock
from bench.core.errors import EquipmentError, InputError
from bench.core.records import BRS, EXTENDED, FD, REMOTE
from bench.ports.can import ChannelSpec
from bench.wire.can import CanFrame

CONFIGURED_ELSEWHERE = ("socketcan", "virtual", "udp_multicast")
"""Interfaces whose bit rate python-can does not set: `ip link` does, or there is none."""
ECHOES = ("socketcan",)
"""Interfaces that give our own frame back once it crossed the bus, so that `sent` means sent."""
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
SO_RCVBUFFORCE = 33
"""Linux's SO_RCVBUF beyond `net.core.rmem_max`, with CAP_NET_ADMIN; Python's socket module has no name for it."""
RECEIVE_QUEUE_BYTES = 8 * 1024 * 1024
"""What may wait in the kernel for the reader, some 10,000 frames. Linux's default holds some 270 classic ones: a block
of 4 KiB with STmin 0 is 585 consecutive frames, and what a slow reader let overflow looked like a silent ECU."""
# python-can's driver complains once that its timestamps are relative; nobody here uses them.
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


@dataclass(frozen=True, slots=True)
class Dropped:
    """Our frame `token` will not be sent: its node lost power, or the interface refused it."""

    token: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something went wrong: an error frame, an unreadable or refused frame.

    `bus_off` when the controller left the bus, `fatal` when the adapter is gone.
    """

    kind: str
    text: str
    fatal: bool = False
    bus_off: bool = False


Event = Heard | Sent | Dropped | Trouble
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
        self._echoes, self._repeats = spec.interface in ECHOES, spec.interface in REPEATS
        self._bus = open_bus(spec)
        self.pacing = Pacing()
        self._queue: list[tuple[int, int, CanFrame, Callable[[], bool]]] = []
        self._numbers = count(1)
        self._on_their_way: list[tuple[CanFrame, int, int]] = []
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
        return dropped

    def close(self) -> None:
        """End both threads and give the adapter back."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
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
            if message is None:
                continue
            if self._echoes:  # the interface keeps the order: our own frame comes back before what answers it
                self._heard(message, self._clock.now_ns())
            else:
                with self._in_order:
                    self._heard(message, self._clock.now_ns())

    def _heard(self, message: can.Message, t_ns: int) -> None:
        if message.is_error_frame:
            text = f"class 0x{message.arbitration_id:X} {bytes(message.data).hex()}"
            self._post(Trouble("error_frame", text, bus_off=bool(message.arbitration_id & CAN_ERR_BUSOFF)))
            return
        frame = from_message(message)
        token = self._whose_echo(frame, t_ns) if self._repeats or not message.is_rx else None
        if token is None:
            self._post(Heard(frame, t_ns))
        elif self._echoes:
            self._post(Sent(token, t_ns))

    def _whose_echo(self, frame: CanFrame, t_ns: int) -> int | None:
        """Return the token of our own frame that came back, or None: another node sent this one."""
        if not self._on_their_way:  # without the lock: a frame is noted before it is sent, so its echo comes later
            return None
        with self._changed:
            if self._repeats:
                self._on_their_way = [each for each in self._on_their_way if t_ns - each[2] < ECHO_LIMIT_NS]
            mine = next((each for each in self._on_their_way if each[0] == frame), None)
            if mine is not None:
                self._on_their_way.remove(mine)
        return None if mine is None else mine[1]

    # Writer -----------------------------------------------------------------------------------------

    def _write(self) -> None:
        failures = 0
        while (entry := self._next()) is not None:
            not_before_ns, token, frame, still_wanted = entry
            # Asked at the last instant: a message that was given up while its frames waited must not leave a
            # consecutive frame without its first one.
            if not still_wanted():
                self._post(Dropped(token))
                continue
            if not_before_ns:
                self.pacing.add(self._clock.now_ns() - not_before_ns)
            try:
                self._send(frame, token)
                failures = 0
            except Exception as error:  # drivers of adapters raise what they like
                failures += 1
                self._post(Dropped(token))
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
                left_ns = self._queue[0][0] - self._clock.now_ns()
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
                self._on_their_way.append((from_message(message), token, self._clock.now_ns()))
        try:
            self._send_patiently(message, None if self._echoes else token)
        except BaseException:
            with self._changed:
                self._on_their_way = [each for each in self._on_their_way if each[1] != token]
            raise

    def _send_patiently(self, message: can.Message, token: int | None) -> None:
        """Send; a full transmit queue is waited for, at most `SEND_LIMIT_S`. With a token, post that it is sent.

        Between two attempts the reader goes on: what comes while our frame still waits is no answer to it.
        """
        end_ns = self._clock.now_ns() + round(SEND_LIMIT_S * NS_PER_S)
        while True:
            try:
                if token is None:
                    return self._bus.send(message, timeout=SEND_LIMIT_S)
                with self._in_order:
                    self._bus.send(message, timeout=SEND_LIMIT_S)
                    return self._post(Sent(token, self._clock.now_ns()))
            except can.CanOperationError as error:
                if error.error_code not in FULL_QUEUE or self._clock.now_ns() >= end_ns or self._stop.is_set():
                    raise
                self._stop.wait(RETRY_S)

    def _trouble(self, kind: str, error: Exception, failures: int) -> None:
        if not self._stop.is_set():
            self._post(Trouble(kind, f"{type(error).__name__}: {error}", fatal=failures == FAILURES_MAX))


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
    if isinstance(bus, SocketcanBus):
        _widen_receive_queue(bus.socket)
    return bus


def _widen_receive_queue(opened: socket.socket) -> None:
    """Give the reader as much room in the kernel as this process may have."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_QUEUE_BYTES)
    except PermissionError:  # without the right the kernel takes `net.core.rmem_max` for it: twice the default
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_QUEUE_BYTES)


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
