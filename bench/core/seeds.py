"""Repeatable random bytes, keyed by (seed, part, purpose, n) so that one draw more changes nothing elsewhere."""

from __future__ import annotations

import hashlib


class Seeds:
    """The only source of randomness of a run (D1)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._drawn: dict[tuple[str, str], int] = {}

    def draw(self, part: str, purpose: str, length: int) -> bytes:
        """Return the next `length` bytes of the stream (part, purpose)."""
        n = self._drawn.get((part, purpose), 0)
        self._drawn[part, purpose] = n + 1
        return keyed_bytes(self.seed, part, purpose, n, length)

    def of(self, part: str, purpose: str, length: int) -> bytes:
        """Return bytes that depend on the purpose alone, however often they are asked for."""
        return keyed_bytes(self.seed, part, purpose, 0, length)

    def state(self) -> dict[tuple[str, str], int]:
        """Return how often each stream was drawn from: all that must be kept to go on equally."""
        return dict(self._drawn)


def keyed_bytes(seed: int, part: str, purpose: str, n: int, length: int) -> bytes:
    """Return `length` bytes that depend on the key alone."""
    return hashlib.shake_256(f"{seed}|{part}|{purpose}|{n}".encode()).digest(length)
