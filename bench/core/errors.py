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
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [self.problem]
        rows = (
            ("file", self.file),
            ("key", self.key),
            ("found", None if self.found is None else str(self.found)),
            ("allowed", self.allowed),
            ("next", self.hint),
        )
        lines += [f"  {name:<8}{value}" for name, value in rows if value is not None]
        return "\n".join(lines)


class EquipmentError(OtabenchError):
    """A part of the bench (not of the vehicle under test) does not work."""

    exit_code = 3
