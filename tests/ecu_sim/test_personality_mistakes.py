"""Values of an ECU file that do not fit each other: the message names the culprit, what stands there and what may."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import data_root
from bench.core.errors import InputError
from ecu_sim.personality.personality import load_personality

DOOR, BODY, GATEWAY, HEAD = "door_module", "body_controller", "gateway", "head_unit"
AREA = "[[flash.areas]]\nregions = {}\n\n[nvm]"
SECTORS = "{ count = 8, size_bytes = 0x4000 },"
MISTAKES = [
    (DOOR, SECTORS, "{ count = 7, size_bytes = 0x4000 },", "flash.areas.0.sectors", "442368 bytes", "458752 bytes"),
    (DOOR, "size_bytes = 2048", "size_bytes = 257", "flash.areas.1.sectors", "257", "multiples of 8"),
    (BODY, "[nvm]", AREA.format('["image:Q"]'), "flash.areas.0.regions", '"image:Q"', "mark:A, header:A"),
    (BODY, "[nvm]", AREA.format('["boot"]\nunit_bytes = 4096\nsectors = [{ count = 1, size_bytes = 0x8000 }]'),
     "flash.areas.0.sectors", "32768 bytes", "65536 bytes"),
    (BODY, "sector_bytes = 16384", "sector_bytes = 16385", "flash.sector_bytes", "16385", "multiple of 256"),
    (BODY, "unit_bytes = 256", "unit_bytes = 8\ncode_runs_from = 'rom'", "flash.code_runs_from", "'rom'", "ram"),
    (BODY, "size_bytes = 0x40000", "size_bytes = 0x40001", "banks.0.size_bytes", "0x40001", "multiple of 16384"),
    (BODY, "header_address = 0x00F00000", "header_address = 0x00003000", "header_address", "0x00003000",
     "outside 0x00000000-0x0003FFFF"),
    (BODY, "mark_address = 0x00F40000", "mark_address = 0x00F00010", "mark_address", "0x00F00010",
     "outside 0x00F00000-0x00F03FFF"),
    (BODY, "linked_base = 0x00000000", "linked_base = 0x00F70000", "banks.0.linked_base", "0x00F70000",
     "outside 0x00F80000-0x00F8FFFF"),
    (GATEWAY, "shadow_address = 0x00FA0000", "shadow_address = 0x00F88000", "bootloader_update.shadow_address",
     "0x00F88000", "outside 0x00F80000-0x00F8FFFF"),
    (GATEWAY, 'name = "B"', 'name = "A"', "banks.1.name", '"A"', "banks.0"),
    (HEAD, "size_bytes = 0x100000 ", "size_bytes = 0x100001 ", "user_data.size_bytes", "0x100001", "multiple of 65536"),
    (BODY, "max_block_length = 4095", "max_block_length = 5000", "uds.max_block_length", "5000", "isotp.max_length"),
]  # fmt: skip


def refusal(tmp_path: Path, kind: str, old: str, new: str) -> InputError:
    text = (data_root() / "ecus" / f"{kind}.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "ecus" / f"{kind}.toml"
    path.parent.mkdir()
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        load_personality(path)
    assert refused.value.file == str(path)
    return refused.value


@pytest.mark.parametrize(("kind", "old", "new", "key", "found", "allowed"), MISTAKES)
def test_values_that_do_not_fit_name_the_culprit(
    tmp_path: Path, kind: str, old: str, new: str, key: str, found: str, allowed: str
) -> None:
    error = refusal(tmp_path, kind, old, new)
    assert error.key == key, str(error)
    assert found in str(error.found), str(error)
    assert allowed in (error.allowed or ""), str(error)
    assert (error.hint or "").startswith(f"correct {key}"), str(error)


def test_user_data_over_a_bank_names_its_address(tmp_path: Path) -> None:
    text = (data_root() / "ecus" / "head_unit.toml").read_text(encoding="utf-8")
    line = next(each for each in text.splitlines() if each.startswith("base_address"))
    error = refusal(tmp_path, HEAD, line, "base_address = 0x10000000")
    assert error.key == "user_data.base_address"
    assert "outside 0x10000000-0x13FFFFFF" in (error.allowed or "")


def test_missing_guard_says_which_table_to_add(tmp_path: Path) -> None:
    text = (data_root() / "ecus" / "body_controller.toml").read_text(encoding="utf-8")
    table = text[text.index("[security]") :].split("\n\n")[0]
    error = refusal(tmp_path, BODY, table, "")
    assert error.key == "security"
    assert "[security] or [authentication]" in (error.allowed or "")
    assert "add a table [security] with" in (error.hint or "")


def test_missing_table_says_which_keys_it_needs(tmp_path: Path) -> None:
    text = (data_root() / "ecus" / "body_controller.toml").read_text(encoding="utf-8")
    table = text[text.index("[nvm]") :].split("\n\n")[0]
    error = refusal(tmp_path, BODY, table, "")
    assert (error.key, error.hint) == ("nvm", "add a table [nvm] with record_us = …")


def test_missing_list_of_tables_says_which_keys_one_needs(tmp_path: Path) -> None:
    text = (data_root() / "ecus" / "body_controller.toml").read_text(encoding="utf-8")
    table = text[text.index("[[banks]]") :].split("\n\n")[0]
    error = refusal(tmp_path, BODY, table, "")
    assert error.key == "banks"
    assert error.hint == "add a table [[banks]] with name = …, linked_base = …, size_bytes = …"
