"""Standard output and error outlive their reader: `otabench run ... | head -1` ends with the verdict's exit code."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO

GONE = (errno.EPIPE, errno.ESHUTDOWN)


class _Lasting(io.FileIO):
    """A file descriptor that goes on into nothing once nobody reads it any more, or once it cannot be written.

    A full disk behind `> result.json` must not strike in the middle of a table: files are still to be written, and
    the first failure is told at the end (`flushed`).
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write as any file does; what nobody can read any more counts as written."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in GONE:
                self.failure = self.failure or error
        _lead_nowhere(self.fileno())
        return memoryview(data).nbytes


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def lasting(stream: TextIO) -> TextIO:
    """Return a stream on the same descriptor, with the same encoding and buffering, that outlives its reader."""
    stream.flush()
    raw = _Lasting(stream.fileno(), "wb", closefd=False)
    line_buffering = bool(getattr(stream, "line_buffering", False))
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=line_buffering,
        write_through=bool(getattr(stream, "write_through", False)),
    )


def outlive_readers() -> None:
    """Make standard output and error of this process last."""
    if sys.stdout is not None:
        sys.stdout = lasting(sys.stdout)
    if sys.stderr is not None:
        sys.stderr = lasting(sys.stderr)


def flushed() -> bool:
    """Flush standard output and error; whether all of it arrived (a disk may be full). Says so when not."""
    arrived = True
    for stream in (sys.stderr, sys.stdout):
        failure = None
        try:
            if stream is not None:
                stream.flush()
                failure = _failure_of(stream)
        except OSError as error:
            _lead_nowhere(stream.fileno())
            failure = error
        if failure is not None:
            _say(f"error: the result could not be written: {failure.strerror}\n  next    make room where it goes\n")
            arrived = False
    return arrived


def _failure_of(stream: TextIO) -> OSError | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Lasting) else None


def _say(text: str) -> None:
    """Write on standard error, where that is possible: it may be what failed."""
    with suppress(OSError):
        os.write(2, text.encode())
