"""What was executed against what flash holds: entry address, hash, and changes under way."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from bench.core.records import ExecutionRecord, FlashOperation, MemoryRegion, RunRecord
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import MS, NEW, OLD, S, authentic, healthy, key, replace, whole


def with_run(record: RunRecord, n: int, **changed: Any) -> RunRecord:
    """Change the n-th execution."""
    executions = list(record.executions.items)
    executions[n] = replace(executions[n], **changed)
    return replace(record, executions=tuple(executions))


def operation(t_ns: int, region: str, kind: str = "program", ecu: str = "body") -> FlashOperation:
    return FlashOperation(t_ns, ecu, kind, region, 0x200, 256)


def last_of(record: RunRecord, ecu: str) -> int:
    """The index of an ECU's last execution."""
    return max(n for n, run in enumerate(record.executions.items) if run.ecu == ecu)


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
    first = min(n for n, run in enumerate(base.executions.items) if run.ecu == "body")
    base = with_run(base, first, ended_t_ns=4 * S, end_cause="programming asked")
    gateway = min(n for n, run in enumerate(base.executions.items) if run.ecu == "gateway")
    base = with_run(base, gateway, ended_t_ns=4 * S, end_cause="programming asked")
    assert whole(replace(base, flash_operations=(*rewritten_body(), done))).verdict is Verdict.PASS


def test_a_run_that_ended_in_the_instant_in_which_it_began_is_over() -> None:
    """A power cut at the jump itself: the bank that was left may be changed afterwards."""
    base = healthy()
    first = min(n for n, run in enumerate(base.executions.items) if run.ecu == "body")
    base = with_run(base, first, ended_t_ns=base.executions.items[first].t_ns, end_cause="power cut")
    assert whole(replace(base, flash_operations=rewritten_body())).verdict is Verdict.PASS


def test_hash_in_the_record_that_the_flash_does_not_have_breaks_whole_unless_it_was_rewritten() -> None:
    base = healthy()
    base = replace(base, flash_operations=())
    assert whole(base).verdict is Verdict.FAIL, "the body's first image is not in flash, and nothing was written"
    rewritten = operation(4 * S, "image:A"), operation(4 * S, "header:A", "erase")
    first = min(n for n, run in enumerate(base.executions.items) if run.ecu == "body")
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
        for dump in base.flash.items
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
    dumps = tuple(replace(dump, regions=(*dump.regions, held)) for dump in base.flash.items)
    base = with_run(base, 0, ended_t_ns=4 * S)
    base = replace(base, flash=dumps, flash_operations=rewritten_body(), bootloader_runs=(built_in(b"bootloader"),))
    assert whole(base).verdict is Verdict.PASS
    lying = replace(base, bootloader_runs=(built_in(b"another"),))
    assert whole(lying).verdict is Verdict.FAIL
    assert "boot holds" in str(whole(lying).evidence)


def with_header(text: bytes, *, hardware: str = "BCM-HW-03", key_name: str = "image", entry: int = 0xF80100) -> Any:
    """A run of a bootloader that has a header."""
    raw = header(text, hardware=hardware, key_name=key_name)
    return ExecutionRecord(3 * S, "body", "boot", entry, raw, hashlib.sha256(text).hexdigest(), 0, 4 * S, "reset")


def header(text: bytes, *, hardware: str, key_name: str) -> bytes:
    """A header by hand (docs/contracts.md, "Package and image")."""
    texts = b"".join(word.encode().ljust(32, b"\0") for word in (hardware, "BOOT", "BOOT-2"))
    numbers = b"".join(number.to_bytes(4, "big") for number in (2, 0xF80100, len(text)))
    signed = b"OTBIMG1\0" + texts + numbers + bytes(44) + hashlib.sha256(text).digest()
    return signed + key(key_name).sign(signed)


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (with_header(b"code"), None),
        (with_header(b"code", key_name="somebody"), "signature"),
        (with_header(b"code", hardware="OTHER"), "hardware"),
        (with_header(b"code", entry=0xF80104), "outside the image"),
        (replace(with_header(b"code"), image_sha256="00" * 32), "not the signed ones"),
        (built_in(b"rom"), None),
    ],
)
def test_bootloader_is_judged_like_an_image_where_it_has_a_header(run: ExecutionRecord, why: str | None) -> None:
    found = authentic(replace(healthy(), bootloader_runs=(run,)))
    assert found.verdict is (Verdict.PASS if why is None else Verdict.FAIL)
    assert why is None or why in found.sentence


def test_factory_bootloader_needs_no_signature_but_its_own_bytes() -> None:
    base = healthy()
    run = with_header(b"code", key_name="somebody", hardware="FACTORY")
    layouts = tuple(replace(layout, factory_bootloader=run.header) for layout in base.layouts)
    base = replace(base, layouts=layouts)
    assert authentic(replace(base, bootloader_runs=(run,))).verdict is Verdict.PASS
    other = replace(run, image_sha256="00" * 32)
    assert authentic(replace(base, bootloader_runs=(other,))).verdict is Verdict.FAIL


def test_where_execution_should_have_begun_is_told() -> None:
    base = healthy()
    size = len(NEW["body"].data)
    texts = [item.text for item in authentic(with_run(base, last_of(base, "body"), entry_address=size)).evidence]
    where = f"it was entered at 0x{size:08X}, outside the image (signed for 0x00000000 to 0x{size - 1:08X})"
    assert f"executes 2.0.0 from bank A: {where}" in texts


def test_how_long_it_was_executed_is_told() -> None:
    base = with_run(healthy(), 0, ended_t_ns=3 * S + 30 * MS)
    base = replace(base, flash_operations=(operation(S, "image:A"),))
    texts = [item.text for item in whole(base).evidence]
    assert "executes bank A for 3.000000000 s" in texts


@pytest.mark.parametrize("ecu", ["body", "gateway"])
def test_each_region_of_the_running_bank_and_no_other_is_its_own(ecu: str) -> None:
    bank = "A" if ecu == "body" else "B"
    for region, changes in ((f"image:{bank}", True), (f"header:{bank}", True), (f"mark:{bank}", True),
                            (f"nvm:{bank}", False), (bank, False), ("boot", False)):  # fmt: skip
        done = operation(7 * S, region, ecu=ecu)
        assert ("while it executed from there" in whole(replace(healthy(), flash_operations=(done,))).sentence) is (
            changes
        )


def torn_body(*torn: tuple[int, int]) -> RunRecord:
    """The record of the body's execution lies, and its image's cells are torn there."""
    base = healthy()
    base = with_run(base, 0, ended_t_ns=4 * S)
    dumps = tuple(
        replace(dump, regions=tuple(replace(r, torn=torn if r.name == "image:A" else ()) for r in dump.regions))
        for dump in base.flash.items
    )
    lying = with_run(base, last_of(base, "body"), image_sha256="00" * 32)
    return replace(lying, flash=dumps, flash_operations=rewritten_body())


@pytest.mark.parametrize(
    ("torn", "told"),
    [((0, 1), False), ((len(NEW["body"].data) - 1, 1), False), ((len(NEW["body"].data), 16), True), ((0, 1024), False)],
)
def test_only_torn_cells_of_the_image_itself_leave_its_hash_unknown(torn: tuple[int, int], told: bool) -> None:
    found = whole(torn_body(torn))
    sentences = found.sentence + "".join(item.text for item in found.evidence)
    assert ("the record of the execution says" in sentences) is told


def test_a_bit_that_flipped_is_no_end_of_the_execution() -> None:
    base = with_run(healthy(), 0, ended_t_ns=4 * S)
    assert "while it executed" not in whole(replace(base, flash_operations=rewritten_body())).sentence
    gone = [operation(6 * S, f"{kind}:A", "rot") for kind in ("image", "header")]
    found = whole(replace(base, flash_operations=(*rewritten_body(), *gone, operation(7 * S, "image:A"))))
    assert "body changed the flash of bank A while it executed from there" in found.sentence


def test_a_record_without_a_hash_or_a_header_says_nothing_of_the_image() -> None:
    base = replace(with_run(healthy(), 0, ended_t_ns=4 * S), flash_operations=rewritten_body())
    for changed in ({"image_sha256": ""}, {"header": b""}):
        n = last_of(base, "body")
        texts = "".join(item.text for item in whole(with_run(base, n, **changed)).evidence)
        assert "image:A holds" not in texts


def lying_bootloader(held: int, *torn: tuple[int, int]) -> RunRecord:
    """A bootloader of 256 header and 4 code bytes, of which `held` stand in flash; the record of its run is wrong."""
    run = replace(with_header(b"code"), image_sha256="00" * 32)
    region = MemoryRegion("boot", 0xF80000, (run.header + b"code" + b"\xff" * 16)[:held], torn)
    base = with_run(healthy(), 0, ended_t_ns=4 * S)
    dumps = tuple(replace(dump, regions=(*dump.regions, region)) for dump in base.flash.items)
    return replace(base, flash=dumps, flash_operations=rewritten_body(), bootloader_runs=(run,))


@pytest.mark.parametrize(
    ("held", "torn", "told"),
    [
        (276, (), True), (260, (), True), (259, (), False),
        (276, ((252, 4),), True), (276, ((252, 5),), False), (276, ((259, 1),), False), (276, ((260, 8),), True),
        (276, ((0, 276),), False),
    ],
)  # fmt: skip
def test_what_was_executed_is_hashed_where_all_of_it_is_there_and_none_is_torn(
    held: int, torn: tuple[tuple[int, int], ...], told: bool
) -> None:
    texts = "".join(item.text for item in whole(lying_bootloader(held, *torn)).evidence)
    assert ("boot holds" in texts) is told


def elsewhere(load: int, held: int = 2048, *, lying: bool) -> str:
    """The gateway runs an image of bank B, which is linked from 0x2000 on; bank A from 0x1000."""
    base = healthy()
    data = NEW["gateway"].data
    texts = b"".join(word.encode().ljust(32, b"\0") for word in ("GW-HW-02", "GW-APP", "2.0.0"))
    numbers = b"".join(number.to_bytes(4, "big") for number in (2, load, len(data)))
    signed = b"OTBIMG1\0" + texts + numbers + bytes(44) + hashlib.sha256(data).digest()
    raw = signed + key("image").sign(signed)
    body, gateway = base.layouts
    banks = tuple(replace(bank, linked_base=at) for bank, at in zip(gateway.banks, (0x1000, 0x2000), strict=True))
    regions = (
        MemoryRegion("header:B", 0xF00000, raw.ljust(512, b"\xff")),
        MemoryRegion("image:B", 0x2000, (bytes(max(0, load - 0x2000)) + data + b"\xff" * 2048)[:held]),
    )
    sha256 = "00" * 32 if lying else hashlib.sha256(data).hexdigest()
    record = with_run(base, last_of(base, "gateway"), header=raw, entry_address=load, image_sha256=sha256)
    dumps = (base.flash.items[0], replace(base.flash.items[1], regions=regions))
    record = replace(record, layouts=(body, replace(gateway, banks=banks)), flash=dumps)
    return "".join(item.text for item in whole(replace(record, flash_operations=rewritten_body())).evidence)


def test_an_image_is_found_behind_the_base_of_its_own_bank() -> None:
    size = len(NEW["gateway"].data)
    assert "image:B holds" in elsewhere(0x2100, lying=True)
    assert "image:B holds" not in elsewhere(0x2100, lying=False)
    assert "image:B holds" in elsewhere(0x2100, 0x100 + size, lying=True)
    assert "image:B holds" not in elsewhere(0x2100, 0x100 + size - 1, lying=True)
    assert "image:B holds" not in elsewhere(0x1FFF, lying=True)


def test_a_header_slot_is_hashed_as_such() -> None:
    base = healthy()
    slot = MemoryRegion("header:B", 0xF00000, OLD["gateway"].header.ljust(512, b"\xff"))
    gateway = base.flash.items[1]
    kept = tuple(region for region in gateway.regions if region.name != "header:B")
    record = replace(base, flash=(base.flash.items[0], replace(gateway, regions=(*kept, slot))))
    texts = "".join(item.text for item in whole(replace(record, flash_operations=rewritten_body())).evidence)
    assert "header:B holds" in texts
