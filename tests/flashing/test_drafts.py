"""Drafts of recipes: whatever the files say, the draft is TOML, says it, and is refused until its gaps are filled."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.flasher.recipe import load_recipe
from bench.flasher.recipe_gaps import GAP, gap_keys, gap_lines
from bench.flashing.drafts import Draft, draft_recipe
from bench.images.blocks import BlockKind, BlockSegment, Ident, Signature, SoftwareBlock, SoftwareFile
from bench.images.flash_session import IdentDesc, OdxValue
from bench.images.memory import AddressRange


def segment(address: int, size: int = 64, **others: Any) -> BlockSegment:
    return BlockSegment(address, bytes(size), **({"memory": AddressRange(address, address + size)} | others))


def software(*segments: BlockSegment, kind: BlockKind = BlockKind.CODE, **block: Any) -> SoftwareFile:
    one = SoftwareBlock("app", kind, segments or (segment(0x1000),), **block)
    return SoftwareFile("app.vbf", "vbf", (one,))


def keys(draft: Draft) -> list[str]:
    assert gap_keys(tomllib.loads(draft.text)) == tuple(each.key for each in draft.gaps)
    assert gap_lines(draft.text) == tuple(each.line for each in draft.gaps)
    return [each.key for each in draft.gaps]


def test_part_number_identifier_of_a_vbf_is_the_version_identifier() -> None:
    file = replace(software(), part_number="123", version="A", part_number_did=0xF12E)
    draft = draft_recipe("x", [file])
    assert tomllib.loads(draft.text)["identify"]["version"] == [{"did": 0xF12E}]
    assert "identify.version.0.did" not in keys(draft)


def test_packed_bytes_without_an_erase_list_leave_the_size_of_the_region_open() -> None:
    packed = segment(0x1000, memory=None, data_format_identifier=0x10, method="10")
    assert "memory.region_size" in keys(draft_recipe("x", [software(packed)]))
    erased = draft_recipe("x", [software(packed, erase=(AddressRange(0x1000, 0x3000),))])
    assert "memory.region_size" not in keys(erased)
    assert tomllib.loads(erased.text)["memory"]["region_size"] == 0x2000
    assert "from the files: 0x10" in erased.text


def test_method_that_is_no_byte_is_told() -> None:
    packed = segment(0x1000, data_format_identifier=None, method="MAKERZIP")
    assert "method MAKERZIP, which is no byte and cannot be sent" in draft_recipe("x", [software(packed)]).text


def test_two_signatures_are_two_rules_of_which_one_is_taken_out() -> None:
    both = (Signature("sw_signature", b"a"), Signature("sw_signature_dev", b"b"))
    draft = draft_recipe("x", [software(signatures=both)])
    assert keys(draft).count("check.rules.1.routine") == 1
    assert "Take out the rule of the other kind" in draft.text


def test_signature_of_a_session_is_a_rule_without_a_strategy() -> None:
    draft = draft_recipe("x", [replace(software(), signatures=(Signature("SECURITY", b"a", "RSA"),))])
    assert "check.rules.0.by" in keys(draft)
    assert "check_software" in tomllib.loads(draft.text)["steps"], "a rule after all needs its step"
    assert "signs the session as a whole (RSA)" in draft.text


def test_identification_names_the_service_that_reads_it() -> None:
    ident = Ident(
        "HW", (OdxValue("A-1", "A_ASCIISTRING"), OdxValue("A-2", "A_ASCIISTRING")), IdentDesc("HW", "Read", None)
    )
    text = draft_recipe("x", [replace(software(), expected_idents=(ident,))]).text
    assert "wants HW to be A-1 or A-2, read by Read" in text


def test_widths_that_the_files_need_are_named() -> None:
    file = replace(software(segment(0x9000_0000, 0x300)), file_format="odx")
    looked_up = {each.key: each.look_up for each in draft_recipe("x", [file]).gaps}
    assert "need 4 at least" in looked_up["transfer.address_bytes"]
    assert "need 2 at least" in looked_up["transfer.size_bytes"]


def test_bootloader_without_software_is_refused() -> None:
    with pytest.raises(InputError, match="no software for the ECU's flash"):
        draft_recipe("x", [software(kind=BlockKind.BOOTLOADER)])


def test_document_with_a_bootloader_block_beside_the_code_is_drafted_as_a_whole() -> None:
    boot = SoftwareBlock(
        "boot", BlockKind.BOOTLOADER, (segment(0x4000_0000, memory=None, data_format_identifier=0x10),)
    )
    file = replace(software(), file_format="odx")
    draft = draft_recipe("x", [replace(file, blocks=(boot, *file.blocks))])
    found = tomllib.loads(draft.text)
    assert (found["memory"]["region_base"], found["bootloader"]["ram_base"]) == (0x1000, 0x4000_0000)
    assert "bootloader.ram_size" in keys(draft)
    assert "check_software" not in found["steps"]


@given(name=st.text(max_size=200), part=st.text(max_size=80), method=st.text(max_size=80))
def test_no_text_of_a_file_can_end_a_comment(name: str, part: str, method: str) -> None:
    block = SoftwareBlock(
        name, BlockKind.CODE, (segment(0x1000),), signatures=(Signature("SECURITY", b"a", method),),
        own_idents=(Ident(part, (OdxValue(name, "A_ASCIISTRING"),)),), logical_block_index=1,
    )  # fmt: skip
    draft = draft_recipe("x", [SoftwareFile(name, "odx", (block,), part_number=part, network=method)])
    keys(draft)
    assert tomllib.loads(draft.text)["name"] == "x"


def test_draft_without_any_knowledge_names_its_first_gap(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(draft_recipe("x", [software()]).text, encoding="utf-8")
    with pytest.raises(InputError, match="recipe is a draft") as refused:
        load_recipe(path)
    assert (refused.value.key, refused.value.found) == ("memory.program_unit_bytes", f'"{GAP}"')
