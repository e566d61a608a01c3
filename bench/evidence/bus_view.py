"""Figures of each bus: frames, bytes, senders, and load where the bench file names a bit rate."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.records import EXTENDED, FrameRecord, RunRecord
from bench.evidence.view import BusRow

WINDOW_NS = 100 * NS_PER_MS
BASE_BITS, EXTENDED_BITS = 47, 67
"""A classic frame without data and without stuff bits, intermission included (ISO 11898-1)."""


def buses_of(record: RunRecord, inputs: Mapping[str, bytes]) -> tuple[BusRow, ...] | None:
    """Return a row per channel of the vehicle, or None when no bus was observed."""
    if record.frames is None:
        return None
    channels = dict.fromkeys(layout.channel for layout in record.layouts)
    return tuple(_row(record, channel, bitrate_of(inputs, channel)) for channel in channels)


def _row(record: RunRecord, channel: str, bitrate: int | None) -> BusRow:
    frames = [frame for frame in record.frames or () if frame.channel == channel]
    senders = Counter(frame.sender for frame in frames)
    mean, peak = (None, None) if bitrate is None or not frames else _loads(frames, bitrate, record.ended_t_ns)
    windows = Counter(frame.t_ns // WINDOW_NS for frame in frames)
    return BusRow(
        channel=channel,
        frames=len(frames),
        data_bytes=sum(len(frame.data) for frame in frames),
        senders=", ".join(f"{name} {count:,}" for name, count in senders.most_common()),
        peak_frames_per_s=max(windows.values(), default=0) * NS_PER_S // WINDOW_NS,
        bitrate_bit_s=bitrate,
        mean_load=mean,
        peak_load=peak,
    )


def _loads(frames: Sequence[FrameRecord], bitrate: int, ended_t_ns: int) -> tuple[float, float]:
    """Return mean load over the run and the highest in any 100 ms window (shares of 1, stuff bits not counted)."""
    bits: Counter[int] = Counter()
    for frame in frames:
        bits[frame.t_ns // WINDOW_NS] += (EXTENDED_BITS if frame.flags & EXTENDED else BASE_BITS) + 8 * len(frame.data)
    capacity = bitrate * max(1, ended_t_ns) / NS_PER_S
    return round(sum(bits.values()) / capacity, 4), round(max(bits.values()) / (bitrate * WINDOW_NS / NS_PER_S), 4)


def bitrate_of(inputs: Mapping[str, bytes], channel: str) -> int | None:
    """Return the bit rate that an input file gives for `channel` in a table of that name, or None."""
    for name, content in inputs.items():
        if name.endswith(".toml"):
            try:
                found = _search(tomllib.loads(content.decode("utf-8")), channel)
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):
                continue
            if found is not None:
                return found
    return None


def _search(values: object, channel: str) -> int | None:
    tables = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    for table in tables:
        found = _search(table, channel)
        if found is not None:
            return found
    if isinstance(values, dict):
        named = channel in (values.get("channel"), values.get("name"), values.get("id"))
        place = values if named else values.get(channel)
        if isinstance(place, dict):
            rates = [v for k, v in place.items() if str(k).startswith("bitrate") and isinstance(v, int) and v > 0]
            return rates[0] if rates else None
    return None
