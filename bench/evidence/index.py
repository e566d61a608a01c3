"""`index.html` over the runs of one demo."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from bench.config.output import this_tool
from bench.core.clock import wall_utc
from bench.evidence.build import view_of
from bench.evidence.contract import run_model
from bench.evidence.html import Entry, entry_of, render_index
from bench.evidence.places import REPORT, folder_name
from bench.evidence.write import unwritable
from bench.oracle.result import RunResult

INDEX = "index.html"


def write_index(results: Sequence[RunResult], out: Path) -> Path:
    """Write `index.html` into `out`, by rename when whole, linking to each run's folder there; returns its path."""
    path = out / INDEX
    page = render_index([_entry(result, out) for result in results], this_tool(), wall_utc().isoformat())
    part = out / f".{INDEX}.part-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        _remove(part)
    return path


def _remove(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:  # the folder cannot be used at all, which the caller is told already
        return


def _entry(result: RunResult, out: Path) -> Entry:
    name = folder_name(result)
    return entry_of(f"{quote(name)}/{REPORT}", run_model(result, out), view_of(result))
