"""Tidy: communication, DTC setting, sessions and disk as before; no downgrade, no needless second flash."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.records import EcuLayout, ExecutionRecord, RunRecord, StoredFile
from bench.oracle.decode_image import header_or_none
from bench.oracle.findings import Finding, at, bench, conclude, failed, of_reading, passed, undecided, unseen
from bench.oracle.invariants.tidy_bus import on_the_bus
from bench.oracle.result import Evidence, Invariant, InvariantVerdict
from bench.oracle.running import ACTIVE_SESSION, answering, executed_version, reading
from bench.oracle.server_log import fold

DEFAULT_SESSION = b"\x01"
DISK_LIMIT_BYTES = 4096
"""What the agent may keep on its disk after the order in all; more is taken for an update's data."""


def tidy(record: RunRecord) -> InvariantVerdict:
    """Judge invariant 6 in five parts; one that this bench cannot observe leaves the whole not observed."""
    findings = [
        *on_the_bus(record),
        *(_session(record, layout) for layout in record.layouts),
        *_no_downgrade(record),
        _disk(record),
    ]
    return conclude(Invariant.TIDY, findings, "everything that the update changed on the way is as it was before")


def _session(record: RunRecord, layout: EcuLayout) -> Finding:
    read = reading(record, layout.ecu, ACTIVE_SESSION)
    if read is None:
        return undecided(f"the session of {layout.ecu} was not read", bench(f"no reading F186 of {layout.ecu}"))
    if read.value == DEFAULT_SESSION:
        return passed(f"{layout.ecu} is in the default session", of_reading(read))
    if read.value is None and answering(record, layout.ecu) is None:
        return undecided(f"{layout.ecu} answers nothing, so its session is unknown", of_reading(read))
    if read.value is None:
        return undecided(f"{layout.ecu} does not tell its session", of_reading(read))
    return failed(f"{layout.ecu} was left in session {read.value.hex().upper()}", of_reading(read), blame="flasher")


def _no_downgrade(record: RunRecord) -> list[Finding]:
    if record.executions is None:
        return [unseen("this bench cannot see what an ECU executes", bench("no execution records"))]
    return [_counters_rise(record, layout) for layout in record.layouts]


def _counters_rise(record: RunRecord, layout: EcuLayout) -> Finding:
    """Judge the release counters in order. Back to the installed image is a revert of what was not confirmed."""
    executed = [(e, header_or_none(e.header)) for e in record.executions or () if e.ecu == layout.ecu]
    counters = [(e, header.release_counter) for e, header in executed if header is not None]
    highest = 0
    for execution, counter in counters:
        if counter < highest and not _is_installed(record, execution):
            sentence = f"{layout.ecu} went back from release counter {highest} to {counter}, not to what was installed"
            return failed(sentence, *(_ran(e, c) for e, c in counters), blame="ecu")
        highest = max(highest, counter)
    nothing = bench(f"{layout.ecu} executed no image during the run")
    return passed(f"{layout.ecu} was not downgraded", *([_ran(e, c) for e, c in counters] or [nothing]))


def _ran(execution: ExecutionRecord, counter: int) -> Evidence:
    text = f"{executed_version(execution)}, release counter {counter}, floor {execution.release_floor}"
    return at("execution", execution.ecu, execution.t_ns, text)


def _is_installed(record: RunRecord, execution: ExecutionRecord) -> bool:
    before = [r.header for r in record.references if r.ecu == execution.ecu and r.role == "installed"]
    return execution.header in before


def _disk(record: RunRecord) -> Finding:
    """Judge the agent's disk once every order is closed."""
    if record.agent_files is None:
        return unseen("the agent's disk was not read", bench("no list of the agent's files"))
    log = fold(record)
    if not all(log.closings_of(order.order) for order in log.orders):
        return undecided("an order is open, so the agent may still need its files", bench("an order is open"))
    left = [file for file in record.agent_files if _belongs_to_an_update(file, record.package_url_suffix)]
    if left:
        sentence = f"{len(left)} files of the update are left on the agent's disk"
        return failed(sentence, *(_file(file) for file in left), blame="agent")
    held_bytes = sum(file.size_bytes for file in record.agent_files)
    if held_bytes > DISK_LIMIT_BYTES:
        total = Evidence("disk", "agent", f"{held_bytes} bytes in all, allowed are {DISK_LIMIT_BYTES}")
        sentence = f"more than {DISK_LIMIT_BYTES} bytes are left on the agent's disk"
        return failed(sentence, total, *_listing(record.agent_files), blame="agent")
    return passed("the agent's disk is free of the update", *_listing(record.agent_files))


def _belongs_to_an_update(file: StoredFile, suffix: str) -> bool:
    name = suffix.rsplit("/", 1)[-1]
    return file.path.endswith(suffix) or (name != "" and file.path.endswith(name))


def _file(file: StoredFile) -> Evidence:
    return Evidence("disk", file.path, f"{file.size_bytes} bytes")


def _listing(files: Sequence[StoredFile]) -> list[Evidence]:
    return [_file(file) for file in files] or [Evidence("disk", "agent", "no files")]
