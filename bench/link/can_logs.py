"""CAN logs in and out: candump, ASC and BLF, through python-can's own readers and writers (extra `can`).

Formats differ in what they hold (measured by `tests/link/test_can_logs.py`):

| | `.log` candump | `.asc` | `.blf` |
| --- | --- | --- | --- |
| time | epoch, 1 us, rounded down | from the start of the log, 1 us, rounded down | start to 1 ms, then 1 ns |
| channel | name | number, from 1 | number, from 1 |
| Tx, Rx | only where asked for | yes | yes |

Run times count from `EPOCH`. A file whose times are no dates (before 1990) counts from its own beginning, and so does
ASC always: the date in it names no time zone. A log from before 2030 has negative run times.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

from bench.core.clock import EPOCH_NS, NS_PER_MS, NS_PER_S, NS_PER_US, utc
from bench.core.errors import EquipmentError, InputError, unwritable
from bench.core.extras import install_command
from bench.core.records import BRS, EXTENDED, FD, REMOTE, FrameRecord
from bench.link.can_log_blf import checked_blf
from bench.link.can_log_lines import CHANNEL_NAMES, AscLines, LogLines, damaged, is_classic_line
from bench.wire.can import CanFrame

if TYPE_CHECKING:
    import can

ERROR, ESI = 0x100, 0x200
"""Bits of `FrameRecord.flags` that only logs know: an error frame (no identifier, no data), and an FD frame's
error state indicator."""
TX, RX = "Tx", "Rx"
"""What stands for the sender in a frame that was read from a log."""
SUFFIXES = (".log", ".asc", ".blf")
ALLOWED = ".log (candump), .asc (Vector ASCII), .blf (Vector binary)"
FIRST_DATE_NS, LAST_DATE_NS = 631_152_000 * NS_PER_S, 2**33 * NS_PER_S
"""1990: what is below is no date; 2242: what is above is no time."""
LONGEST_NS = 2**32 * NS_PER_S
"""136 years: no log lasts longer."""
DAY_NS = 86_400 * NS_PER_S
SOCKETCAN_ERROR = 0x2000_0000
FD_MESSAGE, FD_RESERVED = 100, bytes(4)
"""A BLF object that holds an FD frame, and how it ends."""
EXACT_NS = 1 << 49
"""Up to six days BLF times come back to the nanosecond; then python-can's floats cost some."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NUMBERED = re.compile(r"can(0|[1-9]\d{0,2})")
Fail = Callable[[str], InputError]
_QUIET = logging.NullHandler()


def log_format(path: Path) -> str:
    """Return the suffix that tells the format; `InputError` when there is none, or python-can is not installed."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        found = path.suffix or "no suffix"
        hint = "give the file one of these suffixes"
        raise InputError(
            "the suffix names no format of CAN logs", file=str(path), found=found, allowed=ALLOWED, hint=hint
        )
    _python_can()
    return suffix


def check_target(path: Path) -> None:
    """Refuse, before a long run, a log that could not be written after it (`InputError`)."""
    log_format(path)
    if not path.parent.is_dir() or path.is_dir():
        problem = "is a folder" if path.is_dir() else "its folder does not exist"
        raise InputError(f"the CAN log cannot be written: {problem}", file=str(path), hint="name another file")


def write_log(
    path: Path,
    frames: Iterable[FrameRecord],
    *,
    channels: Sequence[str] = (),
    sent_by: Collection[str] = (TX,),
    start_ns: int | None = None,
    directions: bool = True,
) -> int:
    """Write the frames in order of time, all channels in one file, by suffix; returns how many.

    ASC and BLF number channels: `can<n>` is n + 1, and where a channel is called otherwise, all are numbered from 1
    in the order of `channels`, with the names in a comment or marker. Frames of the senders in `sent_by` are Tx.
    `start_ns` is the run time that ASC and BLF count from, by default 0, or the first frame when that is on another
    day. Without `directions` a candump log says nothing of Tx and Rx, as `candump -L` does.

    The file is read back before it takes its name: EquipmentError names the first frame that is not what it was,
    and then, as on any failure, what stood there before stands there still.
    """
    suffix = log_format(path)
    ordered = sorted(frames, key=lambda frame: frame.t_ns)
    start = _start_ns(ordered) if start_ns is None else start_ns
    log = _Log(suffix, _numbers(channels, ordered), frozenset(sent_by), start, directions or suffix != ".log")
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        _WRITERS[suffix](part, ordered, log)
        _compare(path, ordered, _read(part, suffix), log)
        os.replace(part, path)
    except OSError as error:
        raise unwritable("the CAN log", str(path), error, hint="name a file in another folder") from None
    finally:
        part.unlink(missing_ok=True)
    return len(ordered)


def read_log(path: Path) -> Iterator[FrameRecord]:
    """Yield the frames of a log in its order, `sender` being `Tx` or `Rx` (`Rx` where the file does not say).

    InputError names the line or offset of what is damaged, at the latest when that place is reached.
    """
    suffix = log_format(path)
    if not path.is_file():
        problem = "is not a file" if path.exists() else "does not exist"
        raise InputError(f"CAN log {problem}", file=str(path))
    try:
        yield from _read(path, suffix)
    except OSError as error:
        raise InputError(f"CAN log cannot be read: {error.strerror or error}", file=str(path)) from None


class _Log:
    """How one file is written."""

    def __init__(
        self, suffix: str, numbers: Mapping[str, int], sent_by: frozenset[str], start_ns: int, directions: bool
    ) -> None:
        self.suffix, self.numbers, self.sent_by = suffix, numbers, sent_by
        self.start_ns, self.directions = start_ns, directions

    def names(self) -> str:
        """Return the text that keeps the channels' names, or nothing where their numbers tell them."""
        if all(name == f"can{number - 1}" for name, number in self.numbers.items()):
            return ""
        return CHANNEL_NAMES + json.dumps({str(number): name for name, number in self.numbers.items()})

    def expected(self, frame: FrameRecord) -> FrameRecord:
        """Return the frame as it must come back."""
        t_ns, sender = frame.t_ns, TX if self.directions and frame.sender in self.sent_by else RX
        if self.suffix == ".asc":
            t_ns -= self.start_ns
        if self.suffix != ".blf":
            t_ns = t_ns // NS_PER_US * NS_PER_US
        if frame.flags & ERROR:
            return FrameRecord(t_ns, frame.channel, RX, 0, ERROR, b"")
        data = bytes(len(frame.data)) if frame.flags & REMOTE else frame.data
        return FrameRecord(t_ns, frame.channel, sender, frame.can_id, frame.flags, data)

    def message(self, frame: FrameRecord, time_s: float, channel: str | int) -> can.Message:
        """Return the frame as python-can has it."""
        flags = frame.flags
        if flags & ERROR:
            error: can.Message = _python_can().Message(timestamp=time_s, is_error_frame=True, channel=channel)
            return error
        message: can.Message = _python_can().Message(
            timestamp=time_s,
            arbitration_id=frame.can_id,
            is_extended_id=bool(flags & EXTENDED),
            is_remote_frame=bool(flags & REMOTE),
            channel=channel,
            dlc=len(frame.data),
            data=frame.data,
            is_fd=bool(flags & FD),
            is_rx=frame.sender not in self.sent_by,
            bitrate_switch=bool(flags & BRS),
            error_state_indicator=bool(flags & ESI),
        )
        return message


def _python_can() -> Any:
    logging.getLogger("can").addHandler(_QUIET)  # its remarks on single lines would stand bare on standard error
    try:
        return importlib.import_module("can")
    except ImportError:
        hint = install_command("can")
        raise InputError("CAN logs need python-can, which is not installed", hint=hint) from None


def _start_ns(ordered: Sequence[FrameRecord]) -> int:
    first_ns = ordered[0].t_ns if ordered else 0
    return 0 if 0 <= first_ns < DAY_NS else first_ns // NS_PER_MS * NS_PER_MS


def _numbers(channels: Sequence[str], frames: Sequence[FrameRecord]) -> dict[str, int]:
    """Return channel name -> its number in ASC and BLF."""
    names = list(dict.fromkeys([*channels, *(frame.channel for frame in frames)]))
    found = [_NUMBERED.fullmatch(name) for name in names]
    if all(found):
        return {name: int(match[1]) + 1 for name, match in zip(names, found, strict=True) if match}
    return {name: number for number, name in enumerate(names, start=1)}


# Writing


class _CandumpText:
    """Takes the lines of python-can's writer; adds what it leaves out, and takes away what `candump -L` does not say.

    python-can drops the data length of remote frames (`123#R8`), and always ends a line with R or T.
    """

    def __init__(self, file: TextIO, directions: bool) -> None:
        self._file, self._directions = file, directions
        self.remote_length = 0

    def write(self, text: str) -> None:
        """Write one line."""
        line, direction = text.rstrip("\n"), ""
        if line.endswith((" R", " T")):
            line, direction = line[:-2], line[-2:]
        if line.endswith("#R") and self.remote_length:
            line += str(self.remote_length)
        self._file.write(f"{line}{direction if self._directions else ''}\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _write_candump(part: Path, frames: Sequence[FrameRecord], log: _Log) -> None:
    for name in log.numbers:
        if not name or name.isdigit() or re.search(r"\s", name):
            allowed = "a name with a letter and without spaces; .asc and .blf take any"
            raise InputError("this channel's name cannot stand in a candump log", found=repr(name), allowed=allowed)
    with part.open("w", encoding="utf-8", newline="\n") as file:
        text = _CandumpText(file, log.directions)
        with _python_can().CanutilsLogWriter(cast(TextIO, text)) as writer:
            for frame in frames:
                text.remote_length = len(frame.data)
                time_us = (EPOCH_NS + frame.t_ns) // NS_PER_US
                writer.on_message_received(log.message(frame, time_us / 1_000_000, frame.channel))


class _AscText:
    """Takes the lines of python-can's writer but the end of a trigger block, which was never begun.

    Readers that go line by line (Wireshark) take it for one more frame. Without trigger blocks the format is a log of
    one measurement, which is what this is.
    """

    def __init__(self, file: TextIO, header: str) -> None:
        self._file = file
        self.closed = False
        file.write(header)

    def write(self, text: str) -> None:
        """Write one line of an event; python-can's own header came before `header_written`."""
        if text[:1] == " ":
            self._file.write(text)

    def close(self) -> None:
        """End the log; the file is closed by who opened it."""
        self.closed = True


def _write_asc(part: Path, frames: Sequence[FrameRecord], log: _Log) -> None:
    """python-can's header has the machine's date and begins at the first frame: ours begins at the run's start."""
    names = f"// {log.names()}\n" if log.names() else ""
    header = f"date {_date(log.start_ns)}\nbase hex  timestamps absolute\ninternal events logged\n{names}"
    with part.open("w", encoding="utf-8", newline="\n") as file:
        text = _AscText(file, f"{header}   0.000000 Start of measurement\n")
        with _python_can().ASCWriter(cast(TextIO, text)) as writer:
            writer.header_written, writer.started = True, 0.0
            for frame in frames:
                time_us = (frame.t_ns - log.start_ns) // NS_PER_US
                writer.on_message_received(log.message(frame, time_us / 1_000_000, log.numbers[frame.channel] - 1))


def _date(t_ns: int) -> str:
    date = utc(t_ns)
    day = DAYS[date.weekday()]
    month = MONTHS[date.month - 1]
    return f"{day} {month} {date:%d %H:%M:%S}.{date.microsecond // 1000:03d} {date.year}"


def _write_blf(part: Path, frames: Sequence[FrameRecord], log: _Log) -> None:
    """The start goes into the header at the end, so that times stay small and keep their nanoseconds as floats."""
    with part.open("wb") as file, _blf_writer(file) as writer:
        writer.start_timestamp = writer.stop_timestamp = 0.0
        if log.names():
            writer.log_event(log.names(), 0.0)
        for frame in frames:
            time_s = (frame.t_ns - log.start_ns + 0.5) / NS_PER_S  # it truncates: aim at the middle of the nanosecond
            writer.on_message_received(log.message(frame, time_s, log.numbers[frame.channel] - 1))
        last_ns = frames[-1].t_ns if frames else log.start_ns
        writer.start_timestamp = (EPOCH_NS + log.start_ns) / NS_PER_S
        writer.stop_timestamp = (EPOCH_NS + last_ns) / NS_PER_S


def _blf_writer(file: BinaryIO) -> Any:
    """Return python-can's writer, with FD objects of full size.

    It leaves out the four reserved bytes that such an object ends with: readers that go by the layout stop there.
    """

    class Writer(_python_can().BLFWriter):  # type: ignore[misc]  # python-can is imported on demand
        def _add_object(self, obj_type: int, data: bytes, timestamp: float | None = None) -> None:
            super()._add_object(obj_type, data + FD_RESERVED if obj_type == FD_MESSAGE else data, timestamp)

    return Writer(file)


def _compare(path: Path, frames: Sequence[FrameRecord], found: Iterator[FrameRecord], log: _Log) -> None:
    for number, (frame, got) in enumerate(zip_longest(frames, found), start=1):
        want = None if frame is None else log.expected(frame)
        if want is None or got is None or not _same(want, got, log.start_ns):
            raise EquipmentError(
                f"the CAN log does not read back as it was written; {path} is not there\n"
                f"  frame   {number}\n  written {want}\n  read    {got}"
            )


def _same(want: FrameRecord, got: FrameRecord, start_ns: int) -> bool:
    loss_ns = max(0, want.t_ns - start_ns) // EXACT_NS
    return want[1:] == got[1:] and abs(want.t_ns - got.t_ns) <= loss_ns


_WRITERS: Mapping[str, Callable[[Path, Sequence[FrameRecord], _Log], None]] = {
    ".log": _write_candump,
    ".asc": _write_asc,
    ".blf": _write_blf,
}


# Reading


def _read(path: Path, suffix: str) -> Iterator[FrameRecord]:
    return _READERS[suffix](path)


def _read_candump(path: Path) -> Iterator[FrameRecord]:
    with path.open("rb") as file:
        lines = LogLines(path, file)
        first_ns, last_ns = LAST_DATE_NS, -LAST_DATE_NS
        for message in _messages(_python_can().CanutilsLogReader(cast(TextIO, lines)), _line_fail(lines)):
            fail = _line_fail(lines)
            channel, identifier = lines.text.split()[1], lines.text.split()[2].partition("#")[0]
            if int(identifier, 16) & SOCKETCAN_ERROR:  # python-can knows some of these and takes others for data
                message.is_error_frame = True
            t_ns = _run_time_ns(_scaled(message.timestamp, LAST_DATE_NS, fail))
            first_ns, last_ns = min(first_ns, t_ns), max(last_ns, t_ns)
            # No log of this bench spans a century, and neither ASC nor BLF could hold it.
            if not last_ns - first_ns < LONGEST_NS:
                raise fail(f"frames {(last_ns - first_ns) // NS_PER_S} s apart")
            yield _record(message, t_ns, _channel(channel), fail)


def _read_asc(path: Path) -> Iterator[FrameRecord]:
    with path.open("rb") as file:
        lines = AscLines(path, file)
        for message in _messages(_python_can().ASCReader(cast(TextIO, lines)), _line_fail(lines)):
            if message.is_fd and is_classic_line(lines.text):
                message.is_fd = False
            elif (
                message.is_fd and message.is_remote_frame and not message.dlc
            ):  # how python-can reads an FD frame without data
                message.is_remote_frame = False
            fail = _line_fail(lines)
            t_ns = _scaled(message.timestamp, LONGEST_NS, fail)
            yield _record(message, t_ns, _channel(message.channel, lines.names), fail)


def _read_blf(path: Path) -> Iterator[FrameRecord]:
    names = checked_blf(path)
    with path.open("rb") as file:

        def fail(why: str) -> InputError:
            return damaged(path, why, offset=max(0, file.tell()) if not file.closed else path.stat().st_size)

        reader = _python_can().BLFReader(file)
        date_ns = round(reader.start_timestamp * 1000) * NS_PER_MS
        start_ns = date_ns - EPOCH_NS if FIRST_DATE_NS <= date_ns < LAST_DATE_NS - LONGEST_NS else 0
        reader.start_timestamp = 0.0
        for message in _messages(reader, fail):
            offset_ns = round(message.timestamp * NS_PER_S)
            if not offset_ns < LONGEST_NS:
                raise fail(f"a frame {message.timestamp} s after the start")
            yield _record(message, start_ns + offset_ns, _channel(message.channel, names), fail)


_READERS: Mapping[str, Callable[[Path], Iterator[FrameRecord]]] = {
    ".log": _read_candump,
    ".asc": _read_asc,
    ".blf": _read_blf,
}


def _line_fail(lines: LogLines) -> Fail:
    return lambda why: damaged(lines.path, f"{why}: {lines.text.strip()[:80]!r}", line=lines.number)


def _messages(reader: Iterable[can.Message], fail: Fail) -> Iterator[can.Message]:
    """Yield what python-can reads; whatever it raises on foreign bytes becomes one message."""
    messages = iter(reader)
    while True:
        try:
            message = next(messages)
        except StopIteration:
            return
        except (InputError, OSError):
            raise
        except Exception as error:  # python-can's readers raise whatever a damaged line makes them
            raise fail(f"this is no frame ({type(error).__name__})") from error
        yield message


def _scaled(time_s: float, limit_ns: int, fail: Fail) -> int:
    """Return a time of a text log in nanoseconds, rounded to its microseconds."""
    if not 0 <= time_s < limit_ns / NS_PER_S:
        raise fail(f"time {time_s} s is not possible")
    return round(time_s * 1_000_000) * NS_PER_US


def _run_time_ns(time_ns: int) -> int:
    """Return the run time of a date, or what is no date as it is."""
    return time_ns if time_ns < FIRST_DATE_NS else time_ns - EPOCH_NS


def _channel(channel: object, names: Mapping[int, str] | None = None) -> str:
    if isinstance(channel, str) and not channel.isdigit():
        return channel
    number = int(str(channel)) if channel is not None else 0
    return (names or {}).get(number + 1, f"can{number}")


def _record(message: can.Message, t_ns: int, channel: str, fail: Fail) -> FrameRecord:
    """Return the frame; `fail` when no controller could have sent it, or bytes of it are missing."""
    if message.is_error_frame:
        return FrameRecord(t_ns, channel, RX, 0, ERROR, b"")
    flags = (EXTENDED if message.is_extended_id else 0) | (REMOTE if message.is_remote_frame else 0)
    flags |= (FD if message.is_fd else 0) | (BRS if message.bitrate_switch else 0)
    length = message.dlc if message.is_fd else min(8, message.dlc)
    data = bytes(length) if message.is_remote_frame else bytes(message.data)
    if len(data) != length:
        raise fail(f"{len(data)} data bytes where the frame names {length}")
    try:
        CanFrame(message.arbitration_id, data, flags).checked(fd=True)
    except ValueError as error:
        raise fail(str(error)) from None
    flags |= ESI if message.error_state_indicator else 0
    return FrameRecord(t_ns, channel, TX if not message.is_rx else RX, message.arbitration_id, flags, data)
