"""Authentic: no ECU executes an image with wrong signature, hardware id or release counter, and none is sent to it."""

from __future__ import annotations

from bench.core.records import EcuLayout, ExecutionRecord, RunRecord
from bench.oracle.decode_image import Header, NotAHeader, decode_header, is_signed
from bench.oracle.decode_isotp import Bus, split
from bench.oracle.decode_uds import Block, listen
from bench.oracle.delivery import Delivery, deliveries
from bench.oracle.executing import entry_problem
from bench.oracle.findings import Finding, at, bench, conclude, failed, on_bus, passed, undecided, unseen
from bench.oracle.result import Evidence, Invariant, InvariantVerdict
from bench.oracle.running import SOFTWARE_VERSION, executed_version, reading

_ERASED = b"\xff"


def authentic(record: RunRecord) -> InvariantVerdict:
    """Judge invariant 2: every execution, and every byte in 0x36 where the bus is known."""
    findings = [*_executions(record), *_bootloaders(record), *_bus(record)]
    return conclude(
        Invariant.AUTHENTIC, findings, "only genuine images were executed, and no other one was sent to an ECU"
    )


def _executions(record: RunRecord) -> list[Finding]:
    if record.executions is None:
        return [unseen("this bench cannot see what an ECU executes", bench("no execution records"))]
    findings: list[Finding] = []
    for layout in record.layouts:
        mine = [e for e in record.executions if e.ecu == layout.ecu]
        findings += [_judge(record, layout, execution) for execution in mine]
        if not mine:
            findings.append(_none_executed(record, layout))
    strangers = [e for e in record.executions if e.ecu not in [layout.ecu for layout in record.layouts]]
    for stranger in strangers:
        what = at("execution", stranger.ecu, stranger.t_ns, f"bank {stranger.bank}")
        findings.append(
            undecided(f"{stranger.ecu} executed an image but is no ECU of this vehicle", what, blame="bench")
        )
    return findings


def _bootloaders(record: RunRecord) -> list[Finding]:
    """Judge bootloaders that have a header; one that is built in has nothing that could be wrong."""
    layouts = {layout.ecu: layout for layout in record.layouts}
    runs = [run for run in record.bootloader_runs or () if run.header and run.ecu in layouts]
    return [_judge(record, layouts[run.ecu], run) for run in runs]


def _none_executed(record: RunRecord, layout: EcuLayout) -> Finding:
    version = reading(record, layout.ecu, SOFTWARE_VERSION)
    booted = [b for b in record.boots or () if b.ecu == layout.ecu and b.stage == "application"]
    if booted or (version is not None and version.value is not None):
        text = f"{layout.ecu} shows an application but no execution was recorded"
        return undecided(text, bench(text), blame="bench")
    return passed(f"{layout.ecu} executed nothing", bench(f"{layout.ecu} executed no image during the run"))


def _judge(record: RunRecord, layout: EcuLayout, execution: ExecutionRecord) -> Finding:
    wrong = _what_is_wrong(record, layout, execution)
    version = executed_version(execution) or "an unreadable header"
    what = f"executes {version} from bank {execution.bank}"
    if not wrong:
        shown = f"{what}: signature, hardware id, hash and counter (floor {execution.release_floor}) are right"
        return passed(f"{layout.ecu} {what}", at("execution", layout.ecu, execution.t_ns, shown))
    seen = [at("execution", layout.ecu, execution.t_ns, f"{what}: {reason}") for reason in wrong]
    return failed(f"{layout.ecu} executed an image that it must refuse: {_short(wrong[0])}", *seen, blame="bootloader")


def _short(reason: str) -> str:
    """Return a reason without its figures, which stand in the evidence."""
    return reason.partition(": they hash to")[0].partition(" (")[0]


def _what_is_wrong(record: RunRecord, layout: EcuLayout, execution: ExecutionRecord) -> list[str]:
    try:
        header = decode_header(execution.header)
    except NotAHeader as error:
        return [f"the header slot holds no header ({error})"]
    if execution.header == layout.factory_bootloader:
        return _other_than_signed(execution, header)
    wrong = []
    if not is_signed(execution.header, record.image_public_key):
        wrong.append("the signature is not by the image key")
    if header.hardware_id != layout.hardware_id:
        wrong.append(f"it is for hardware {header.hardware_id!r}, the ECU is {layout.hardware_id!r}")
    if header.release_counter < execution.release_floor:
        wrong.append(f"release counter {header.release_counter} is below the floor {execution.release_floor}")
    return [*wrong, *_other_than_signed(execution, header)]


def _other_than_signed(execution: ExecutionRecord, header: Header) -> list[str]:
    """Return what was executed otherwise than the header says."""
    wrong = []
    entry = entry_problem(execution, header)
    if entry is not None:
        wrong.append(entry)
    if execution.image_sha256.lower() != header.sha256:
        found = execution.image_sha256 or "nothing"
        wrong.append(f"the bytes in flash are not the signed ones: they hash to {found}, signed is {header.sha256}")
    return wrong


def _bus(record: RunRecord) -> list[Finding]:
    """Look into every 0x36. Without a bus trace only packages that are all genuine say that nothing else was sent."""
    found = deliveries(record)
    shown = [delivery.evidence() for delivery in found] or [bench("no package was delivered")]
    if record.frames is not None:
        bus = split(record.frames)
        return [_sent_to(record, bus, layout, found, shown) for layout in record.layouts]
    if all(d.findings is not None and d.findings.genuine for d in found):
        return [passed("there was no package that is not genuine", *shown)]
    return [unseen("a package that is not genuine came, and the bus was not observed", *shown)]


def _sent_to(
    record: RunRecord, bus: Bus, layout: EcuLayout, found: tuple[Delivery, ...], shown: list[Evidence]
) -> Finding:
    blocks = listen(bus, layout).blocks
    if not all(block.readable for block in blocks):
        text = f"{layout.ecu} was sent packed data that this bench cannot unpack"
        return unseen(text, on_bus(layout.channel, text), *shown)
    filling = _ERASED * max((len(block.data) for block in blocks), default=0)
    genuine = [part + filling for part in _genuine_bytes(record, layout.ecu, found)] if blocks else []
    foreign = [block for block in blocks if not _is_part(block, genuine)]
    if not foreign:
        text = f"{len(blocks)} transfers to {layout.ecu}, all of them parts of genuine images"
        return passed(text, on_bus(layout.channel, text), *shown)
    if any(delivery.findings is None for delivery in found):
        return undecided(f"what was sent to {layout.ecu} cannot be compared with the package as it came", *shown)
    seen = [at("frame", layout.channel, b.t_ns, f"36: {len(b.data)} bytes of no genuine image") for b in foreign]
    sentence = f"{layout.ecu} was sent data that is not of a genuine image for it, in {len(foreign)} transfers"
    return failed(sentence, *seen, *shown, blame="agent")


def _genuine_bytes(record: RunRecord, ecu: str, found: tuple[Delivery, ...]) -> list[bytes]:
    """Return what may be sent to an ECU: the image it held before, and its images of genuine packages.

    A target reference counts only by a genuine package that holds it: a rightly signed image may be a rollback or
    for other hardware.
    """
    before = [r for r in record.references if r.ecu == ecu and r.role == "installed"]
    allowed = [part for r in before for part in (r.header, r.data)]
    for delivery in found:
        if delivery.findings is not None and delivery.findings.genuine:
            mine = [image for image in delivery.findings.images if image.ecu == ecu]
            allowed += [part for image in mine for part in (image.raw_header, image.data)]
    return allowed


def _is_part(block: Block, genuine: list[bytes]) -> bool:
    """Return whether the block stands somewhere in a genuine image, which is filled up with erased bytes."""
    return any(block.data in part for part in genuine) if block.data else True
