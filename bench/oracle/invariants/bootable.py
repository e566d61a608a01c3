"""Bootable: once powered every ECU answers within its boot time, running old, new or (one bank) its bootloader."""

from __future__ import annotations

from bench.core.clock import NS_PER_MS
from bench.core.records import EcuLayout, RunRecord
from bench.oracle.decode_isotp import heard, split
from bench.oracle.findings import Finding, at, bench, conclude, failed, of_reading, passed, seconds, undecided, unseen
from bench.oracle.result import Evidence, Invariant, InvariantVerdict
from bench.oracle.running import SOFTWARE_VERSION, answering, executed_version, reading, running, version_text

_UP = ("bootloader", "application")
_Moment = tuple[int, str]


def bootable(record: RunRecord) -> InvariantVerdict:
    """Judge invariant 1. The readings after the run are the proof of life; boots (or, without them, the ECU's
    frames and readings) tell how long each start took."""
    findings = [
        finding
        for layout in record.layouts
        for finding in (_answers(record, layout), *_starts(record, layout), _runs(record, layout))
    ]
    return conclude(Invariant.BOOTABLE, findings, "every ECU answers, came up in time and runs what it may run")


def _answers(record: RunRecord, layout: EcuLayout) -> Finding:
    asked = [r for r in record.readings if r.ecu == layout.ecu]
    if not asked:
        return unseen(f"{layout.ecu} was not asked after the run", bench(f"no reading of {layout.ecu}"))
    alive = answering(record, layout.ecu)
    if alive is None:
        dead = f"{layout.ecu} answers nothing after the run"
        return failed(dead, *(of_reading(r) for r in asked), *running(record, layout).evidence, blame="ecu")
    return passed(f"{layout.ecu} answers", of_reading(alive))


def _starts(record: RunRecord, layout: EcuLayout) -> list[Finding]:
    """Follow the ECU's starts (power-on, reset) and what took too long; one finding each that is not in time."""
    limit_ns = layout.boot_time_limit_ms * NS_PER_MS
    found: list[Finding] = []
    slowest_ns, starts, since = 0, 0, None
    for t_ns, what in _moments(record, layout):
        elapsed_ns = 0 if since is None else t_ns - since
        if since is not None and what in ("off", "up") and elapsed_ns > limit_ns:
            unseen_start = record.boots is None
            found.append(_silent_start(layout, since) if unseen_start else _late(layout, since, elapsed_ns, what))
        if what in ("on", "reset"):
            starts += since is None or what == "on"
            since = t_ns if since is None or what == "on" else since
        else:
            slowest_ns, since = max(slowest_ns, elapsed_ns if what == "up" else 0), None
    if since is not None:
        found.append(_open_start(record, layout, since))
    if found:
        return found
    text = f"{starts} starts, the slowest took {seconds(slowest_ns)}, allowed {seconds(limit_ns)}"
    source = "boot" if record.boots is not None else "power"
    return [passed(f"{layout.ecu} came up in time", Evidence(source, layout.ecu, text))]


def _moments(record: RunRecord, layout: EcuLayout) -> list[_Moment]:
    """Return on, off, reset (the boot manager runs) and up in order; supply first among equal instants."""
    supply = [(p.t_ns, 0, "on" if p.on else "off") for p in record.power if p.part == layout.ecu]
    signs = [(r.t_ns, 2, "up") for r in record.readings if r.ecu == layout.ecu and r.value is not None]
    if record.boots is not None:
        boots = [b for b in record.boots if b.ecu == layout.ecu]
        signs = [(b.t_ns, 1, "up" if b.stage in _UP else "reset") for b in boots]
    elif record.frames is not None:
        said = heard(split(f for f in record.frames if f.channel == layout.channel), layout.channel, layout.response)
        signs += [(frame.t_ns, 1, "up") for frame in said]
    return [(t_ns, what) for t_ns, _, what in sorted(supply + signs, key=lambda moment: moment[:2])]


def _late(layout: EcuLayout, since_ns: int, elapsed_ns: int, what: str) -> Finding:
    ending = "it came up" if what == "up" else "the supply went off again, and it had not come up"
    text = f"{seconds(elapsed_ns)} after its start {ending}; allowed are {layout.boot_time_limit_ms} ms"
    sentence = f"{layout.ecu} did not boot within {layout.boot_time_limit_ms} ms"
    return failed(sentence, at("boot", layout.ecu, since_ns, text), blame="bootloader")


def _silent_start(layout: EcuLayout, since_ns: int) -> Finding:
    text = "start; nobody heard of it within its boot time, and boots are not observed"
    return unseen(f"how long {layout.ecu} took to boot was not observed", at("power", layout.ecu, since_ns, text))


def _open_start(record: RunRecord, layout: EcuLayout, since_ns: int) -> Finding:
    if record.boots is None:
        return _silent_start(layout, since_ns)
    limit_ns = layout.boot_time_limit_ms * NS_PER_MS
    horizon_ns = max([record.ended_t_ns, *(r.t_ns for r in record.readings)])
    if horizon_ns - since_ns > limit_ns:
        text = f"no boot followed until {seconds(horizon_ns)}"
        sentence = f"{layout.ecu} never came up after its last start"
        return failed(sentence, at("boot", layout.ecu, since_ns, text), blame="bootloader")
    ended = at("time", layout.ecu, since_ns, f"started {seconds(horizon_ns - since_ns)} before the end of the run")
    return undecided(f"the run ended while {layout.ecu} was still booting", ended)


def _runs(record: RunRecord, layout: EcuLayout) -> Finding:
    """Judge what runs at the end. A version that is read beats the boot records, which are older."""
    ends = running(record, layout)
    asked = reading(record, layout.ecu, SOFTWARE_VERSION)
    if answering(record, layout.ecu) is None:
        return passed(f"what {layout.ecu} runs does not matter, it was not heard", *ends.evidence)
    if asked is not None and asked.value is not None:
        return _judge_version(record, layout, version_text(asked), (of_reading(asked), *ends.evidence))
    if ends.stage == "application" and ends.execution is not None:
        return _judge_version(record, layout, executed_version(ends.execution) or "", ends.evidence)
    if ends.stage != "bootloader":
        return undecided(f"the record does not say what {layout.ecu} runs ({ends.stage})", *ends.evidence)
    if len(layout.banks) > 1:
        sentence = f"{layout.ecu} has {len(layout.banks)} banks and was left in its bootloader"
        return failed(sentence, *ends.evidence, blame="bootloader")
    return passed(f"{layout.ecu} runs its bootloader", *ends.evidence)


def _judge_version(record: RunRecord, layout: EcuLayout, version: str, seen: tuple[Evidence, ...]) -> Finding:
    known = [r.version for r in record.references if r.ecu == layout.ecu]
    if not known:
        return undecided(f"no genuine image of {layout.ecu} is known to compare with", *seen, blame="bench")
    if version not in known:
        sentence = f"{layout.ecu} runs {version!r}, neither old nor new ({', '.join(known)})"
        return failed(sentence, *seen, blame="ecu")
    return passed(f"{layout.ecu} runs {version}", *seen)
