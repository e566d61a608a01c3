"""What the status record of a routine says."""

from __future__ import annotations

from bench.flasher.errors import CheckFailed, ProtocolViolation
from bench.flasher.recipe import Check
from bench.flasher.recipe_checks import Answer


def check_status(routine_id: int, record: bytes, check: Check) -> None:
    """CheckFailed unless the routine's status record says ok; ProtocolViolation when it says nothing."""
    if not record:
        raise ProtocolViolation(f"routine 0x{routine_id:04X} ended without a status")
    if record[0] != check.ok:
        raise CheckFailed(routine_id, record[0], check.meaning(record[0]))


def check_answer(routine_id: int, record: bytes, rule: Answer) -> None:
    """CheckFailed unless the record says ok; ProtocolViolation when it is too short to say anything."""
    if rule.record is not None:
        wanted = bytes.fromhex(rule.record)
        if record != wanted:
            what = f"record {record.hex(' ') or 'empty'}, good would be {wanted.hex(' ')}"
            raise CheckFailed(routine_id, _status_of(record, rule), what)
        return
    if len(record) <= rule.at:
        what = f"{len(record)} bytes, its status would be byte {rule.at} (from 0)"
        raise ProtocolViolation(f"routine 0x{routine_id:04X} ended with {what}")
    status = record[rule.at]
    if status != rule.ok:
        raise CheckFailed(routine_id, status, rule.meanings.get(str(status), "unknown status"))


def _status_of(record: bytes, rule: Answer) -> int:
    return record[rule.at] if len(record) > rule.at else 0
