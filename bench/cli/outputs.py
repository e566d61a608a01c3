"""Files that a command writes: whether there is room before anything is touched, and what is said when one fails.

A job that has changed an ECU cannot be done again for the sake of a file: its result is shown whatever becomes of the
files, and a failed file makes 3 of 0 (docs/contracts.md, exit codes).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from bench.core.errors import InputError, OtabenchError, OutputError, unwritable
from bench.runs.exit_codes import EQUIPMENT, strongest

T = TypeVar("T")
MIB = 1 << 20
RUN_BYTES = 8 * MIB
"""What the folder of one run may take; the largest of the built-in ones takes a third of it."""
BYTES_PER_IMAGE_BYTE = 24
"""What a trace takes for each byte of an image: a line of journal and of candump for 7 of them (ISO 15765-2, CAN)."""
PROBE_BYTES = 4096


def check_room(place: Path, needed_bytes: int, *, option: str = "--out") -> None:
    """Refuse, before anything is touched, a folder that cannot be written (2) or has no room (`OutputError`, 3)."""
    there = place.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise InputError(
            "reports cannot be written: not a folder", file=str(place), key=option, found=f"{there} is a file",
            allowed="a folder, which is made where it is missing", hint=f"name a folder with {option} DIR",
        )  # fmt: skip
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
        free_bytes = shutil.disk_usage(there).free
    except OSError as error:
        raise unwritable(
            "reports", str(place), error, key=option, hint=f"name another folder with {option} DIR"
        ) from None
    if free_bytes < needed_bytes:
        raise OutputError(
            "there is no room for the result; nothing has been touched",
            file=str(place),
            key=option,
            found=f"{free_bytes / MIB:.1f} MiB free",
            allowed=f"{needed_bytes / MIB:.1f} MiB or more",
            hint=f"make room, or name a folder on another disk with {option} DIR",
        )


class Outputs:
    """The files of a finished job, and which of them failed."""

    def __init__(self) -> None:
        self._failures: list[OtabenchError] = []

    def write(self, work: Callable[[], T]) -> T | None:
        """Do what writes a file; None where it failed, which `exit_code` tells once the result has been shown."""
        try:
            return work()
        except OtabenchError as error:
            self._failures.append(error)
            return None

    def exit_code(self, code: int) -> int:
        """Say what failed, after the result; returns the code that counts."""
        for failure in self._failures:
            click.echo(f"error: {failure}", err=True)
        return strongest((code, EQUIPMENT)) if self._failures else code


def room_of_images(sizes_bytes: int) -> int:
    """Return what the trace of a job with images of so many bytes may take."""
    return RUN_BYTES + BYTES_PER_IMAGE_BYTE * sizes_bytes
