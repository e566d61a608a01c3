"""Firmware files as parts of a job: what is taken over, what is joined, what is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import InputError
from bench.description.ecu_entry import EcuEntry
from bench.flasher.errors import ImageMismatch
from bench.flasher.parts_fit import check_parts
from bench.flasher.recipe import Recipe, load_recipe
from bench.flasher.software import PartKind, Software
from bench.flasher.task import Plan
from bench.flashing.parts import PartsOf, software_of
from bench.images.blocks import (
    BlockKind,
    BlockSegment,
    CheckState,
    ExpectedChecksum,
    Ident,
    Signature,
    SoftwareBlock,
    SoftwareFile,
)
from bench.images.flash_session import OdxValue
from bench.images.memory import AddressRange

RECIPES = Path(__file__).parent.parent / "foreign" / "bench" / "recipes"
BASE = 0x8000_0000


def recipe(name: str = "odx_unit", **tables: Any) -> Recipe:
    values = load_recipe(RECIPES / f"{name}.toml").model_dump(mode="json")
    for table, changes in tables.items():
        values[table] |= changes
    return Recipe.model_validate(values)


def entry() -> EcuEntry:
    values = {"id": "unit", "recipe": "r", "channel": "can0", "software_id": "unit"}
    return EcuEntry.model_validate({**values, "request_id": 1, "response_id": 2})


def segment(address: int, data: bytes, identifier: int | None = 0, method: str | None = None) -> BlockSegment:
    return BlockSegment(address, data, AddressRange(address, address + len(data)), identifier, method)


def block(*segments: BlockSegment, **more: Any) -> SoftwareBlock:
    return SoftwareBlock("APP", BlockKind.CODE, segments, logical_block_index=2, **more)


def odx(*blocks: SoftwareBlock, **more: Any) -> SoftwareFile:
    return SoftwareFile("unit.pdx", "odx", blocks, **more)


def ascii_ident(name: str, *values: str) -> Ident:
    return Ident(name, tuple(OdxValue(value, "A_ASCIISTRING") for value in values))


def made(file: SoftwareFile, rules: Recipe | None = None, version: str | None = "2, 2") -> PartsOf:
    return software_of(entry(), [file], rules or recipe(), version)


def refused(file: SoftwareFile, rules: Recipe | None = None, version: str | None = "2, 2") -> str:
    with pytest.raises(InputError) as error:
        made(file, rules, version)
    assert error.value.found
    assert error.value.hint
    assert error.value.file == "unit.pdx"
    return str(error.value)


def test_segments_that_share_a_program_unit_are_one_and_ends_stay_as_the_file_has_them() -> None:
    segments = (segment(BASE + 3, b"ab"), segment(BASE + 9, b"cd"), segment(BASE + 256, b"ef"))
    file = SoftwareFile("app.hex", "ihex", (replace(block(*segments), name="app.hex"),))
    (part,) = made(file).software.parts
    assert [(each.address, each.data) for each in part.segments] == [
        (BASE + 3, b"ab\xff\xff\xff\xffcd"), (BASE + 256, b"ef")
    ]  # fmt: skip
    assert part.data_format is None, "the recipe packs them"


def test_odx_segments_are_never_joined_and_keep_their_format() -> None:
    segments = (segment(BASE, b"ab", 0x10, "10"), segment(BASE + 8, b"cd", 0x10, "10"))
    (part,) = made(odx(block(*segments))).software.parts
    assert ([len(each.data) for each in part.segments], part.data_format, part.index) == ([2, 2], 0x10, 2)


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        ((segment(BASE, b"ab", None, "MAKERS_OWN"),), "is no dataFormatIdentifier"),
        ((segment(BASE, b"ab", 0x10, "10"), segment(BASE + 8, b"cd")), "packed by different methods"),
        ((), "holds no data"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(segments: tuple[BlockSegment, ...], told: str) -> None:
    assert told in refused(odx(block(*segments)))


def test_second_signature_of_one_name_is_refused_instead_of_chosen() -> None:
    signatures = (Signature("SECURITY", b"1", "ED25519"), Signature("SECURITY", b"2", "RSA"))
    assert "two signatures" in refused(odx(block(segment(BASE, b"ab"), signatures=signatures)))


def test_signature_without_bytes_is_none() -> None:
    signatures = (Signature("SECURITY", None, "CRC", b"1234"),)
    (part,) = made(odx(block(segment(BASE, b"ab"), signatures=signatures))).software.parts
    assert part.proofs == ()


@pytest.mark.parametrize(
    ("own", "version", "found"),
    [(("2.0", "1.9"), None, ("2.0", "1.9")), (("2.0",), "3.0 , 3.1", ("3.0", "3.1"))],
)
def test_versions_are_those_of_the_file_unless_others_are_given(
    own: tuple[str, ...], version: str | None, found: tuple[str, ...]
) -> None:
    idents = tuple(ascii_ident(f"V{n}", value) for n, value in enumerate(own))
    assert made(odx(block(segment(BASE, b"ab"), own_idents=idents)), version=version).software.versions == found


@pytest.mark.parametrize("own", [(), ("2.0",), ("2.0", "1.9", "1.8")])
def test_too_few_or_many_versions_are_refused(own: tuple[str, ...]) -> None:
    idents = tuple(ascii_ident(f"V{n}", value) for n, value in enumerate(own))
    told = refused(odx(block(segment(BASE, b"ab"), own_idents=idents)), version=None)
    assert "0xF196, 0xF195" in told


def test_any_expected_value_is_right_and_digits_are_compared_as_digits() -> None:
    hardware = [{"did": 0xF191}, {"did": 0xF192, "text": False}]
    rules = recipe(identify={"hardware": hardware})
    expected = (ascii_ident("HW", "A", "B"), Ident("SUPPLIER", (OdxValue("00FF", "A_BYTEFIELD"),)))
    assert made(odx(block(segment(BASE, b"ab")), expected_idents=expected), rules).software.hardware_ids == (
        "A, 00ff", "B, 00ff"
    )  # fmt: skip


def test_expected_identifications_that_nobody_reads_are_refused() -> None:
    expected = (ascii_ident("HW", "A"), ascii_ident("OLD_VERSION", "1"))
    assert "HW, OLD_VERSION" in refused(odx(block(segment(BASE, b"ab")), expected_idents=expected))


def test_damaged_identification_is_refused() -> None:
    rules = recipe(identify={"hardware": [{"did": 0xF191, "text": False}]})
    expected = (Ident("HW", (OdxValue("0G", "A_BYTEFIELD"),)),)
    with pytest.raises(InputError, match="damaged"):
        made(odx(block(segment(BASE, b"ab")), expected_idents=expected), rules)


def test_checksum_of_an_unknown_algorithm_is_named() -> None:
    check = ExpectedChecksum("CS", "MAKERS_SUM", None, b"1", CheckState.UNCHECKED, "the algorithm is not known")
    found = made(odx(block(segment(BASE, b"ab"), checksums=(check,)))).not_compared
    assert found == ("unit.pdx: checksum CS (MAKERS_SUM): the algorithm is not known",)


# What the recipe sends of it ----------------------------------------------------------------------------


def mismatch(software: Software, rules: Recipe) -> str:
    with pytest.raises(ImageMismatch) as error:
        check_parts(Plan("unit", software, rules, 0, 0))
    return error.value.what


def whole() -> Software:
    signatures = (Signature("SECURITY", b"1" * 64),)
    return made(odx(block(segment(BASE, b"ab"), signatures=signatures))).software


def test_whole_software_fits() -> None:
    check_parts(Plan("unit", whole(), recipe(), 0, 0))


@pytest.mark.parametrize(
    ("lacking", "what"),
    [
        ({"index": None}, "APP: index"),
        ({"proofs": ()}, "APP: signature"),
        ({"kind": PartKind.BOOTLOADER}, "parts"),
    ],
)
def test_what_a_part_lacks_is_told_before_a_request(lacking: dict[str, Any], what: str) -> None:
    software = whole()
    assert mismatch(replace(software, parts=(replace(software.parts[0], **lacking),)), recipe()) == what


def test_packed_bytes_have_no_sum_and_cannot_be_read_back() -> None:
    software = whole()
    (part,) = software.parts
    packed = replace(software, parts=(replace(part, segments=(replace(part.segments[0], plain=None),)),))
    assert mismatch(packed, recipe()) == "APP: crc32"
    rules = [{"after": "part", "by": "read_back", "service": 0x23}]
    assert mismatch(packed, recipe(check={"rules": rules})) == "APP: read back"


def test_bootloader_and_the_step_that_loads_it_need_each_other_and_it_lies_in_ram() -> None:
    software, vbf = whole(), recipe("vbf_loader", check={"rules": [{"after": "all", "by": "routine", "routine": 1}]})
    (part,) = software.parts
    loader = replace(part, name="SBL", kind=PartKind.BOOTLOADER, start_address=0x4000_0000)
    erased = replace(part, erase=((BASE, 4096),))
    assert mismatch(replace(software, parts=(loader, part)), recipe()) == "SBL"
    assert mismatch(replace(software, parts=(erased,)), vbf) == "secondary bootloader"
    assert mismatch(replace(software, parts=(loader, erased)), vbf) == "SBL: RAM"
    there = replace(loader, segments=(replace(loader.segments[0], address=0x4000_0000),))
    assert mismatch(replace(software, parts=(replace(there, start_address=None), erased)), vbf) == "SBL: start_address"
    assert mismatch(replace(software, parts=(there, part)), vbf) == "APP: erase list"
    check_parts(Plan("unit", replace(software, parts=(there, erased)), vbf, 0, 0))


def test_bootloader_that_addresses_of_0x34_cannot_reach_is_refused_with_the_recipe() -> None:
    with pytest.raises(ValueError, match=r"0x40007FFF does not fit transfer\.address_bytes = 3"):
        recipe("vbf_loader", transfer={"address_bytes": 3})
