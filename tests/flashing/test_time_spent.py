"""Where the time went, on frames made by hand: every nanosecond has one cause."""

from __future__ import annotations

from bench.core.records import FrameRecord
from bench.flashing.time_spent import AddressInformation, DiagnosticAddresses, TimeSpent, time_spent
from bench.wire.can import CanFrame
from bench.wire.can_fd import frame_time_ns

RATES = (500_000, 500_000)
ADDRESSES = DiagnosticAddresses(
    request=AddressInformation(0x7A0),
    response=AddressInformation(0x7A8),
    functional=AddressInformation(0x7DF),
    erase_routine=0xFF00,
    check_routines=(0x0202,),
)
MS = 1_000_000


class Wire:
    """Frames one after the other, with pauses; `bus_ns` sums the durations of the pair's frames."""

    def __init__(self) -> None:
        self.t_ns = self.bus_ns = self.others_ns = 0
        self.frames: list[FrameRecord] = []

    def put(self, can_id: int, data: str, pause_ms: float = 0) -> None:
        raw = bytes.fromhex(data)
        duration_ns = frame_time_ns(CanFrame(can_id, raw), *RATES)
        self.t_ns += round(pause_ms * MS) + duration_ns
        if can_id in (0x7A0, 0x7A8):
            self.bus_ns += duration_ns
        else:
            self.others_ns += duration_ns
        self.frames.append(FrameRecord(self.t_ns, "can0", "x", can_id, 0, raw))

    def spent(self, rest_ms: float = 0) -> TimeSpent:
        end_ns = self.t_ns + round(rest_ms * MS)
        spent = time_spent(self.frames, ADDRESSES, RATES, 0, end_ns)
        assert spent.total_ns == end_ns
        return spent


def test_erase_with_0x78_is_the_ecus_and_what_stood_behind_0x78_is_told_apart() -> None:
    wire = Wire()
    wire.put(0x7A0, "043101ff00", pause_ms=3)
    wire.put(0x7A8, "037f3178", pause_ms=40)
    wire.put(0x7A8, "057101ff0000", pause_ms=60)
    spent = wire.spent(rest_ms=5)
    assert (spent.ecu_erase_ns, spent.pending_ns, spent.tester_ns) == (100 * MS, 60 * MS, 8 * MS)
    assert spent.bus_ns == wire.bus_ns


def test_st_min_counts_between_consecutive_frames_and_no_more_than_was_asked_for() -> None:
    wire = Wire()
    wire.put(0x7A0, "1014360102030405")
    wire.put(0x7A8, "300002", pause_ms=1)
    wire.put(0x7A0, "21060708090a0b0c")
    wire.put(0x7A0, "220d0e0f10111213", pause_ms=2.5)
    wire.put(0x7A8, "027601", pause_ms=7)
    spent = wire.spent()
    assert (spent.st_min_ns, spent.tester_ns, spent.ecu_other_ns) == (2 * MS, MS // 2, MS)
    assert spent.ecu_program_ns == 7 * MS


def test_frames_of_others_between_ours_are_other_traffic() -> None:
    wire = Wire()
    wire.put(0x7A0, "1014360102030405")
    wire.put(0x7A8, "300000")
    wire.put(0x7A0, "21060708090a0b0c")
    wire.put(0x123, "00")
    wire.put(0x7A0, "220d0e0f10111213")
    spent = wire.spent()
    assert (spent.other_traffic_ns, spent.tester_ns) == (wire.others_ns, 0)


def test_answer_that_others_kept_off_the_bus_is_not_the_ecus_work() -> None:
    wire = Wire()
    wire.put(0x7A0, "0431010202")
    wire.put(0x123, "00", pause_ms=2)
    wire.put(0x123, "01")
    wire.put(0x7A8, "05710102020000")
    spent = wire.spent()
    assert (spent.ecu_check_ns, spent.other_traffic_ns) == (2 * MS, wire.others_ns)


def test_tester_present_during_the_ecus_work_does_not_make_it_the_testers() -> None:
    wire = Wire()
    wire.put(0x7A0, "0431010202")
    wire.put(0x7DF, "023e80", pause_ms=2)
    wire.put(0x7A8, "05710102020000", pause_ms=2)
    spent = wire.spent()
    assert spent.tester_ns == 0
    assert spent.ecu_check_ns == 4 * MS + wire.others_ns


def test_functional_request_of_the_job_is_bus_and_the_pause_before_it_the_testers() -> None:
    wire = Wire()
    wire.put(0x7A0, "0322f191")
    wire.put(0x7A8, "0462f19141")
    wire.put(0x7DF, "021083", pause_ms=50)
    spent = wire.spent()
    assert spent.tester_ns == 50 * MS
    assert spent.bus_ns == wire.bus_ns + wire.others_ns
