"""Errors that reach the user.

OtabenchError
├── InputError        wrong usage or input (exit code 2): file, key, found, allowed, next step
└── EquipmentError    the bench itself failed (exit code 3)
    └── OutputError   a result has no room where it was to go
"""

from __future__ import annotations

import errno

NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS))
"""What says that a disk is full (or a quota, or the longest file), broken or read-only: not the user's mistake."""


class OtabenchError(Exception):
    """Root of what the command line reports in one message, without a traceback."""

    exit_code = 1


class InputError(OtabenchError):
    """The user gave something that cannot be used; says where, what was found, what is allowed, what to do."""

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        file: str | None = None,
        key: str | None = None,
        found: object = None,
        allowed: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.problem, self.file, self.key = problem, file, key
        self.found, self.allowed, self.hint = found, allowed, hint
        super().__init__(_text(problem, file=file, key=key, found=found, allowed=allowed, next=hint))


class EquipmentError(OtabenchError):
    """A part of the bench (not of the vehicle under test) does not work; told like an `InputError` where that helps."""

    exit_code = 3

    def __init__(
        self,
        problem: str,
        *,
        file: str | None = None,
        key: str | None = None,
        found: object = None,
        allowed: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(_text(problem, file=file, key=key, found=found, allowed=allowed, next=hint))


class OutputError(EquipmentError):
    """A result cannot be written where it was to go; nothing is said about the vehicle, nor about the input."""


def unwritable(what: str, file: str, error: OSError, *, key: str | None = None, hint: str) -> OtabenchError:
    """Return the error for a file that cannot be written: of the equipment when there is no room, else of the input."""
    problem = f"{what} cannot be written: {error.strerror or error}"
    if error.errno in NO_ROOM:
        return OutputError(problem, file=file, key=key, hint=f"make room, or {hint}")
    return InputError(problem, file=file, key=key, hint=hint)


def _text(problem: str, **rows: object) -> str:
    lines = (f"  {name:<8}{value}" for name, value in rows.items() if value is not None)
    return "\n".join((problem, *lines))
