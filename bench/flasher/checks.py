"""What the status record of a routine says."""

from __future__ import annotations

from bench.flasher.errors import CheckFailed, ProtocolViolation
from bench.flasher.recipe import Check


def check_status(routine_id: int, record: bytes, check: Check) -> None:
    """CheckFailed unless the routine's status record says ok; ProtocolViolation when it says nothing."""
    if not record:
        raise ProtocolViolation(f"routine 0x{routine_id:04X} ended without a status")
    if record[0] != check.ok:
        raise CheckFailed(routine_id, record[0], check.meaning(record[0]))
