"""Runs of frames: what a sender offers and a receiver takes when a bus may carry many frames at once (D2)."""

from __future__ import annotations

from typing import Protocol

Heads = tuple[bytes, ...]
"""How the data of the frames of a run begin, of equal lengths; after the last one comes the first again."""


class FrameRun(Protocol):
    """Frames of one length that a sender would send one after the other, each `gap_ns` after the end of the last.

    A bus with nothing else to do may carry all but the last few at once, instead of one by one (D2).
    """

    @property
    def gap_ns(self) -> int:
        """The pause between two frames."""

    def certain(self) -> int:
        """Return how many frames, the queued one first, will each be followed by another one of the same length."""

    def peek(self, count: int) -> tuple[Heads, bytes]:
        """Return how the data of the next `count` frames begin, and what follows these heads, all of it in a row."""

    def take(self, count: int, next_begin_ns: int) -> bytes:
        """Count `count` frames as sent; returns the data of the next one, which begins at `next_begin_ns`."""


class RunTaker(Protocol):
    """A receiver that can take a run of frames at once."""

    def takes(self, data: bytes) -> int:
        """Return how many frames like this one, it first, are mere content: no answer, no end, no error."""

    def take(self, data: bytes, count: int, payload: bytes, t_ns: int) -> None:
        """Take that many frames, the first with these data; the last one ended at `t_ns`.

        `payload` is what followed their heads.
        """
