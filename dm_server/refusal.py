"""The one way in which a request is refused."""

from __future__ import annotations

REASON_CHARACTERS = 300


class Refused(Exception):
    """A request is answered with an HTTP error; `reason` is for its sender and for the event log."""

    def __init__(self, status: int, reason: str) -> None:
        shown = reason if len(reason) <= REASON_CHARACTERS else reason[: REASON_CHARACTERS - 3] + "..."
        super().__init__(f"{status}: {shown}")
        self.status, self.reason = status, shown
