"""What stands over the runs of one command: `index.html` and one `junit.xml`, each whole or not there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.config.output import this_tool
from bench.core.clock import wall_utc
from bench.evidence.contract import NotRun
from bench.evidence.html import Entry, render_index
from bench.evidence.junit import junit_xml
from bench.evidence.write import JUNIT, unwritten

INDEX = "index.html"


def write_index(entries: Sequence[Entry], out: Path, not_run: Sequence[NotRun] = ()) -> Path:
    """Write `index.html` into `out`, linking to each run's folder there, and return its path."""
    page = render_index(entries, not_run, this_tool(), wall_utc().isoformat())
    return _replaced(out / INDEX, page.encode())


def write_junit(entries: Sequence[Entry], out: Path, not_run: Sequence[NotRun] = ()) -> Path:
    """Write one `junit.xml` over all runs into `out`, and return its path."""
    return _replaced(out / JUNIT, junit_xml([entry.run for entry in entries], not_run))


def _replaced(path: Path, content: bytes) -> Path:
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise unwritten(path.parent, error) from error
    finally:
        _remove(part)
    return path


def _remove(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:  # the folder cannot be used at all, which the caller knows already
        return
