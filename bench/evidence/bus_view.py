"""Figures of each bus: frames, bytes, senders, and load where the bench file names a bit rate."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.records import FrameRecord, RunRecord
from bench.evidence.view import BusRow
from bench.wire.can import CanFrame
from bench.wire.can_fd import frame_time_ns

WINDOW_NS = 100 * NS_PER_MS


class BitRates(NamedTuple):
    """Bits per second of the nominal phase, and of the data phase on a CAN FD bus."""

    nominal: int
    data: int | None


def buses_of(record: RunRecord, inputs: Mapping[str, bytes]) -> tuple[BusRow, ...] | None:
    """Return a row per channel of the vehicle, or None when no bus was observed."""
    if not record.frames.watched:
        return None
    return tuple(_row(record, channel, bit_rates_of(inputs, channel)) for channel in channels_of(record))


def channels_of(record: RunRecord) -> tuple[str, ...]:
    """Return the channels that the tester talks on, then those that only the vehicle itself uses."""
    talked = [layout.channel for layout in record.layouts]
    return tuple(dict.fromkeys((*talked, *sorted({frame.channel for frame in record.frames.items}))))


def _row(record: RunRecord, channel: str, rates: BitRates | None) -> BusRow:
    frames = [frame for frame in record.frames.items if frame.channel == channel]
    senders = Counter(frame.sender for frame in frames)
    mean, peak = (None, None) if rates is None or not frames else _loads(frames, rates, record.ended_t_ns)
    windows = Counter(frame.t_ns // WINDOW_NS for frame in frames)
    return BusRow(
        channel=channel,
        frames=len(frames),
        data_bytes=sum(len(frame.data) for frame in frames),
        senders=", ".join(f"{name} {count:,}" for name, count in senders.most_common()),
        peak_frames_per_s=max(windows.values(), default=0) * NS_PER_S // WINDOW_NS,
        bitrate_bit_s=None if rates is None else rates.nominal,
        data_bitrate_bit_s=None if rates is None else rates.data,
        mean_load=mean,
        peak_load=peak,
    )


def _loads(frames: Sequence[FrameRecord], rates: BitRates, ended_t_ns: int) -> tuple[float, float]:
    """Return mean load over the run and the highest in any 100 ms window (shares of 1), by how long frames were."""
    busy_ns: Counter[int] = Counter()
    for frame in frames:
        length_ns = _duration_ns(frame, rates)
        window = frame.t_ns // WINDOW_NS
        before_ns = min(length_ns, max(0, length_ns - (frame.t_ns - window * WINDOW_NS)))
        busy_ns[window] += length_ns - before_ns
        if before_ns:
            busy_ns[window - 1] += before_ns
    return round(sum(busy_ns.values()) / max(1, ended_t_ns), 4), round(max(busy_ns.values()) / WINDOW_NS, 4)


def _duration_ns(frame: FrameRecord, rates: BitRates) -> int:
    return frame_time_ns(CanFrame(frame.can_id, frame.data, frame.flags), rates.nominal, rates.data or rates.nominal)


def bit_rates_of(inputs: Mapping[str, bytes], channel: str) -> BitRates | None:
    """Return the bit rates that an input file gives for `channel` in a table of that name, or None."""
    for name, content in inputs.items():
        if name.endswith(".toml"):
            try:
                found = _search(tomllib.loads(content.decode("utf-8-sig")), channel)
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):
                continue
            if found is not None:
                return found
    return None


def _search(values: object, channel: str) -> BitRates | None:
    tables = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    for table in tables:
        found = _search(table, channel)
        if found is not None:
            return found
    if isinstance(values, dict):
        named = channel in (values.get("channel"), values.get("name"), values.get("id"))
        place = values if named else values.get(channel)
        if isinstance(place, dict):
            nominal = _rate(place, "bitrate")
            return None if nominal is None else BitRates(nominal, _rate(place, "data_bitrate"))
    return None


def _rate(place: Mapping[str, object], key: str) -> int | None:
    return next((v for k, v in place.items() if str(k).startswith(key) and isinstance(v, int) and v > 0), None)
