"""Write the folder of a run: everything or nothing (`docs/contracts.md`, Files of a run)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from bench.core.clock import NS_PER_US
from bench.core.errors import OutputError
from bench.core.records import FrameRecord
from bench.evidence.build import View, view_of
from bench.evidence.contract import Run, run_model
from bench.evidence.html import Entry, entry_of, render_report
from bench.evidence.junit import junit_xml
from bench.evidence.places import REPORT, folder_name, safe_name
from bench.oracle.result import RunResult

JUNIT, VERDICTS, VIEW, JOURNAL = "junit.xml", "verdicts.json", "view.json", "journal.jsonl"
INPUTS = "inputs"
OUT_HINT = "name another folder with --out DIR"


def write_run(result: RunResult, out: Path) -> Path:
    """Write the run's folder below `out` and return it; one of the same id is replaced whole.

    Nothing half written is ever visible: files are made in a hidden sibling and renamed when whole. OutputError
    names a folder that cannot be written.
    """
    write_entry(result, out)
    return out / folder_name(result)


def write_entry(result: RunResult, out: Path) -> Entry:
    """Write the run's folder as `write_run` does, and return the run's line for a table that lies in `out`."""
    run, view = run_model(result, out), view_of(result)
    replace_folder(out / folder_name(result), lambda place: _fill(place, result, run, view))
    return entry_of(_href(result), run, view)


def unwritten_entry(result: RunResult, out: Path) -> Entry:
    """Return the line of a run whose folder could not be written into `out`."""
    return entry_of(_href(result), run_model(result, out), view_of(result))


def _href(result: RunResult) -> str:
    return f"{quote(folder_name(result))}/{REPORT}"


def replace_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Have `fill` write into a hidden folder beside `folder`, then put it in its place.

    On any failure, Ctrl-C too, what stood there before stands there still.
    """
    part = folder.with_name(f".{folder.name}.part-{os.getpid()}")
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        fill(part)
        _swap(part, folder, old)
    except OSError as error:
        raise unwritten(folder.parent, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def unwritten(folder: Path, error: OSError) -> OutputError:
    """Return the error for a report folder that cannot be written: the run has been made, so it is no wrong input."""
    return OutputError(f"reports cannot be written: {error.strerror or error}", file=str(folder), hint=OUT_HINT)


def _swap(part: Path, folder: Path, old: Path) -> None:
    if not folder.exists():
        part.rename(folder)
        return
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    try:
        part.rename(folder)
    except BaseException:
        old.rename(folder)
        raise


def _fill(place: Path, result: RunResult, run: Run, view: View) -> None:
    _write(place, JOURNAL, b"".join(line + b"\n" for line in result.journal))
    for channel, text in can_logs(result).items():
        _write(place, f"can-{channel}.log", text.encode())
    for name, data in result.inputs.items():
        _write(place, f"{INPUTS}/{inner_path(name)}", data)
    _write(place, VERDICTS, run.to_json().encode())
    _write(place, VIEW, view.to_json().encode())
    _write(place, JUNIT, junit_xml([run]))
    files = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    _write(place, REPORT, render_report(run, view, files).encode())


def _write(place: Path, name: str, data: bytes) -> None:
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def inner_path(name: str) -> PurePosixPath:
    """Return `name` as a path below `inputs/`; ValueError when it would leave that folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or not path.parts or ".." in path.parts or ":" in path.parts[0] or "\0" in name:
        raise ValueError(f"input name {name!r} does not stay below {INPUTS}/")
    return path


def can_logs(result: RunResult) -> dict[str, str]:
    """Return channel -> log as `candump -L` writes it; empty when no bus was observed."""
    if not result.record.frames.watched:
        return {}
    logs: dict[str, list[str]] = {layout.channel: [] for layout in result.record.layouts}
    for frame in result.record.frames.items:
        logs.setdefault(frame.channel, []).append(candump_line(frame, result.epoch_ns))
    return {safe_name(channel): "".join(lines) for channel, lines in logs.items()}


def candump_line(frame: FrameRecord, epoch_ns: int) -> str:
    """Return `(1893456000.123456) can0 7A0#0322F195` with its line end, for a run that began at `epoch_ns`."""
    seconds, microseconds = divmod((epoch_ns + frame.t_ns) // NS_PER_US, 1_000_000)
    return f"({seconds}.{microseconds:06d}) {frame.channel} {frame.candump()}\n"
