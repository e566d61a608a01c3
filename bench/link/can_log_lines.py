"""The lines of a CAN log as text, counted, so that damage is named by its line (candump, ASC)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import BinaryIO

from bench.core.errors import InputError

MAX_LINE_BYTES = 16_384
"""The longest line a log can have; an ASC line of a 64-byte frame has about 400."""
CHANNEL_NAMES = "otabench channels: "
"""Stands before the names of the channels by number, as JSON: in a comment (ASC) or a marker (BLF)."""
_HEADER = re.compile(r"(date\s|base\s|//|(no)?\s*internal\s+events\s+logged)", re.IGNORECASE)
_RELATIVE = re.compile(r"base\s+\w+\s+timestamps\s+relative", re.IGNORECASE)


def damaged(path: Path, why: str, *, line: int | None = None, offset: int | None = None) -> InputError:
    """Return the message for a log that cannot be read on, at a line (from 1) or an offset (from 0)."""
    where = f" at line {line}" if line is not None else f" at offset 0x{offset:X}" if offset is not None else ""
    hint = "record it again, or cut the log before that place"
    return InputError(f"CAN log is damaged{where}", file=str(path), found=why, hint=hint)


def channel_names(text: str) -> dict[int, str]:
    """Return number -> name out of the text after `CHANNEL_NAMES`; empty when another tool changed it."""
    try:
        found = json.loads(text)
        return {int(number): str(name) for number, name in found.items()}
    except (ValueError, AttributeError):
        return {}


class LogLines:
    """The lines of a file, for python-can's readers; `number` and `text` are those of the line just read.

    InputError names a line that no log has: too long, or with zero bytes in it.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.number, self.text = path, 0, ""
        self._file = file

    def __iter__(self) -> LogLines:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_LINE_BYTES + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        if len(raw) > MAX_LINE_BYTES or b"\0" in raw:
            raise damaged(self.path, "this is no line of text", line=self.number)
        self.text = raw.decode("utf-8", errors="replace").lstrip("\ufeff")
        self.check(whole=raw.endswith(b"\n"))
        return self.text

    def check(self, *, whole: bool) -> None:
        """Refuse a line without its end: nothing tells how much of its data is missing."""
        if not whole:
            raise damaged(self.path, "the last line has no end: it may be cut off", line=self.number)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class AscLines(LogLines):
    """The lines of an ASC file: its header is checked, and kept apart from the first event.

    python-can takes the first line that is no header for a part of the header: it gets an empty one.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        super().__init__(path, file)
        self.names: dict[int, str] = {}
        self._put_back: str | None = None
        self._in_header, self._known = True, False

    def __next__(self) -> str:
        if self._put_back is not None:
            line, self._put_back = self._put_back, None
            return line
        try:
            text = super().__next__()
        except StopIteration:
            self._check_known()
            raise
        if self._in_header and not text.strip():
            return next(self)
        self._take_names(text)
        if not self._in_header or self._is_header(text.strip()):
            return text
        self._in_header, self._put_back = False, text
        return "\n"

    def check(self, *, whole: bool) -> None:
        """Refuse an event without its end; the last line of the file may stand without one."""
        if not whole and self.text.strip()[:1].isdigit():
            raise damaged(self.path, "the last line has no end: it may be cut off", line=self.number)

    def _is_header(self, text: str) -> bool:
        if _RELATIVE.match(text):
            raise InputError(
                "this ASC file counts each time from the event before",
                file=str(self.path),
                found=text,
                allowed="timestamps absolute",
                hint="export it again with absolute time stamps",
            )
        self._known = self._known or text[:4].lower() in ("date", "base")
        if not _HEADER.match(text):
            self._check_known()
            return False
        return True

    def _check_known(self) -> None:
        if not self._known:
            raise damaged(self.path, "an ASC file begins with a date or base line", line=max(1, self.number))

    def _take_names(self, text: str) -> None:
        _, separator, names = text.partition(f"// {CHANNEL_NAMES}")
        if separator:
            self.names |= channel_names(names)


def is_classic_line(text: str) -> bool:
    """Return whether a `CANFD` line of an ASC file says by its flags that its frame is a classic one.

    Loggers on an FD bus write every frame as `CANFD`; bit 12 of the flags (EDL) tells them apart. A line without
    flags is taken as FD.
    """
    words = text.split()
    try:
        first = 5 if words[5].isdigit() else 6  # a symbolic name may stand before BRS
        flags = int(words[first + 4 + int(words[first + 3]) + 2], 16)
    except (IndexError, ValueError):
        return False
    return not flags & 0x1000
