"""Server said, vehicle is: what the server believes of each ECU beside what the bench's own tester read."""

from __future__ import annotations

from bench.core.canonical import sha256_hex
from bench.core.records import EcuLayout, RunRecord, ServerEvent
from bench.evidence.memory_view import EQUALS, banks_of
from bench.evidence.timeline_view import version_of
from bench.evidence.uds_names import DIDS
from bench.evidence.view import Comparison, Reading

VERSION_DID = 0xF189
SCOMO_OK = 1200
UNKNOWN = "unknown"
VEHICLE = "vehicle"


def readings_of(record: RunRecord) -> tuple[Reading, ...]:
    """Return what was read after the run."""
    return tuple(
        Reading(
            t_ns=reading.t_ns,
            ecu=reading.ecu,
            did=reading.did,
            name=DIDS.get(reading.did, "data identifier"),
            value=None if reading.value is None else _text(reading.value),
        )
        for reading in record.readings.items
    )


def comparisons_of(record: RunRecord) -> tuple[Comparison, ...]:
    """Return version and result of each ECU, then the state of the last order."""
    rows = []
    for layout in record.layouts:
        rows += [_version(record, layout), _result(record, layout)]
    return (*rows, _order(record))


def _text(value: bytes) -> str:
    stripped = value.rstrip(b"\x00 ")
    if stripped and all(32 <= byte < 127 for byte in stripped):
        return stripped.decode("ascii")
    return value.hex(" ").upper() or "(empty)"


def _last(record: RunRecord, kind: str, ecu: str | None = None) -> ServerEvent | None:
    events = [e for e in record.server_events.items if e.kind == kind and (ecu is None or e.data.get("ecu") == ecu)]
    return events[-1] if events else None


def _version(record: RunRecord, layout: EcuLayout) -> Comparison:
    event = _last(record, "inventory")
    ecus = event.data.get("ecus") if event else None
    said = ecus.get(layout.ecu) if isinstance(ecus, dict) else None
    readings = [r for r in record.readings.items if r.ecu == layout.ecu and r.did == VERSION_DID]
    found = readings[-1].value if readings else None
    vehicle = "not read" if not readings else "no answer" if found is None else _text(found)
    agrees = None if said is None or not readings else (said or "no answer") == vehicle
    flaw = _flaw(record, layout.ecu) if found is not None else None
    if flaw is not None:  # an ECU says its version whatever became of the bytes behind it
        vehicle, agrees = f"{vehicle}, but {flaw}", None if agrees is None else False
    server = UNKNOWN if said is None else str(said) or "no version (bootloader)"
    return Comparison(ecu=layout.ecu, what="software version", server=server, vehicle=vehicle, agrees=agrees)


def _result(record: RunRecord, layout: EcuLayout) -> Comparison:
    event = _last(record, "component_result", layout.ecu)
    runs, at_target = _runs(record, layout.ecu)
    if event is None:
        return Comparison(ecu=layout.ecu, what="result of the update", server="none", vehicle=runs, agrees=None)
    code = event.data.get("result_code")
    said = f"{code} {event.data.get('text') or ('success' if code == SCOMO_OK else '')}".strip()
    agrees = None if at_target is None else (code == SCOMO_OK) == at_target
    return Comparison(ecu=layout.ecu, what="result of the update", server=said, vehicle=runs, agrees=agrees)


def _runs(record: RunRecord, ecu: str) -> tuple[str, bool | None]:
    """Return what the ECU runs at the end, and whether that is the target (None when not observed)."""
    if not record.boots.watched or not record.executions.watched:
        return "not observed", None
    boots = [boot for boot in record.boots.items if boot.ecu == ecu]
    executions = [execution for execution in record.executions.items if execution.ecu == ecu]
    if not boots:
        return "never booted", False
    if boots[-1].stage == "bootloader" or not executions:
        return "runs its bootloader", False
    words, flaw = version_of(record, executions[-1].header), _flaw(record, ecu)
    running = f"executes {words}, bank {executions[-1].bank}"
    return (running, words.startswith("target")) if flaw is None else (f"{running}, but {flaw}", False)


def _flaw(record: RunRecord, ecu: str) -> str | None:
    """Return how the bank that runs at the end differs from the image that its header names; None: not at all.

    Where flash cannot be read, the hash that was taken when the image began to run is all there is to compare.
    """
    bank = next((bank for bank in banks_of(record) if bank.ecu == ecu and bank.running), None)
    if bank is not None:
        if bank.role in ("target", "installed"):
            return None
        return f"its header is {bank.header}" if bank.image.startswith(EQUALS) else bank.image
    executions = [execution for execution in record.executions.items if execution.ecu == ecu]
    reference = next((r for r in record.references if executions and r.header == executions[-1].header), None)
    if reference is None or sha256_hex(reference.data) == executions[-1].image_sha256:
        return None
    return f"other bytes than {reference.role} {reference.version} were executed"


def _order(record: RunRecord) -> Comparison:
    closed, placed = _last(record, "order_closed"), _last(record, "order_placed")
    states = [_runs(record, layout.ecu)[1] for layout in record.layouts if _targeted(record, layout.ecu)]
    known = [state for state in states if state is not None]
    if not known or len(known) < len(states):
        vehicle = "not observed"
    else:
        vehicle = f"{sum(known)} of {len(known)} ECUs at the target"
    if closed is None:
        server = "open" if placed else "no order"
        return Comparison(ecu=VEHICLE, what="order", server=server, vehicle=vehicle, agrees=None)
    status = str(closed.data.get("status", UNKNOWN))
    agrees = None if vehicle == "not observed" else (status == "success") == all(known)
    return Comparison(ecu=VEHICLE, what="order", server=status, vehicle=vehicle, agrees=agrees)


def _targeted(record: RunRecord, ecu: str) -> bool:
    return any(reference.ecu == ecu and reference.role == "target" for reference in record.references)
