"""`otabench canlog`: look at CAN logs and convert them; and `--can-log` of the commands that make runs."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from bench import __version__
from bench.cli.options import debug_only
from bench.cli.output import answers, messages
from bench.core.clock import EPOCH_NS, NS_PER_MS, NS_PER_S, utc
from bench.core.errors import InputError
from bench.core.records import BRS, EXTENDED, FrameRecord
from bench.link.can_logs import ERROR, ESI, check_target, log_format, read_log, write_log
from bench.oracle.result import RunResult
from bench.wire.can import ERROR_FRAME_BITS, MAX_BASE_ID, MAX_EXTENDED_ID, CanFrame
from bench.wire.can_fd import frame_time_ns

FILE = click.Path(path_type=Path)
FORMATS = {".log": "candump", ".asc": "asc", ".blf": "blf"}
SHOWN_IDS = 16
BIT_RATE = click.IntRange(min=1_000)
can_log_option = click.option(
    "--can-log", type=FILE, metavar="FILE", help="Also write the frames of all buses in one file: .log, .asc or .blf."
)


def check_can_log(path: Path | None) -> None:
    """Refuse a `--can-log` that could not be written, before the run."""
    if path is not None:
        check_target(path)


def log_of_run(result: RunResult, path: Path | None) -> None:
    """Write the frames of all buses of a run; what the bench sent is Tx, what an ECU sent is Rx."""
    if path is None:
        return
    record = result.record
    if not record.frames.watched:
        raise InputError("this bench observes no bus: there are no frames to write", key="--can-log", found=str(path))
    ecus = {layout.ecu for layout in record.layouts}
    shift_ns, frames = result.epoch_ns - EPOCH_NS, record.frames.items
    count = write_log(
        path,
        [frame._replace(t_ns=frame.t_ns + shift_ns) for frame in record.frames.items]
        if shift_ns
        else record.frames.items,
        channels=tuple(dict.fromkeys(layout.channel for layout in record.layouts)),
        sent_by={frame.sender for frame in frames} - ecus,
        start_ns=shift_ns // NS_PER_MS * NS_PER_MS,  # headers of ASC and BLF name the start to the millisecond
        directions=False,
    )
    messages().print(f"CAN log: {path} ({count} frames)", soft_wrap=True, markup=False)


@click.command(short_help="look at a CAN log, or convert it")
@click.argument("source", metavar="IN", type=FILE)
@click.argument("target", metavar="[OUT]", type=FILE, required=False)
@click.option("--channel", "channels", multiple=True, metavar="NAME", help="Only this channel; may be repeated.")
@click.option("--id", "ids", multiple=True, metavar="HEX", help="Only this identifier: 7E0, or 18DA00F1 (29 bits).")
@click.option("--bitrate", type=BIT_RATE, metavar="BIT/S", help="Show the load of each channel.")
@click.option("--data-bitrate", type=BIT_RATE, metavar="BIT/S", help="Of FD frames that switch the rate.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout.")
@debug_only
def canlog(
    source: Path,
    target: Path | None,
    channels: tuple[str, ...],
    ids: tuple[str, ...],
    bitrate: int | None,
    data_bitrate: int | None,
    as_json: bool,
) -> int:
    """Show the frames of IN by channel and identifier, or write them as OUT.

    Formats by suffix: .log (candump), .asc, .blf. The log may come from any tool. An existing OUT is replaced, whole
    or not at all, and is read back before that.

    \b
    Examples:
      otabench canlog trace.blf --bitrate 500000
      otabench canlog trace.blf trace.asc
      otabench canlog trace.asc body.log --channel can0 --id 7A0 --id 7A8

    Exit codes: 0 shown or written, 2 wrong usage, or IN is missing or damaged (line or offset is named), 3 OUT does
    not read back.
    """
    if target is not None:
        check_target(target)
    wanted = _Filter(frozenset(channels), frozenset(map(_identifier, ids)))
    figures = Figures(bitrate, data_bitrate)
    frames = figures.counting(wanted.passing(read_log(source), source))
    if target is None:
        for _ in frames:
            pass
    else:
        write_log(target, frames)
    shown = target or source
    if as_json:
        tool = {"version": __version__, "python": platform.python_version()}
        described = {"schema": 1, "tool": tool, "file": str(shown), "format": FORMATS[log_format(shown)]}
        click.echo(json.dumps(described | figures.described(), indent=2))
    else:
        _print(shown, figures)
    return 0


class _Filter:
    """Which frames pass: all, or those of the channels and identifiers named."""

    def __init__(self, channels: frozenset[str], ids: frozenset[tuple[int, int]]) -> None:
        self._channels, self._ids = channels, ids

    def passing(self, frames: Iterable[FrameRecord], source: Path) -> Iterator[FrameRecord]:
        """Yield what passes; `InputError` at the end when something was asked for and nothing passed."""
        seen: dict[str, dict[tuple[int, int], None]] = {}
        passed = not (self._channels or self._ids)
        for frame in frames:
            key = (frame.can_id, frame.flags & EXTENDED)
            of_channel = seen.setdefault(frame.channel, {})
            if not frame.flags & ERROR:
                of_channel.setdefault(key)
            if self._channels and frame.channel not in self._channels:
                continue
            if not self._ids or (key in self._ids and not frame.flags & ERROR):
                passed = True
                yield frame
        if not passed:
            raise self._nothing_passed(seen, source)

    def _nothing_passed(self, seen: Mapping[str, Iterable[tuple[int, int]]], source: Path) -> InputError:
        """Return what to say: the file is as it is, so the option that let nothing pass is what can be mended."""
        channels = [name for name in seen if not self._channels or name in self._channels]
        if not channels:
            allowed = f"channels of the log: {', '.join(seen) or 'none, it has no frames'}"
            hint = "give --channel one of these, or leave it out" if seen else "name a log that has frames"
            key = "--channel" if self._channels else "--id"
            return InputError(
                "no frame passes", file=str(source), key=key, found=self._text(), allowed=allowed, hint=hint
            )
        ids = sorted({each for name in channels for each in seen[name]}, key=lambda each: (each[1], each[0]))
        texts = [_id_text(can_id, flags) for can_id, flags in ids]
        more = f" and {len(texts) - SHOWN_IDS} more" if len(texts) > SHOWN_IDS else ""
        allowed = f"identifiers on {', '.join(channels)}: {', '.join(texts[:SHOWN_IDS]) or 'none'}{more}"
        wanted = {can_id for can_id, _flags in self._ids}
        other = next((_id_text(can_id, flags) for can_id, flags in ids if can_id in wanted), None)
        hint = "give --id one of these, or leave it out" if other is None else (
            f"give --id {other}: the log has this number with {'29' if len(other) > 3 else '11'} bits"
        )  # fmt: skip
        return InputError(
            "no frame passes", file=str(source), key="--id", found=self._text(), allowed=allowed, hint=hint
        )

    def _text(self) -> str:
        ids = [_id_text(can_id, flags) for can_id, flags in sorted(self._ids)]
        return ", ".join([*(f"--channel {name}" for name in sorted(self._channels)), *(f"--id {each}" for each in ids)])


@dataclass
class _Row:
    """Frames of one channel, or of one identifier on it."""

    frames: int = 0
    data_bytes: int = 0


@dataclass
class Figures:
    """What a log holds, counted while its frames pass."""

    bitrate_bit_s: int | None
    data_bitrate_bit_s: int | None
    frames: int = 0
    first_ns: int | None = None
    last_ns: int = 0
    ids: dict[tuple[str, int, int], _Row] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    busy_ns: Counter[str] = field(default_factory=Counter)
    _first_time_ns: int = 0

    def counting(self, frames: Iterable[FrameRecord]) -> Iterator[FrameRecord]:
        """Yield the frames on; `InputError` when a bit rate is missing to tell the load."""
        if self.data_bitrate_bit_s is not None and self.data_bitrate_bit_s < (self.bitrate_bit_s or 1 << 62):
            allowed = "--bitrate and a --data-bitrate not below it"
            found = f"{self.data_bitrate_bit_s}, with --bitrate {self.bitrate_bit_s or 'left out'}"
            raise InputError(
                "--data-bitrate does not fit --bitrate", key="--data-bitrate", found=found, allowed=allowed,
                hint="give both: --bitrate of the nominal phase, --data-bitrate of the data phase",
            )  # fmt: skip
        for frame in frames:
            self._count(frame)
            yield frame

    def _count(self, frame: FrameRecord) -> None:
        time_ns = self._time_ns(frame)
        self.busy_ns[frame.channel] += time_ns
        if self.first_ns is None or frame.t_ns < self.first_ns:
            self.first_ns, self._first_time_ns = frame.t_ns, time_ns
        self.last_ns = frame.t_ns if self.frames == 0 else max(self.last_ns, frame.t_ns)
        self.frames += 1
        if frame.flags & ERROR:
            self.errors[frame.channel] += 1
            return
        row = self.ids.setdefault((frame.channel, frame.flags & EXTENDED, frame.can_id), _Row())
        row.frames += 1
        row.data_bytes += len(frame.data)

    def _time_ns(self, frame: FrameRecord) -> int:
        if self.bitrate_bit_s is None:
            return 0
        if frame.flags & ERROR:
            return ERROR_FRAME_BITS * NS_PER_S // self.bitrate_bit_s
        if frame.flags & BRS and self.data_bitrate_bit_s is None:
            hint = "add --data-bitrate, for example --data-bitrate 2000000"
            raise InputError("the log has FD frames that switch the bit rate", key="--data-bitrate", hint=hint)
        plain = CanFrame(frame.can_id, frame.data, frame.flags & ~ESI)
        return frame_time_ns(plain, self.bitrate_bit_s, self.data_bitrate_bit_s or self.bitrate_bit_s)

    @property
    def duration_ns(self) -> int:
        """From the beginning of the first frame to the end of the last (frames are stamped at their end)."""
        return 0 if self.first_ns is None else self.last_ns - self.first_ns + self._first_time_ns

    def load(self, channel: str) -> float | None:
        """Return the share of that time in which the channel was busy; None without bit rate or time."""
        known = self.bitrate_bit_s is not None and self.duration_ns > 0
        return round(self.busy_ns[channel] / self.duration_ns, 4) if known else None

    def channels(self) -> list[dict[str, Any]]:
        """Return a row per channel, by name."""
        rows: dict[str, _Row] = {}
        for (channel, _, _), each in self.ids.items():
            row = rows.setdefault(channel, _Row())
            row.frames, row.data_bytes = row.frames + each.frames, row.data_bytes + each.data_bytes
        return [
            {
                "channel": name,
                "frames": rows.get(name, _Row()).frames,
                "error_frames": self.errors[name],
                "data_bytes": rows.get(name, _Row()).data_bytes,
                "load": self.load(name),
            }
            for name in sorted({*rows, *self.errors})
        ]

    def described(self) -> dict[str, Any]:
        """Return all of it for `--json`; error frames are counted apart from frames."""
        return {
            "frames": self.frames - self.errors.total(),
            "error_frames": self.errors.total(),
            "first": None if self.first_ns is None else utc(self.first_ns).isoformat(),
            "last": None if self.first_ns is None else utc(self.last_ns).isoformat(),
            "duration_s": self.duration_ns / NS_PER_S,
            "channels": self.channels(),
            "ids": [
                {"channel": channel, "id": _id_text(can_id, flags), "frames": row.frames, "data_bytes": row.data_bytes}
                for (channel, flags, can_id), row in sorted(self.ids.items())
            ],
        }


def _identifier(text: str) -> tuple[int, int]:
    """Return (identifier, EXTENDED or 0): as in candump, more than three digits are an extended one."""
    digits = text.lower().removeprefix("0x")
    flags = EXTENDED if len(digits) > 3 else 0
    try:
        can_id = int(digits, 16)
    except ValueError:
        can_id = -1
    if not 0 <= can_id <= (MAX_EXTENDED_ID if flags else MAX_BASE_ID):
        allowed = "up to 7FF with three digits, up to 1FFFFFFF with more (000007E0 is the extended 7E0)"
        raise InputError("--id is no identifier", key="--id", found=text, allowed=allowed)
    return can_id, flags


def _id_text(can_id: int, flags: int) -> str:
    return f"{can_id:08X}" if flags & EXTENDED else f"{can_id:03X}"


def _print(path: Path, figures: Figures) -> None:
    found = figures.described()
    errors = f", {found['error_frames']} error frames" if found["error_frames"] else ""
    span = f", {found['duration_s']:.6f} s from {found['first']}" if found["first"] else ""
    click.echo(f"{path}: {FORMATS[log_format(path)]}, {found['frames']} frames{errors}{span}")
    table = Table(header_style="bold")
    for name in ("channel", "id"):
        table.add_column(name, no_wrap=True)
    for name in ("frames", "errors", "bytes", "load"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found["channels"]:
        load = "" if row["load"] is None else f"{row['load']:.1%}"
        texts = (str(row[name]) for name in ("frames", "error_frames", "data_bytes"))
        table.add_row(row["channel"], "all", *texts, load, style="bold")
        for each in (each for each in found["ids"] if each["channel"] == row["channel"]):
            table.add_row("", each["id"], str(each["frames"]), "", str(each["data_bytes"]), "")
    if found["channels"]:
        answers().print(table)
