"""Where a run's files lie, and the command line that repeats the run: both hang on the folder of reports."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from bench.core.canonical import sha256_hex
from bench.oracle.result import RunResult

DEFAULT_OUT = Path("reports")
"""Where files go without `--out`."""
REPORT = "report.html"
SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


def folder_name(result: RunResult) -> str:
    """Return `<scenario>-<first 12 of the id's SHA-256>`; letters unfit for a file name become `_`."""
    return f"{safe_name(result.scenario).lstrip('.')[:100] or 'run'}-{sha256_hex(result.id.encode())[:12]}"


def safe_name(text: str) -> str:
    """Return `text` with every letter that is unfit for a file name as `_`."""
    return "".join(letter if letter in SAFE else "_" for letter in text)


def report_path(result: RunResult, out: Path) -> str:
    """Return the path of a run's report below `out`, relative to the current folder."""
    return shown_path(out / folder_name(result) / REPORT)


def shown_path(path: Path) -> str:
    """Return `path` relative to the current folder where that is possible, with `/`."""
    try:
        return Path(os.path.relpath(path)).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def replay_command(result: RunResult, out: Path) -> str:
    """Return the whole command that repeats a run, quoted for a POSIX shell.

    A replay finds the input files in the reports below `out`, but firmware of the user's own only where it is named
    again: no report keeps more of it than its header.
    """
    words = ["otabench", "replay", result.id]
    if out != DEFAULT_OUT:
        words += ["--out", str(out)]
    return shlex.join([*words, *result.firmware_options])
