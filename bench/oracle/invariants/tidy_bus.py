"""The part of *tidy* that is heard on the bus: what was switched off is restored, nothing erased or flashed twice."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.records import EcuLayout, RunRecord
from bench.oracle.car import inhibits
from bench.oracle.decode_image import header_or_none
from bench.oracle.decode_isotp import Bus, split
from bench.oracle.decode_uds import COMMUNICATION, DTC_SETTING, Download, EcuTraffic, Exchange, functional, listen
from bench.oracle.findings import Finding, at, bench, failed, on_bus, passed, undecided, unseen
from bench.oracle.result import Evidence

_ON = {COMMUNICATION: (0x00, 0x05), DTC_SETTING: (0x01,)}
"""Sub-functions that restore; every other one takes something away (ISO 14229-1, 0x28 and 0x85)."""
_NAMES = {COMMUNICATION: "normal communication (28)", DTC_SETTING: "DTC setting (85)"}


@dataclass(frozen=True, slots=True)
class _Switch:
    """The last command to an ECU of one service."""

    on: bool
    exchange: Exchange


def on_the_bus(record: RunRecord) -> list[Finding]:
    """Return the findings of all parts; not observed without frames."""
    if record.frames is None:
        return [unseen("the bus was not observed", bench("no frames"))]
    bus = split(record.frames)
    heard = [listen(bus, layout) for layout in record.layouts]
    to_all = functional(bus, record)
    restored = [_restored(traffic, to_all, service) for traffic in heard for service in _ON]
    once = [judged(record, traffic) for traffic in heard for judged in (_flashed_once, _erased_once)]
    return restored + once + [_start_allowed(bus, layout) for layout in record.layouts if layout.inhibit is not None]


def _start_allowed(bus: Bus, layout: EcuLayout) -> Finding:
    """Judge whether an ECU that may inhibit the start of the car has allowed it again at the end."""
    words = inhibits(bus, layout)
    if not words:
        return undecided(f"{layout.ecu} said nothing of the start of the car", bench("no frame with its inhibit bit"))
    said = "inhibits" if words[-1].on else "allows"
    seen = at("frame", layout.channel, words[-1].t_ns, f"{layout.ecu} {said} the start, from then on")
    if words[-1].on:
        return failed(f"{layout.ecu} still inhibits the start of the car", seen, blame="bootloader")
    return passed(f"{layout.ecu} allows the start of the car", seen)


def _restored(traffic: EcuTraffic, to_all: tuple[Exchange, ...], service: int) -> Finding:
    """Judge the last command that reached the ECU, functional or physical; a refused one changed nothing.

    A reset of the ECU is no substitute: other ECUs that heard the same functional command were not reset.
    """
    layout = traffic.layout
    heard = [e for e in to_all if e.channel == layout.channel] + [e for e in traffic.exchanges if not e.negative]
    mine = sorted((e for e in heard if _is_switch(e, service)), key=lambda e: e.request.t_end_ns)
    if not mine:
        nothing = on_bus(layout.channel, f"nobody changed {_NAMES[service]} of {layout.ecu}")
        return passed(f"{_NAMES[service]} of {layout.ecu} was not touched", nothing)
    last = _Switch(mine[-1].sub_function in _ON[service], mine[-1])
    if last.on:
        return passed(f"{_NAMES[service]} of {layout.ecu} is restored", _command(last.exchange))
    sentence = f"{_NAMES[service]} of {layout.ecu} was switched off and never on again"
    return failed(sentence, _command(last.exchange), blame="flasher")


def _is_switch(exchange: Exchange, service: int) -> bool:
    return exchange.service == service and exchange.request.complete and exchange.sub_function is not None


def _command(exchange: Exchange) -> Evidence:
    whom = "all ECUs" if exchange.ecu is None else exchange.ecu
    text = f"{exchange.request.sender} to {whom}: {exchange.request.payload.hex(' ').upper()}"
    return at("frame", exchange.channel, exchange.request.t_end_ns, text)


def _flashed_once(record: RunRecord, traffic: EcuTraffic) -> Finding:
    """Judge whether an image was downloaded again although it stood in flash completely checked."""
    layout = traffic.layout
    complete = [d for d in traffic.downloads if d.completed_t_ns is not None]
    for first, again in ((a, b) for i, a in enumerate(complete) for b in complete[i + 1 :]):
        same = (first.address, first.data) == (again.address, again.data)
        if same and first.address != layout.header_address and _needless(record, traffic, first, again):
            sentence = f"{layout.ecu} was flashed again with the image that it already held, checked"
            return failed(sentence, *(_download(layout, d) for d in (first, again)), blame="flasher")
    shown = [_download(layout, d) for d in complete if d.address != layout.header_address]
    none = on_bus(layout.channel, f"no image was downloaded into {layout.ecu}")
    return passed(f"{layout.ecu} was flashed no more than necessary", *(shown or [none]))


def _download(layout: EcuLayout, download: Download) -> Evidence:
    text = f"{layout.ecu}: {len(download.data)} bytes at 0x{download.address:08X} completed"
    return at("frame", layout.channel, download.completed_t_ns or download.t_start_ns, text)


def _needless(record: RunRecord, traffic: EcuTraffic, first: Download, again: Download) -> bool:
    """Return whether nothing excuses the second download.

    The first must have been checked before it. A power loss or an injected fault since that check was asked for
    excuses it (its answer may be lost; a torn mark, a flipped bit, an agent that forgot), unless the ECU executed
    that very image afterwards.
    """
    first_ns, again_ns = first.completed_t_ns or first.t_start_ns, again.t_start_ns
    answered = (e for e in traffic.checks_passed() if e.answered_t_ns is not None)
    check = next((e for e in answered if first_ns <= (e.answered_t_ns or 0) <= again_ns), None)
    if check is None:
        return False
    asked_ns = check.request.t_start_ns
    excuses = [p.t_ns for p in record.power if not p.on] + [f.t_ns for f in record.faults if f.t_ns is not None]
    last_ns = max((t_ns for t_ns in excuses if asked_ns <= t_ns <= again_ns), default=None)
    return last_ns is None or _executed_since(record, traffic.layout, first, last_ns, again_ns)


def _erased_once(record: RunRecord, traffic: EcuTraffic) -> Finding:
    """Judge whether a range was erased again although no download had been started since it was erased.

    Only obeyed requests count. A fault or a power loss meanwhile excuses the second one: its answer may have been
    lost, or the tester forgot.
    """
    layout = traffic.layout
    obeyed = [e for e in traffic.erasures() if e.positive]
    starts = [e.request.t_start_ns for e in traffic.download_requests()]
    for first, again in ((a, b) for i, a in enumerate(obeyed) for b in obeyed[i + 1 :]):
        since_ns, until_ns = first.request.t_start_ns, again.request.t_end_ns
        used = any(since_ns <= t_ns <= until_ns for t_ns in starts)
        if not used and _overlap(first, again) and not _disturbed(record, since_ns, until_ns):
            sentence = f"needless erase: {layout.ecu} was erased again before anything was downloaded"
            return failed(sentence, _command(first), _command(again), blame="flasher")
    text = f"{layout.ecu}: {len(obeyed)} erasures, {len(starts)} requests to download"
    return passed(f"{layout.ecu} was erased no more than necessary", on_bus(layout.channel, text))


def _overlap(first: Exchange, again: Exchange) -> bool:
    """Return whether two erasures share bytes; ranges that cannot be read are taken to."""
    ranges = [_range(exchange.request.payload[4:]) for exchange in (first, again)]
    (start, end), (other_start, other_end) = (r or (0, 1 << 64) for r in ranges)
    return start < other_end and other_start < end


def _range(option: bytes) -> tuple[int, int] | None:
    """Read format, address and length (the format byte as in 0x34); None when the bytes are no such range."""
    size_bytes, address_bytes = (option[0] >> 4, option[0] & 0x0F) if option else (0, 0)
    if not size_bytes or not address_bytes or len(option) != 1 + address_bytes + size_bytes:
        return None
    start = int.from_bytes(option[1 : 1 + address_bytes], "big")
    return start, start + int.from_bytes(option[1 + address_bytes :], "big")


def _disturbed(record: RunRecord, since_ns: int, until_ns: int) -> bool:
    """Return whether the supply was off, or a fault was there, at some time in between."""
    if any(not p.on and since_ns <= p.t_ns <= until_ns for p in record.power):
        return True
    faults = [
        (f.t_ns, f.t_ns if f.restored_t_ns is None else f.restored_t_ns) for f in record.faults if f.t_ns is not None
    ]
    return any(begin <= until_ns and end >= since_ns for begin, end in faults)


def _executed_since(record: RunRecord, layout: EcuLayout, image: Download, after_ns: int, until_ns: int) -> bool:
    for execution in record.executions or ():
        header = header_or_none(execution.header)
        named = header is not None and header.length == len(image.data) and header.load_address == image.address
        if named and execution.ecu == layout.ecu and after_ns <= execution.t_ns <= until_ns:
            return _holds(record, execution.header, image.data)
    return False


def _holds(record: RunRecord, header: bytes, data: bytes) -> bool:
    return any(r.header == header and r.data == data for r in record.references)
