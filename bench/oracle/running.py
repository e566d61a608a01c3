"""What an ECU does at the end of a run: which image it executes, or its bootloader, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.records import BootRecord, DidReading, EcuLayout, ExecutionRecord, RunRecord
from bench.oracle.decode_image import header_or_none
from bench.oracle.findings import at, bench, of_reading
from bench.oracle.result import Evidence

ACTIVE_SESSION, SOFTWARE_VERSION = 0xF186, 0xF189
"""Data identifiers of ISO 14229-1 that the bench's own tester reads after the run."""


@dataclass(frozen=True, slots=True)
class Running:
    """`stage` is application, bootloader, boot_manager, off (without supply), never_booted or unknown."""

    stage: str
    execution: ExecutionRecord | None
    evidence: tuple[Evidence, ...]


def reading(record: RunRecord, ecu: str, did: int) -> DidReading | None:
    """Return the last reading of a data identifier, or None when it was not asked for."""
    return next((r for r in reversed(record.readings) if r.ecu == ecu and r.did == did), None)


def answering(record: RunRecord, ecu: str) -> DidReading | None:
    """Return a reading that has a value: the proof that the ECU answers."""
    return next((r for r in record.readings if r.ecu == ecu and r.value is not None), None)


def version_text(found: DidReading) -> str:
    """Return a version as the server would know it: '' for none, without padding."""
    return "" if found.value is None else found.value.decode("ascii", "replace").strip("\x00 ")


def executed_version(execution: ExecutionRecord) -> str | None:
    """Return the version in the header of an executed image, or None when that is no header."""
    header = header_or_none(execution.header)
    return None if header is None else header.version


def running(record: RunRecord, layout: EcuLayout) -> Running:
    """Return what the ECU does at the end, by its boots where they are known, else by what it answers."""
    executions = [e for e in record.executions or () if e.ecu == layout.ecu]
    last = executions[-1] if executions else None
    if record.boots is None:
        return _by_answers(record, layout, last)
    power = [p for p in record.power if p.part == layout.ecu]
    boots = [b for b in record.boots if b.ecu == layout.ecu]
    if power and not power[-1].on:
        off = at("power", layout.ecu, power[-1].t_ns, f"supply off: {power[-1].cause}")
        return Running("off", None, (off,))
    if not boots:
        return Running("never_booted", None, (bench(f"{layout.ecu} has no boot record"),))
    stage = boots[-1].stage
    where = (_boot_evidence(boots[-1]),)
    if stage != "application":
        return Running(stage, None, where)
    before_ns = max((b.t_ns for b in boots if b.stage != "application"), default=0)
    if record.executions is not None and (last is None or last.t_ns < before_ns):
        return Running("unknown", None, (*where, bench(f"{layout.ecu} has no execution record of this boot")))
    return Running("application", last, (*where, *((_execution_evidence(last),) if last else ())))


def _by_answers(record: RunRecord, layout: EcuLayout, last: ExecutionRecord | None) -> Running:
    version, alive = reading(record, layout.ecu, SOFTWARE_VERSION), answering(record, layout.ecu)
    if version is None or alive is None:
        return Running("unknown", None, (bench(f"{layout.ecu}: neither boots nor a software version were observed"),))
    if version.value is None:
        return Running("bootloader", None, (of_reading(version), of_reading(alive)))
    return Running("application", last, (of_reading(version), *((_execution_evidence(last),) if last else ())))


def _boot_evidence(boot: BootRecord) -> Evidence:
    bank = f" bank {boot.bank}" if boot.bank is not None else ""
    return at("boot", boot.ecu, boot.t_ns, f"{boot.stage}{bank}: {boot.reason}")


def _execution_evidence(execution: ExecutionRecord) -> Evidence:
    version = executed_version(execution) or "an unreadable header"
    return at("execution", execution.ecu, execution.t_ns, f"executes {version} from bank {execution.bank}")
