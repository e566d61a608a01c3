"""Where bytes come from that nobody else may know: tokens, ephemeral keys, nonces (D1).

Beside the clock: in simulation they come from the seed, so that a run repeats; in real time from the operating system,
or anybody could compute from the seed what the server is about to hand out, and a restart would hand it out again.
"""

from __future__ import annotations

import os
from typing import Protocol


class Entropy(Protocol):
    """A source of bytes; `bench.core.seeds.Seeds` is the one of simulation."""

    def draw(self, part: str, purpose: str, length: int) -> bytes:
        """Return `length` bytes for a purpose of a part, others each time."""


class SystemEntropy:
    """The operating system's cryptographic source."""

    def draw(self, part: str, purpose: str, length: int) -> bytes:
        """Return `length` bytes; who asks and for what does not matter."""
        del part, purpose
        return os.urandom(length)
