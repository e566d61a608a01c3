"""What a reset carries over: RAM that survives a reset of the processor, but not a power cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.wire.uds import ResetType


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Why the ECU resets itself, and what it must know afterwards.

    `programming`: the bootloader stays, in the programming session. `answer_due_to`: the tester (0 is the first) that
    was only asked to wait and gets the final answer to 10 02 after the boot. A new operation cycle begins with a hard
    reset and with key-off-on (`reset_type`), not with a soft reset or for programming.
    """

    reset_type: ResetType | None = None
    programming: bool = False
    answer_due_to: int | None = None

    @property
    def new_cycle(self) -> bool:
        """Whether an operation cycle of the DTCs (ISO 14229-1, annex D.2) begins."""
        return self.reset_type in (ResetType.HARD, ResetType.KEY_OFF_ON)


RestartCallback = Callable[[Restart], None]
"""Resets the ECU once its answer is out."""
