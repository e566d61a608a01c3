"""What crosses a CAN bus, and where diagnostic messages go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

EXTENDED, FD, BRS, REMOTE = 1, 2, 4, 8
"""Bits of `FrameRecord.flags`."""


class FrameRecord(NamedTuple):
    """A frame that crossed a bus completely; `t_ns` is the instant from which the next one may begin."""

    t_ns: int
    channel: str
    sender: str
    can_id: int
    flags: int
    data: bytes

    def text(self) -> str:
        """Return the frame in candump notation, sender first: `agent 7A0#0322F195`."""
        return f"{self.sender} {self.candump()}"

    def candump(self) -> str:
        """Return `ID#DATA`, `ID#R`, or `ID##<flags>DATA` for FD, as candump -L prints it."""
        can_id = f"{self.can_id:08X}" if self.flags & EXTENDED else f"{self.can_id:03X}"
        if self.flags & FD:
            return f"{can_id}##{1 if self.flags & BRS else 0:X}{self.data.hex().upper()}"
        return f"{can_id}#R" if self.flags & REMOTE else f"{can_id}#{self.data.hex().upper()}"


@dataclass(frozen=True, slots=True)
class CanAddress:
    """Where one direction of a diagnostic connection goes (ISO 15765-2): the identifier, its format, and the address
    byte that stands in front of the data in extended and mixed addressing (None otherwise)."""

    can_id: int
    id_29_bit: bool = False
    extension: int | None = None

    def text(self) -> str:
        """Return it for people: `0x7A0`, `0x18DA21F1`, `0x6F1 with address byte 0x12`."""
        can_id = f"0x{self.can_id:08X}" if self.id_29_bit else f"0x{self.can_id:03X}"
        return can_id if self.extension is None else f"{can_id} with address byte 0x{self.extension:02X}"
