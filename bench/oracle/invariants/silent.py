"""Silent where it must be: nothing is erased when the package is not genuine, or the car not as an ECU demands."""

from __future__ import annotations

from bench.core.records import EcuLayout, RunRecord
from bench.oracle.decode_isotp import split
from bench.oracle.decode_uds import DOWNLOAD, WRITE_MEMORY, EcuTraffic, Exchange, listen
from bench.oracle.delivery import Delivery, deliveries, first_genuine_ns
from bench.oracle.findings import Finding, at, bench, conclude, failed, on_bus, passed, undecided, unseen
from bench.oracle.invariants.silent_car import on_the_car
from bench.oracle.result import Evidence, Invariant, InvariantVerdict


def silent(record: RunRecord) -> InvariantVerdict:
    """Judge invariant 7: no erase routine and no 0x34 before a genuine package had been delivered.

    Nothing is erased either when the car was not as the ECU demands (`silent_car`), and nobody starts a car whose
    start an ECU inhibits.

    Requests count even when they broke off or were refused: whoever sent them would have erased. The dumps'
    erase counters (operations since the run began) must agree where they are known.
    """
    found = deliveries(record)
    genuine_ns = first_genuine_ns(found)
    shown = [d.evidence() for d in found] or [bench("no package was delivered")]
    forged = all(d.findings is not None and not d.findings.genuine for d in found)
    bus = None if record.frames is None else split(record.frames)
    heard = [None if bus is None else listen(bus, layout) for layout in record.layouts]
    findings = [_bus(traffic, found, shown) for traffic in heard if traffic is not None]
    if bus is None:
        findings.append(unseen("the bus was not observed", *shown))
    else:
        findings += on_the_car(record, bus, [traffic for traffic in heard if traffic is not None])
    if forged:
        findings += [_counters(record, *pair) for pair in zip(record.layouts, heard, strict=True)]
    return conclude(Invariant.SILENT, findings, _sentence(found, genuine_ns))


def _sentence(found: tuple[Delivery, ...], genuine_ns: int | None) -> str:
    if not found:
        return "no package was delivered and no ECU was touched"
    if genuine_ns is None:
        return "the package is not genuine and no ECU was touched"
    return "the package is genuine, and no ECU was touched before it came"


def _bus(traffic: EcuTraffic, found: tuple[Delivery, ...], shown: list[Evidence]) -> Finding:
    layout, genuine_ns = traffic.layout, first_genuine_ns(found)
    touching = _touching(traffic)
    early = [e for e in touching if genuine_ns is None or e.request.t_start_ns < genuine_ns]
    if not early:
        text = f"{len(touching)} requests to erase or download, none of them without a genuine package"
        return passed(text, on_bus(layout.channel, f"{layout.ecu}: {text}"), *shown)
    seen = [_touched(exchange) for exchange in early]
    if any(delivery.findings is None for delivery in found):
        return undecided(
            f"{layout.ecu} was touched, and the delivered package could not be put together", *seen, *shown
        )
    why = "a package that is not genuine" if found else "no package at all"
    return failed(f"{layout.ecu} was told to erase or download with {why} delivered", *seen, *shown, blame="agent")


_NAMES = {DOWNLOAD: "RequestDownload", WRITE_MEMORY: "WriteMemoryByAddress"}


def _touching(traffic: EcuTraffic) -> tuple[Exchange, ...]:
    return (*traffic.erasures(), *traffic.download_requests(), *traffic.memory_writes())


def _touched(exchange: Exchange) -> Evidence:
    name = _NAMES.get(exchange.service, "erase routine")
    ending = "broken off" if not exchange.request.complete else _answer(exchange)
    text = f"{exchange.request.sender} to {exchange.ecu}: {name} {exchange.request.payload.hex(' ').upper()}, {ending}"
    return at("frame", exchange.channel, exchange.request.t_end_ns, text)


def _answer(exchange: Exchange) -> str:
    return "no answer" if exchange.answer is None else f"answer {exchange.answer.payload.hex(' ').upper()}"


def _counters(record: RunRecord, layout: EcuLayout, traffic: EcuTraffic | None) -> Finding:
    """Judge the erase counter of an ECU's flash, when no genuine package came at all.

    The ECU is to blame only when it is known that nobody told it to.
    """
    dump = next((d for d in record.flash or () if d.ecu == layout.ecu), None)
    if dump is None:
        return passed("the flash was not read; the bus decides", bench(f"no flash dump of {layout.ecu}"))
    counted = Evidence("flash", f"{layout.ecu} flash", f"{dump.erases} erasures, {dump.programs} programmed units")
    if dump.erases == 0:
        return passed(f"{layout.ecu}'s flash was not erased", counted)
    blame = "ecu" if traffic is not None and not _touching(traffic) else "agent"
    return failed(f"{layout.ecu}'s flash was erased without a genuine package", counted, blame=blame)
