"""What was executed against what flash holds: entry address, hash, and changes under way."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from bench.core.records import ExecutionRecord, FlashOperation, MemoryRegion, RunRecord
from bench.oracle.invariants.authentic import authentic
from bench.oracle.invariants.whole import whole
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import MS, NEW, S, healthy


def with_run(record: RunRecord, n: int, **changed: Any) -> RunRecord:
    """Change the n-th execution."""
    executions = list(record.executions or ())
    executions[n] = replace(executions[n], **changed)
    return replace(record, executions=tuple(executions))


def operation(t_ns: int, region: str, kind: str = "program", ecu: str = "body") -> FlashOperation:
    return FlashOperation(t_ns, ecu, kind, region, 0x200, 256)


def last_of(record: RunRecord, ecu: str) -> int:
    """The index of an ECU's last execution."""
    return max(n for n, run in enumerate(record.executions or ()) if run.ecu == ecu)


@pytest.mark.parametrize("entry", [-1, len(NEW["body"].data), 0xF00000])
def test_entry_outside_the_signed_range_is_not_authentic(entry: int) -> None:
    base = healthy()
    n = last_of(base, "body")
    assert authentic(base).verdict is Verdict.PASS
    found = authentic(with_run(base, n, entry_address=entry & 0xFFFF_FFFF))
    assert found.verdict is Verdict.FAIL
    assert "outside the image" in found.sentence
    assert authentic(with_run(base, n, entry_address=len(NEW["body"].data) - 1)).verdict is Verdict.PASS


@pytest.mark.parametrize("region", ["image:A", "header:A", "mark:A"])
@pytest.mark.parametrize("kind", ["program", "erase"])
def test_change_of_the_bank_that_is_executed_breaks_whole(region: str, kind: str) -> None:
    base = replace(healthy(), flash_operations=(operation(5 * S + 31 * MS, region, kind),))
    found = whole(base)
    assert found.verdict is Verdict.FAIL
    assert "while it executed from there" in found.sentence
    assert f"{kind} of 256 bytes at {region}" in found.evidence[0].text


@pytest.mark.parametrize(
    "done",
    [
        operation(4 * S + 500 * MS, "image:A"),
        operation(7 * S, "image:B"),
        operation(7 * S, "image:A", ecu="gateway"),
        operation(7 * S, "image:A", kind="rot"),
    ],
    ids=["between two executions", "other bank", "the bank left", "bit rot"],
)
def test_change_of_what_is_not_executed_is_no_finding(done: FlashOperation) -> None:
    base = healthy()
    first = min(n for n, run in enumerate(base.executions or ()) if run.ecu == "body")
    base = with_run(base, first, ended_t_ns=4 * S, end_cause="programming asked")
    gateway = min(n for n, run in enumerate(base.executions or ()) if run.ecu == "gateway")
    base = with_run(base, gateway, ended_t_ns=4 * S, end_cause="programming asked")
    assert whole(replace(base, flash_operations=(*rewritten_body(), done))).verdict is Verdict.PASS


def test_hash_in_the_record_that_the_flash_does_not_have_breaks_whole_unless_it_was_rewritten() -> None:
    base = healthy()
    base = replace(base, flash_operations=())
    assert whole(base).verdict is Verdict.FAIL, "the body's first image is not in flash, and nothing was written"
    rewritten = operation(4 * S, "image:A"), operation(4 * S, "header:A", "erase")
    first = min(n for n, run in enumerate(base.executions or ()) if run.ecu == "body")
    base = replace(with_run(base, first, ended_t_ns=4 * S), flash_operations=rewritten)
    assert whole(base).verdict is Verdict.PASS
    lying = with_run(base, last_of(base, "body"), image_sha256="00" * 32)
    found = whole(lying)
    assert found.verdict is Verdict.FAIL
    assert "did not execute what its flash holds" in found.sentence


def test_torn_cells_decide_nothing_about_an_earlier_execution() -> None:
    base = replace(healthy(), flash_operations=())
    dumps = tuple(
        replace(dump, regions=tuple(replace(region, torn=((0, 256),)) for region in dump.regions))
        for dump in base.flash or ()
    )
    assert "did not execute" not in whole(replace(base, flash=dumps)).sentence


def built_in(data: bytes) -> ExecutionRecord:
    return ExecutionRecord(3 * S, "body", "boot", 0xF80000, b"", hashlib.sha256(data).hexdigest(), 0, 4 * S, "reset")


def test_bootloader_that_is_programmed_while_it_runs_breaks_whole() -> None:
    base = replace(with_run(healthy(), 0, ended_t_ns=4 * S), bootloader_runs=(built_in(b"x"),))
    during = whole(replace(base, flash_operations=(operation(3 * S + MS, "boot"), *rewritten_body())))
    assert during.verdict is Verdict.FAIL
    assert "bank boot" in during.sentence
    after = replace(base, flash_operations=(operation(4 * S, "boot"), *rewritten_body()))
    assert whole(after).verdict is Verdict.PASS


def rewritten_body() -> tuple[FlashOperation, ...]:
    return operation(4 * S, "image:A"), operation(4 * S, "header:A")


def test_bootloader_whose_hash_the_flash_does_not_have_breaks_whole() -> None:
    held = MemoryRegion("boot", 0xF80000, b"bootloader")
    base = healthy()
    dumps = tuple(replace(dump, regions=(*dump.regions, held)) for dump in base.flash or ())
    base = with_run(base, 0, ended_t_ns=4 * S)
    base = replace(base, flash=dumps, flash_operations=rewritten_body(), bootloader_runs=(built_in(b"bootloader"),))
    assert whole(base).verdict is Verdict.PASS
    lying = replace(base, bootloader_runs=(built_in(b"another"),))
    assert whole(lying).verdict is Verdict.FAIL
    assert "boot holds" in str(whole(lying).evidence)
