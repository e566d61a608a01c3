"""Runs of frames carried at once: the burst grain of the simulated bus (D2).

A sender may offer what it would send next (`FrameRun`). Where nothing can come between (no other sender, no
timer, no armed fault point, nobody who wants single frames), all frames that will certainly be followed by another
one are carried in one step, with the instants, points, payload and state that one by one they would have had.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate

from bench.core.clock import NS_PER_S
from bench.core.frame_run import FrameRunRecord, RunTimes
from bench.core.records import FD
from bench.link.sim_port import Bus, SimCanPort, Waiting
from bench.wire.can import UNSTUFFED_BITS, CanFrame, identifier
from bench.wire.can_bulk import run_times_ns

FEW = 8
"""Shorter runs are carried frame by frame: it costs the same."""


def burst(bus: Bus, sender: SimCanPort, entry: Waiting, begin_ns: int) -> tuple[Waiting, int]:
    """Carry what can be carried at once; returns the frame that comes next and when it begins."""
    frame, key, sent, run = entry
    assert run is not None
    count = min(run.certain(), _allowed(bus, sender, frame))
    # Up to the next timer of anybody: it might cut power, or send a frame of higher priority.
    quiet_ns = bus.clock.quiet_until_ns() - begin_ns
    # At least so long a frame is, with no stuff bit: what is counted below for more frames than fit is lost.
    if frame.flags & FD:
        shortest_ns = run.gap_ns + len(frame.data) * 8 * NS_PER_S // bus.data_bitrate_bit_s
    else:
        shortest_ns = run.gap_ns + bus.bits_ns(len(frame.data) * 8 + UNSTUFFED_BITS)
    count = min(count, quiet_ns // shortest_ns)
    if count < FEW:
        return entry, begin_ns
    heads, payload = run.peek(count)
    durations = run_times_ns(
        frame.can_id, frame.flags, heads, payload, count, bus.bitrate_bit_s, bus.data_bitrate_bit_s
    )
    fitting, next_begin_ns = _fitting(durations, run.gap_ns, quiet_ns)
    if fitting < FEW:
        return entry, begin_ns
    next_begin_ns += begin_ns
    if fitting < count:
        durations, payload = durations[:fitting], payload[: fitting * (len(payload) // count)]
    times = RunTimes(begin_ns, run.gap_ns, durations)
    record = FrameRunRecord(bus.name, sender.life.part, frame.can_id, frame.flags, heads, payload, times)
    _deliver(bus, sender, frame, record)
    bus.clock.advance_inline(next_begin_ns)
    following = CanFrame(frame.can_id, run.take(fitting, next_begin_ns), frame.flags)
    return (following, key, sent, run), next_begin_ns


def _allowed(bus: Bus, sender: SimCanPort, frame: CanFrame) -> int:
    """Return how many frames of the run nobody on the bus forbids to carry at once."""
    # Another frame of this node may win the arbitration in between; without a second node nothing is acknowledged.
    if sender.queue or len(bus.ports) < 2:
        return 0
    count, name = sender.counter.unarmed(), identifier(frame)
    for port in bus.ports:
        if port is sender:
            continue
        # Somebody who sends, wants each frame by itself, or joined in mid-frame: what he would do in between nobody can
        # know here.
        if port.queue or port.everything or name in port.plain or port.since_ns > bus.clock.now_ns():
            return 0
        count = min(count, port.counter.unarmed())
        for taker in port.takers.get(name, ()):
            count = min(count, taker.takes(frame.data))
    return count


def _fitting(durations: array[int], gap_ns: int, quiet_ns: int) -> tuple[int, int]:
    """Return (frames, begin of the one after them): those that end, gap included, before something else is due."""
    last = len(durations)
    whole_ns = sum(durations) + last * gap_ns
    if whole_ns < quiet_ns:
        return last, whole_ns
    ends_ns = list(accumulate(durations, initial=0))

    def end_ns(number: int) -> int:
        return ends_ns[number] + number * gap_ns

    fitting = max(0, bisect_left(range(last), quiet_ns, key=end_ns) - 1)
    return fitting, end_ns(fitting)


def _deliver(bus: Bus, sender: SimCanPort, frame: CanFrame, record: FrameRunRecord) -> None:
    """Record the run and have every node count its frames; receivers that want them take their payload."""
    count, busy_ns = len(record.times.durations_ns), sum(record.times.durations_ns)
    end_ns = record.times.begin_ns + busy_ns + (count - 1) * record.times.gap_ns
    bus.free_at_ns = end_ns
    bus.busy_ns += busy_ns
    bus.world.journal.frame(record)
    for port in bus.ports:
        port.counter.many(record.times)
        if port is not sender:
            takers = port.takers.get(identifier(frame), ())
            port.life.call([taker.take for taker in takers], frame.data, count, record.payload, end_ns)
