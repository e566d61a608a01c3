"""ISO-TP: what both halves of a link share: parameters, error names, the listener, time-outs (ISO 15765-2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bench.core.clock import NS_PER_MS, NS_PER_US, Clock, Timer
from bench.wire.can import FD_LENGTHS
from bench.wire.frame_run import FrameRun
from bench.wire.outcome import OutcomeCallback

SINGLE, FIRST, CONSECUTIVE, FLOW = 0, 1, 2, 3
CONTINUE, WAIT, OVERFLOW = 0, 1, 2
FRAME_BYTES = 8
MAX_LENGTH = 4095
"""What 12 bits of FF_DL count; longer messages need the escape to 32 bits."""
LONGEST = 0xFFFF_FFFF
ST_MIN_LONGEST_NS = 127 * NS_PER_MS


class IsoTpError(StrEnum):
    """N_Result values other than N_OK."""

    TIMEOUT_A = "N_TIMEOUT_A"
    TIMEOUT_BS = "N_TIMEOUT_Bs"
    TIMEOUT_CR = "N_TIMEOUT_Cr"
    WRONG_SN = "N_WRONG_SN"
    INVALID_FS = "N_INVALID_FS"
    UNEXPECTED_PDU = "N_UNEXP_PDU"
    WAIT_OVERRUN = "N_WFT_OVRN"
    BUFFER_OVERFLOW = "N_BUFFER_OVFLW"
    ERROR = "N_ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoTpParams:
    """What one side of a link does; times in milliseconds, limits of the standard by default.

    `tx_dl` is the longest frame sent (over 8: CAN FD), `tx_dl_min` what shorter ones are padded to if padding is on.
    `max_length` bounds the messages of both directions;
    a message longer than `buffer_bytes` (default: `max_length`) is refused with FC.OVFLW. `n_br_ms` and `n_cs_ms`
    are this side's own slowness before a flow control and a consecutive frame. A receiver that is not ready sends
    FC.WAIT every `wait_interval_ms`; `wait_frames_max` is N_WFTmax, for those sent and those put up with.
    """

    block_size: int = 0
    st_min: int = 0
    padding: int | None = 0xCC
    n_as_ms: int = 1000
    n_ar_ms: int = 1000
    n_bs_ms: int = 1000
    n_br_ms: int = 0
    n_cs_ms: int = 0
    n_cr_ms: int = 1000
    max_length: int = MAX_LENGTH
    buffer_bytes: int | None = None
    wait_frames_max: int = 10
    wait_interval_ms: int = 500
    tx_dl: int = FRAME_BYTES
    tx_dl_min: int = FRAME_BYTES

    def __post_init__(self) -> None:
        if self.tx_dl < FRAME_BYTES or self.tx_dl not in FD_LENGTHS:
            raise ValueError(f"tx_dl {self.tx_dl} is no frame length from 8 to 64")
        if self.tx_dl_min not in FD_LENGTHS or not FRAME_BYTES <= self.tx_dl_min <= self.tx_dl:
            raise ValueError(f"tx_dl_min {self.tx_dl_min} is no frame length from 8 to tx_dl {self.tx_dl}")
        if not 0 < self.max_length <= LONGEST:
            raise ValueError(f"max_length {self.max_length} is not within 1 to {LONGEST}")
        for name in ("block_size", "st_min", "padding"):
            if not 0 <= (getattr(self, name) or 0) <= 0xFF:
                raise ValueError(f"{name} {getattr(self, name)} does not fit a byte")


class IsoTpListener(Protocol):
    """Who wants to know what a link received."""

    def on_start(self, length: int) -> None:
        """A message of `length` bytes began (single or first frame seen)."""

    def on_message(self, payload: bytes) -> None:
        """A message is complete."""

    def on_error(self, name: str) -> None:
        """A reception broke off; `name` is the standard's."""


Transmit = Callable[[bytes, OutcomeCallback], None]
"""Carries the data of a frame out; calls back with how it ended."""


TransmitRun = Callable[[bytes, OutcomeCallback, FrameRun], None]
"""As `Transmit`, for a consecutive frame; the run offers those that would follow."""
Done = Callable[[str | None], None]
Pace = Callable[[int], None]
"""Told, just before a frame is transmitted, the earliest instant at which it may begin: the port keeps the gap."""


def st_min_to_ns(st_min: int) -> int:
    """Return the smallest gap between consecutive frames, in nanoseconds.

    0x00-0x7F count milliseconds, 0xF1-0xF9 count 100 microseconds; reserved values mean the longest gap,
    127 ms (ISO 15765-2, SeparationTime parameter).
    """
    if st_min <= 0x7F:
        return st_min * NS_PER_MS
    if 0xF1 <= st_min <= 0xF9:
        return (st_min - 0xF0) * 100 * NS_PER_US
    return ST_MIN_LONGEST_NS


class Deadline:
    """One time-out that moves often and fires rarely: moving it costs an assignment, not a timer."""

    __slots__ = ("_armed_ns", "_clock", "_due_ns", "_expired", "_timer")

    def __init__(self, clock: Clock, expired: Callable[[], None]) -> None:
        self._clock, self._expired = clock, expired
        self._due_ns: int | None = None
        self._armed_ns = 0
        self._timer: Timer | None = None

    def set(self, due_ns: int) -> None:
        """Expire at `due_ns` unless moved or cleared before."""
        self._due_ns = due_ns
        if self._timer is None:
            self._arm(due_ns)
        elif due_ns < self._armed_ns:
            self._timer.cancel()
            self._arm(due_ns)

    def clear(self) -> None:
        """Do not expire."""
        self._due_ns = None

    def drop(self) -> None:
        """Do not expire, and leave no timer behind: for one that is seldom set, a late no-op costs more."""
        self._due_ns = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def pending(self) -> bool:
        """Whether it will expire as things stand."""
        return self._due_ns is not None

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return how long it is until it expires; nothing when it does not."""
        return () if self._due_ns is None else (self._due_ns - now_ns,)

    def _arm(self, due_ns: int) -> None:
        self._armed_ns = due_ns
        self._timer = self._clock.call_at_ns(due_ns, self._fire)

    def _fire(self) -> None:
        self._timer = None
        due_ns = self._due_ns
        if due_ns is None:
            return
        if due_ns > self._armed_ns:
            self._arm(due_ns)
            return
        self._due_ns = None
        self._expired()
