from __future__ import annotations

from types import ModuleType

from bench.core.records import FlashDump, MemoryRegion, RunRecord
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import replace, whole


def with_region(record: RunRecord, ecu: str, name: str, region: MemoryRegion | None) -> RunRecord:
    """Replace (or drop) one region of an ECU's dump."""

    def changed(dump: FlashDump) -> FlashDump:
        kept = tuple(r for r in dump.regions if r.name != name)
        return replace(dump, regions=kept if region is None else (*kept, region))

    return replace(record, flash=tuple(changed(d) if d.ecu == ecu else d for d in record.flash.items))


def image_region(v: ModuleType, data: bytes, torn: tuple[tuple[int, int], ...] = (), bank: str = "A") -> MemoryRegion:
    return MemoryRegion(f"image:{bank}", 0, data.ljust(1024, b"\xff"), torn)


def test_healthy_run_passes_with_flash_evidence(healthy: RunRecord) -> None:
    found = whole(healthy)
    assert found.verdict is Verdict.PASS
    assert [e.where for e in found.evidence if e.kind == "flash"] == [
        "body flash 0x00000000",
        "gateway flash 0x00000000",
    ]


def test_flipped_bit_fails_and_its_address_is_named(v: ModuleType, healthy: RunRecord) -> None:
    data = bytearray(v.NEW["body"].data)
    data[0x123] ^= 0x10
    found = whole(with_region(healthy, "body", "image:A", image_region(v, bytes(data))))
    assert found.verdict is Verdict.FAIL
    assert found.evidence[0].where == "body flash 0x00000123"
    assert "1 byte differs" in found.evidence[0].text
    assert found.blame is None


def test_boot_manager_that_jumped_into_wrong_bytes_is_to_blame(v: ModuleType, healthy: RunRecord) -> None:
    data = bytearray(v.NEW["body"].data)
    data[5] ^= 1
    executions = tuple(
        replace(e, image_sha256="ab" * 32) if e.header == v.NEW["body"].header else e for e in healthy.executions.items
    )
    record = with_region(healthy, "body", "image:A", image_region(v, bytes(data)))
    assert whole(replace(record, executions=executions)).blame == "bootloader"


def test_changed_header_slot_fails(v: ModuleType, healthy: RunRecord) -> None:
    slot = MemoryRegion("header:A", v.HEADER_ADDRESS, v.OLD["body"].header)
    found = whole(with_region(healthy, "body", "header:A", slot))
    assert found.verdict is Verdict.FAIL
    assert found.evidence[0].where == f"body flash 0x{v.HEADER_ADDRESS + 72:08X}"


def test_torn_cells_inside_fail_and_behind_the_image_do_not(v: ModuleType, healthy: RunRecord) -> None:
    data = v.NEW["body"].data
    inside = with_region(healthy, "body", "image:A", image_region(v, data, ((599, 1),)))
    assert whole(inside).verdict is Verdict.FAIL
    assert whole(inside).evidence[0].where == "body flash 0x00000257"
    behind = with_region(healthy, "body", "image:A", image_region(v, data, ((600, 256),)))
    assert whole(behind).verdict is Verdict.PASS


def test_dump_shorter_than_the_image_fails(v: ModuleType, healthy: RunRecord) -> None:
    short = MemoryRegion("image:A", 0, v.NEW["body"].data[:500])
    found = whole(with_region(healthy, "body", "image:A", short))
    assert found.verdict is Verdict.FAIL
    assert "100 bytes differ" in found.evidence[0].text


def test_other_bank_does_not_matter(v: ModuleType, healthy: RunRecord) -> None:
    record = with_region(healthy, "gateway", "image:A", image_region(v, bytes(600), ((0, 512),)))
    assert whole(record).verdict is Verdict.PASS


def test_running_bank_is_the_one_compared(v: ModuleType, healthy: RunRecord) -> None:
    record = with_region(healthy, "gateway", "image:B", image_region(v, v.OLD["gateway"].data, bank="B"))
    assert whole(record).verdict is Verdict.FAIL


def test_image_that_nobody_signed_fails(v: ModuleType, healthy: RunRecord) -> None:
    data = v.payload("evil")
    evil = replace(v.NEW["body"], header=v.header("body", "6.6.6", 9, data), data=data)
    executions = (*(healthy.executions.items), v.ran(5 * v.S + 31 * v.MS, evil, "A"))
    assert whole(replace(healthy, executions=executions)).verdict is Verdict.FAIL


def test_image_of_the_delivered_package_is_a_reference_too(v: ModuleType, healthy: RunRecord) -> None:
    references = tuple(r for r in healthy.references if r.role == "installed")
    assert whole(replace(healthy, references=references)).verdict is Verdict.PASS


def test_ecu_in_its_bootloader_runs_nothing_and_passes(v: ModuleType, healthy: RunRecord) -> None:
    boots = (*(healthy.boots.items), *v.start(7 * v.S, "body", "bootloader"))
    record = with_region(healthy, "body", "image:A", image_region(v, bytes(600), ((0, 256),)))
    found = whole(replace(record, boots=boots))
    assert found.verdict is Verdict.PASS
    assert any("bootloader" in e.text for e in found.evidence)


def test_without_a_dump_it_is_not_observed(healthy: RunRecord) -> None:
    assert whole(replace(healthy, flash=None)).verdict is Verdict.NOT_OBSERVED
    assert whole(replace(healthy, flash=(healthy.flash.items)[:1])).verdict is Verdict.NOT_OBSERVED


def test_dump_without_the_running_bank_is_not_observed(healthy: RunRecord) -> None:
    assert whole(with_region(healthy, "gateway", "image:B", None)).verdict is Verdict.NOT_OBSERVED


def test_without_executions_it_is_not_observed(healthy: RunRecord) -> None:
    assert whole(replace(healthy, executions=None)).verdict is Verdict.NOT_OBSERVED


def test_application_boot_without_its_execution_is_inconclusive(v: ModuleType, healthy: RunRecord) -> None:
    boots = (*(healthy.boots.items), *v.start(7 * v.S, "body", "application", "A"))
    assert whole(replace(healthy, boots=boots)).verdict is Verdict.INCONCLUSIVE


def test_failure_of_one_ecu_outweighs_the_missing_dump_of_the_other(v: ModuleType, healthy: RunRecord) -> None:
    record = with_region(healthy, "body", "image:A", image_region(v, bytes(600)))
    assert whole(replace(record, flash=(record.flash.items)[:1])).verdict is Verdict.FAIL


def test_header_with_a_flipped_bit_is_compared_with_the_image_it_claims(v: ModuleType, healthy: RunRecord) -> None:
    raw = bytearray(v.NEW["body"].header)
    raw[200] ^= 1
    executions = (
        *(healthy.executions.items),
        replace(v.ran(5 * v.S + 31 * v.MS, v.NEW["body"], "A"), header=bytes(raw)),
    )
    assert whole(replace(healthy, executions=executions)).verdict is Verdict.PASS
    slot = MemoryRegion("header:A", v.HEADER_ADDRESS, bytes(raw))
    found = whole(with_region(replace(healthy, executions=executions), "body", "header:A", slot))
    assert found.verdict is Verdict.FAIL
    assert found.evidence[0].where == f"body flash 0x{v.HEADER_ADDRESS + 200:08X}"


def test_unreadable_header_fails(v: ModuleType, healthy: RunRecord) -> None:
    blank = replace(v.ran(5 * v.S + 31 * v.MS, v.NEW["body"], "A"), header=b"\xff" * 256)
    found = whole(replace(healthy, executions=(*(healthy.executions.items), blank)))
    assert found.verdict is Verdict.FAIL
    assert "unreadable" in found.sentence


def test_execution_recorded_just_before_its_boot_record_counts(v: ModuleType, healthy: RunRecord) -> None:
    boots = (*(healthy.boots.items), *v.start(7 * v.S, "body", "application", "A"))
    executions = (*(healthy.executions.items), v.ran(7 * v.S + 29 * v.MS, v.NEW["body"], "A"))
    assert whole(replace(healthy, boots=boots, executions=executions)).verdict is Verdict.PASS


def test_image_that_does_not_begin_with_its_bank_is_compared_in_its_place(v: ModuleType, healthy: RunRecord) -> None:
    data = v.NEW["body"].data
    raw = v.header("body", "2.0.0", 2, data, load_address=0x180)
    image = replace(v.NEW["body"], header=raw)
    layouts = tuple(
        replace(x, banks=(replace(x.banks[0], linked_base=0x100),)) if x.ecu == "body" else x for x in healthy.layouts
    )
    record = replace(
        healthy,
        layouts=layouts,
        references=(*(r for r in healthy.references if r.ecu != "body"), image),
        executions=(*(healthy.executions.items), v.ran(5 * v.S + 31 * v.MS, image, "A")),
    )
    record = with_region(record, "body", "header:A", MemoryRegion("header:A", v.HEADER_ADDRESS, raw))
    torn_before = ((0, 0x80), (0x80 + 600, 8))
    held = replace(image_region(v, bytes(0x80) + data, torn_before), base_address=0x100)
    assert whole(with_region(record, "body", "image:A", held)).verdict is Verdict.PASS
    torn = replace(held, torn=((0x90, 8),))
    assert whole(with_region(record, "body", "image:A", torn)).evidence[0].where == "body flash 0x00000190"
    wrong = replace(held, data=bytes(0x80) + data[:-1] + b"\x00" * 1000)
    assert whole(with_region(record, "body", "image:A", wrong)).evidence[0].where == f"body flash 0x{0x180 + 599:08X}"
    outside = tuple(replace(x, banks=(replace(x.banks[0], linked_base=0x200),)) for x in layouts[:1])
    before = replace(with_region(record, "body", "image:A", held), layouts=(*outside, *layouts[1:]))
    assert whole(before).verdict is Verdict.FAIL


def placed_at(v: ModuleType, record: RunRecord, address: int, linked_base: int, *torn: tuple[int, int]) -> RunRecord:
    """The body runs its image from an address of a bank that begins elsewhere."""
    data = v.NEW["body"].data
    image = replace(v.NEW["body"], header=v.header("body", "2.0.0", 2, data, load_address=address), data=data)
    executions = tuple(
        replace(e, header=image.header, entry_address=address) if e.header == v.NEW["body"].header else e
        for e in record.executions.items
    )
    references = tuple(image if r == v.NEW["body"] else r for r in record.references)
    body, gateway = record.layouts
    bank = replace(body.banks[0], linked_base=linked_base)
    slot = MemoryRegion("header:A", v.HEADER_ADDRESS, image.header)
    held = bytes(max(0, address - linked_base)) + data
    region = MemoryRegion("image:A", linked_base, held.ljust(2048, b"\xff"), torn)
    base = replace(
        record, executions=executions, references=references, layouts=(replace(body, banks=(bank,)), gateway)
    )
    return with_region(with_region(base, "body", "header:A", slot), "body", "image:A", region)


def test_an_image_may_begin_behind_its_bank_and_never_before_it(v: ModuleType, healthy: RunRecord) -> None:
    assert whole(placed_at(v, healthy, 0x1100, 0x1000)).verdict is Verdict.PASS
    assert whole(placed_at(v, healthy, 0x1000, 0x1000)).verdict is Verdict.PASS
    found = whole(placed_at(v, healthy, 0xFFF, 0x1000))
    assert found.verdict is Verdict.FAIL
    assert "image in bank A: the address lies before the bank" in [item.text for item in found.evidence]


def test_torn_cells_that_reach_into_the_image_are_shown_from_where_it_begins(v: ModuleType, healthy: RunRecord) -> None:
    assert whole(placed_at(v, healthy, 0x1100, 0x1000, (0xF0, 0x10))).verdict is Verdict.PASS
    found = whole(placed_at(v, healthy, 0x1100, 0x1000, (0xF0, 0x11)))
    assert found.verdict is Verdict.FAIL
    assert found.evidence[0].text == "image in bank A: 17 torn bytes from 0x00001100"
    inside = whole(placed_at(v, healthy, 0x1100, 0x1000, (0x123, 4)))
    assert inside.evidence[0].text == "image in bank A: 4 torn bytes from 0x00001123"


def test_first_difference_is_shown_with_both_bytes(v: ModuleType, healthy: RunRecord) -> None:
    data = bytearray(v.NEW["body"].data)
    data[0x123] ^= 0x10
    data[0x125] ^= 0x10
    found = whole(with_region(healthy, "body", "image:A", image_region(v, bytes(data))))
    right, wrong = v.NEW["body"].data[0x123], data[0x123]
    assert found.evidence[0].text == (
        f"image in bank A: first difference at 0x00000123, flash has {wrong:02X}, signed is {right:02X}; "
        "2 bytes differ"
    )  # fmt: skip


def test_an_execution_in_the_instant_of_its_boot_is_of_that_boot(v: ModuleType, healthy: RunRecord) -> None:
    boots = v.boot(7 * v.S, "body", "boot_manager"), v.boot(7 * v.S, "body", "application", "A")
    for ran_ns, verdict in ((7 * v.S, Verdict.PASS), (7 * v.S - 1, Verdict.INCONCLUSIVE)):
        runs = (*healthy.executions.items, v.ran(ran_ns, v.NEW["body"], "A"))
        record = replace(healthy, boots=(*healthy.boots.items, *boots), executions=runs)
        assert whole(record).verdict is verdict


def test_a_running_image_without_a_header_is_called_so(v: ModuleType, healthy: RunRecord) -> None:
    runs = (*healthy.executions.items, replace(v.ran(7 * v.S, v.NEW["body"], "A"), header=b""))
    texts = [item.text for item in whole(replace(healthy, executions=runs)).evidence]
    assert "executes an unreadable header from bank A" in texts


def test_an_application_that_runs_from_the_first_instant_on_was_never_left(v: ModuleType, refused: RunRecord) -> None:
    boots = [b for b in refused.boots.items if b.ecu != "body"]
    runs = [e for e in refused.executions.items if e.ecu != "body"]
    record = replace(
        refused,
        boots=(v.boot(0, "body", "application", "A"), *boots),
        executions=(v.ran(0, v.OLD["body"], "A"), *runs),
    )
    assert whole(record).verdict is Verdict.PASS
