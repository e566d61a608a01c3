"""Errors that reach the user.

OtabenchError
├── InputError        wrong usage or input (exit code 2): file, key, found, allowed, next step
└── EquipmentError    the bench itself failed (exit code 3)
"""

from __future__ import annotations


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
        key: str | None = None,
        found: object = None,
        allowed: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(_text(problem, key=key, found=found, allowed=allowed, next=hint))


def _text(problem: str, **rows: object) -> str:
    lines = (f"  {name:<8}{value}" for name, value in rows.items() if value is not None)
    return "\n".join((problem, *lines))
