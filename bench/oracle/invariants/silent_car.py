"""The part of *silent* that looks at the car: preconditions when programming began, and no start while inhibited."""

from __future__ import annotations

from bench.core.records import BootRecord, ConditionRecord, EcuLayout, RunRecord
from bench.oracle.car import engine_starts, inhibits, unmet
from bench.oracle.decode_isotp import Bus
from bench.oracle.decode_uds import SESSION, EcuTraffic, Exchange
from bench.oracle.findings import Finding, at, bench, failed, on_bus, passed, unseen
from bench.oracle.result import Evidence

PROGRAMMING = 0x02


def on_the_car(record: RunRecord, bus: Bus, heard: list[EcuTraffic]) -> list[Finding]:
    """Return the findings about ECUs that demand something of the car or inhibit its start."""
    demanding = [traffic for traffic in heard if traffic.layout.demands]
    inhibiting = [traffic for traffic in heard if traffic.layout.inhibit is not None]
    if record.conditions is None or record.boots is None:
        seen = bench("no record of the car's state, or of the ECUs' boots")
        return [unseen(f"the car around {t.layout.ecu} was not observed", seen) for t in demanding or inhibiting]
    findings = [_demands(traffic, record.conditions, record.boots) for traffic in demanding]
    return findings + [_not_started(record, bus, traffic, record.boots) for traffic in inhibiting]


def _demands(traffic: EcuTraffic, conditions: tuple[ConditionRecord, ...], boots: tuple[BootRecord, ...]) -> Finding:
    """Judge what an application let pass into programming that was followed by an erase.

    A bootloader that finds itself without an application knows nothing of the car, so it is not judged.
    """
    layout = traffic.layout
    entries = [e for e in traffic.exchanges if _enters_programming(e) and _application_ran(layout, boots, e)]
    for number, entry in enumerate(entries):
        until_ns = entries[number + 1].request.t_start_ns if number + 1 < len(entries) else None
        erased = [e for e in traffic.erasures() if not e.negative and _between(e, entry, until_ns)]
        missing = unmet(layout, conditions, entry.request.t_end_ns)
        if erased and missing:
            seen = [at("condition", layout.ecu, entry.request.t_end_ns, each.text()) for each in missing]
            sentence = f"{layout.ecu} was erased although the car was not as it demands: {missing[0].demand.key}"
            return failed(sentence, *seen, _asked(layout, erased[0]), blame="ecu")
    text = f"{layout.ecu} began programming {len(entries)} times, with everything as it demands wherever it was erased"
    return passed(text, on_bus(layout.channel, text))


def _enters_programming(exchange: Exchange) -> bool:
    return exchange.service == SESSION and exchange.sub_function == PROGRAMMING and exchange.positive


def _application_ran(layout: EcuLayout, boots: tuple[BootRecord, ...], entry: Exchange) -> bool:
    before = [b for b in boots if b.ecu == layout.ecu and b.t_ns <= entry.request.t_end_ns]
    return bool(before) and before[-1].stage == "application"


def _between(exchange: Exchange, entry: Exchange, until_ns: int | None) -> bool:
    began_ns = exchange.request.t_start_ns
    return began_ns > entry.request.t_end_ns and (until_ns is None or began_ns < until_ns)


def _asked(layout: EcuLayout, exchange: Exchange) -> Evidence:
    text = f"{exchange.request.sender} to {layout.ecu}: {exchange.request.payload.hex(' ').upper()}"
    return at("frame", layout.channel, exchange.request.t_end_ns, text)


def _not_started(record: RunRecord, bus: Bus, traffic: EcuTraffic, boots: tuple[BootRecord, ...]) -> Finding:
    """Judge every engine start: none while the ECU inhibits it, none while it has no application at all."""
    layout, words = traffic.layout, inhibits(bus, traffic.layout)
    for start in engine_starts(record):
        said = [word for word in words if word.t_ns <= start.t_ns]
        started = at("condition", "car", start.t_ns, f"engine started: {start.cause}")
        if said and said[-1].on:
            why = at("frame", layout.channel, said[-1].t_ns, f"{layout.ecu} inhibits the start")
            return failed(f"the car was started while {layout.ecu} inhibited it", started, why, blame="ecu")
        erased = _without_application(traffic, boots, start.t_ns)
        if erased is not None:
            sentence = f"the car was started while {layout.ecu} had no application, and nothing inhibited it"
            return failed(sentence, started, _asked(layout, erased), blame="bootloader")
    refused = [c for c in record.conditions or () if not c.accepted]
    seen = [at("condition", "car", c.t_ns, f"{c.key} refused: {c.cause}") for c in refused]
    text = f"{len(words)} changes of the inhibit signal of {layout.ecu}, no start while it was set"
    return passed(text, on_bus(layout.channel, text), *seen)


def _without_application(traffic: EcuTraffic, boots: tuple[BootRecord, ...], t_ns: int) -> Exchange | None:
    """Return the erase of an only bank that no start of an application has followed until then, or None."""
    layout = traffic.layout
    if len(layout.banks) > 1:
        return None
    erased = [e for e in traffic.erasures() if e.positive and (e.answered_t_ns or 0) <= t_ns]
    started = [b.t_ns for b in boots if b.ecu == layout.ecu and b.stage == "application" and b.t_ns <= t_ns]
    return erased[-1] if erased and (not started or started[-1] < erased[-1].request.t_start_ns) else None
