"""What an ECU does at the end of a run: which image it executes, or its bootloader, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.records import BootRecord, DidReading, EcuLayout, ExecutionRecord
from bench.oracle.decode_image import header_or_none
from bench.oracle.facts import Source
from bench.oracle.findings import at, bench, of_reading
from bench.oracle.result import Evidence
from bench.oracle.situation import APPLICATION, Situation

ACTIVE_SESSION, SOFTWARE_VERSION = 0xF186, 0xF189
"""Data identifiers of ISO 14229-1 that the bench's own tester reads after the run."""


@dataclass(frozen=True, slots=True)
class Running:
    """`stage` is application, bootloader, boot_manager, off (without supply), never_booted or unknown."""

    stage: str
    execution: ExecutionRecord | None
    evidence: tuple[Evidence, ...]


def version_text(found: DidReading) -> str:
    """Return a version as the server would know it: '' for none, without padding."""
    return "" if found.value is None else found.value.decode("ascii", "replace").strip("\x00 ")


def executed_version(execution: ExecutionRecord) -> str | None:
    """Return the version in the header of an executed image, or None when that is no header."""
    header = header_or_none(execution.header)
    return None if header is None else header.version


def running(situation: Situation, layout: EcuLayout) -> Running:
    """Return what the ECU does by now, by its boots where they are watched, else by what it answers."""
    facts, ecu = situation.facts, situation.ecus[layout.ecu]
    last = ecu.execution
    if not facts.watches(Source.BOOTS, layout.ecu):
        return _by_answers(situation, layout, last)
    if ecu.power is not None and not ecu.power.on:
        off = at("power", layout.ecu, ecu.power.t_ns, f"supply off: {ecu.power.cause}")
        return Running("off", None, (off,))
    if ecu.boot is None:
        return Running("never_booted", None, (bench(f"{layout.ecu} has no boot record"),))
    where = (_boot_evidence(ecu.boot),)
    if ecu.boot.stage != APPLICATION:
        return Running(ecu.boot.stage, None, where)
    missing = last is None or ecu.left_application_after(last.t_ns)
    if missing and facts.watches(Source.EXECUTIONS, layout.ecu):
        return Running("unknown", None, (*where, bench(f"{layout.ecu} has no execution record of this boot")))
    return Running(APPLICATION, last, (*where, *((_execution_evidence(last),) if last else ())))


def _by_answers(situation: Situation, layout: EcuLayout, last: ExecutionRecord | None) -> Running:
    version, alive = situation.reading(layout.ecu, SOFTWARE_VERSION), situation.answering(layout.ecu)
    if version is None or alive is None:
        return Running("unknown", None, (bench(f"{layout.ecu}: neither boots nor a software version were observed"),))
    if version.value is None:
        return Running("bootloader", None, (of_reading(version), of_reading(alive)))
    return Running(APPLICATION, last, (of_reading(version), *((_execution_evidence(last),) if last else ())))


def _boot_evidence(boot: BootRecord) -> Evidence:
    bank = f" bank {boot.bank}" if boot.bank is not None else ""
    return at("boot", boot.ecu, boot.t_ns, f"{boot.stage}{bank}: {boot.reason}")


def _execution_evidence(execution: ExecutionRecord) -> Evidence:
    version = executed_version(execution) or "an unreadable header"
    return at("execution", execution.ecu, execution.t_ns, f"executes {version} from bank {execution.bank}")
