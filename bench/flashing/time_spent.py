"""Where the time of a flash job went, read from the frames: bus, STmin, ECU, other traffic, tester."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from bench.core.records import EXTENDED, FrameRecord
from bench.wire.can import CanFrame
from bench.wire.can_fd import frame_time_ns
from bench.wire.isotp import st_min_to_ns
from bench.wire.isotp_params import CONSECUTIVE, FIRST, FLOW, SINGLE

NEGATIVE, TESTER_PRESENT, ROUTINE, TRANSFER, EXIT = 0x7F, 0x3E, 0x31, 0x36, 0x37
PENDING = 0x78
SMALLEST_PAUSE_NS = 2_000
"""Frames closer than a bit follow each other without a pause."""


@dataclass(frozen=True, slots=True)
class AddressInformation:
    """N_AI of one direction (ISO 15765-2): identifier, its format (EXTENDED or 0), address extension in front."""

    can_id: int
    flags: int = 0
    prefix: bytes = b""

    def carries(self, frame: FrameRecord) -> bool:
        """Return whether a frame has it."""
        same = (frame.can_id, frame.flags & EXTENDED) == (self.can_id, self.flags)
        return same and frame.data.startswith(self.prefix) and len(frame.data) > len(self.prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticAddresses:
    """How an ECU is addressed, and which routines erase and check."""

    request: AddressInformation
    response: AddressInformation
    functional: AddressInformation
    erase_routine: int | None
    check_routines: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class TimeSpent:
    """Nanoseconds by cause. All but the last add up to the job's duration; that one says what stood behind 0x78."""

    bus_ns: int = 0
    st_min_ns: int = 0
    ecu_erase_ns: int = 0
    ecu_program_ns: int = 0
    ecu_check_ns: int = 0
    ecu_other_ns: int = 0
    other_traffic_ns: int = 0
    tester_ns: int = 0
    pending_ns: int = 0

    @property
    def total_ns(self) -> int:
        """Return the job's duration."""
        return sum(int(getattr(self, each.name)) for each in fields(self)) - self.pending_ns


@dataclass(slots=True)
class _Walk:
    """The state of one pass over the frames."""

    addresses: DiagnosticAddresses
    last_ns: int
    spent: TimeSpent = field(default_factory=TimeSpent)
    others_ns: int = 0
    occupied_from_ns: int = 0
    occupied_to_ns: int = 0
    """The last stretch without a pause in which others had the bus."""
    st_min_ns: int = 0
    after_consecutive: bool = False
    cause: str = "ecu_other_ns"
    awaits_answer: bool = False
    pending: bool = False

    def occupied(self, begin_ns: int, end_ns: int) -> None:
        """Note a frame of others."""
        self.others_ns += end_ns - begin_ns
        if begin_ns - self.occupied_to_ns > SMALLEST_PAUSE_NS:
            self.occupied_from_ns = begin_ns
        self.occupied_to_ns = end_ns

    def kept_waiting_ns(self, begin_ns: int) -> int:
        """Return how long others had the bus without a pause right before a frame: its sender lost arbitration."""
        if begin_ns - self.occupied_to_ns > SMALLEST_PAUSE_NS:
            return 0
        return max(0, self.occupied_to_ns - max(self.occupied_from_ns, self.last_ns))

    def gap(self, begin_ns: int) -> int:
        return max(0, begin_ns - self.last_ns)

    def add(self, name: str, duration_ns: int) -> None:
        setattr(self.spent, name, getattr(self.spent, name) + duration_ns)


def time_spent(
    frames: Iterable[FrameRecord],
    addresses: DiagnosticAddresses,
    rates_bit_s: tuple[int, int],
    start_ns: int,
    end_ns: int,
) -> TimeSpent:
    """Return where the time from `start_ns` to `end_ns` went; `frames` are those of the ECU's channel, in order."""
    walk = _Walk(addresses, start_ns)
    for frame in frames:
        if start_ns < frame.t_ns <= end_ns:
            _step(walk, frame, frame_time_ns(CanFrame(frame.can_id, frame.data, frame.flags), *rates_bit_s))
    walk.add("tester_ns", max(0, end_ns - walk.last_ns))
    return walk.spent


def _step(walk: _Walk, frame: FrameRecord, duration_ns: int) -> None:
    addresses, begin_ns = walk.addresses, frame.t_ns - duration_ns
    gap_ns = walk.gap(begin_ns)
    if addresses.request.carries(frame):
        _tester_frame(walk, frame.data[len(addresses.request.prefix) :], gap_ns)
    elif addresses.response.carries(frame):
        waited_ns = min(gap_ns, walk.kept_waiting_ns(begin_ns))
        walk.add("other_traffic_ns", waited_ns)
        _ecu_frame(walk, frame.data[len(addresses.response.prefix) :], gap_ns - waited_ns)
    elif not walk.awaits_answer and _is_functional_request(addresses.functional, frame):
        walk.add("tester_ns", gap_ns)
    else:
        walk.occupied(begin_ns, frame.t_ns)
        return
    walk.add("bus_ns", max(0, frame.t_ns - max(walk.last_ns, begin_ns)))
    walk.last_ns, walk.others_ns = frame.t_ns, 0


def _is_functional_request(address: AddressInformation, frame: FrameRecord) -> bool:
    """Return whether a frame is a functional request of the job; tester present goes on beside it by itself."""
    return address.carries(frame) and _head(frame.data[len(address.prefix) :])[:1] != bytes((TESTER_PRESENT,))


def _tester_frame(walk: _Walk, data: bytes, gap_ns: int) -> None:
    kind = data[0] >> 4
    if kind == CONSECUTIVE:
        paced_ns = min(gap_ns, walk.st_min_ns) if walk.after_consecutive else 0
        others_ns = min(gap_ns - paced_ns, walk.others_ns)
        walk.add("st_min_ns", paced_ns)
        walk.add("other_traffic_ns", others_ns)
        walk.add("tester_ns", gap_ns - paced_ns - others_ns)
    else:
        walk.add("tester_ns", gap_ns)
    walk.after_consecutive = kind == CONSECUTIVE
    if kind in (SINGLE, FIRST):
        walk.cause = _cause(walk.addresses, _head(data))
        walk.awaits_answer, walk.pending = True, False


def _ecu_frame(walk: _Walk, data: bytes, gap_ns: int) -> None:
    kind = data[0] >> 4
    walk.after_consecutive = False
    if kind == FLOW:
        walk.add("ecu_other_ns", gap_ns)
        walk.st_min_ns = st_min_to_ns(data[2]) if len(data) > 2 else 0
        return
    walk.add(walk.cause if walk.awaits_answer else "ecu_other_ns", gap_ns)
    if walk.pending:
        walk.add("pending_ns", gap_ns)
    answer = _head(data)
    walk.pending = answer[0:1] == bytes((NEGATIVE,)) and answer[2:3] == bytes((PENDING,))
    if not walk.pending:
        walk.awaits_answer = False


def _cause(addresses: DiagnosticAddresses, request: bytes) -> str:
    if request[:1] in (bytes((TRANSFER,)), bytes((EXIT,))):
        return "ecu_program_ns"
    if request[:1] == bytes((ROUTINE,)) and len(request) >= 4:
        routine = int.from_bytes(request[2:4], "big")
        if routine == addresses.erase_routine:
            return "ecu_erase_ns"
        if routine in addresses.check_routines:
            return "ecu_check_ns"
    return "ecu_other_ns"


def _head(data: bytes) -> bytes:
    """Return the payload's bytes that a single or first frame carries, escapes taken into account."""
    if data[0] >> 4 == SINGLE:
        return data[2:] if data[0] == 0 else data[1:]
    return data[6:] if data[:2] == bytes((FIRST << 4, 0)) else data[2:]
