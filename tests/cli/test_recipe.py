"""`otabench recipe`: drafts from firmware files, recipes in words, the list of those that are built in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.flasher.recipe_gaps import GAP
from tests.foreign.files import application, odx_blocks, pdx, secondary_bootloader

Cli = Callable[..., Any]
FOREIGN = Path(__file__).parents[1] / "foreign" / "bench"


@pytest.fixture
def vbf(folder: Path) -> tuple[str, str]:
    """A secondary bootloader and code."""
    (folder / "sbl.vbf").write_bytes(secondary_bootloader().raw)
    (folder / "exe.vbf").write_bytes(application("AB").raw)
    return "exe.vbf", "sbl.vbf"


@pytest.fixture
def bench(folder: Path) -> Path:
    """Vehicle and hand-written recipes of the foreign units."""
    shutil.copytree(FOREIGN, folder, dirs_exist_ok=True)
    return folder


def refused(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err


# from ---------------------------------------------------------------------------------------------------


def test_draft_says_what_vbf_files_say_and_names_each_gap(otabench: Cli, folder: Path, vbf: tuple[str, str]) -> None:
    ended = otabench("recipe", "from", *vbf, "-o", "engine.toml", "--json")
    assert ended.code == 0
    assert (ended.json["schema"], ended.json["file"]) == (1, "engine.toml")
    assert ended.json["firmware"] == ["exe.vbf", "sbl.vbf"]
    text = (folder / "engine.toml").read_text(encoding="utf-8")
    for said in (
        'name = "engine"', '"load_bootloader"', "ram_base = 0x40000000", "is called at 0x40000000",
        "region_base = 0x00010000", "region_size = 0x00030000", 'by = "file"', 'algorithm = "crc16_ccitt_false"',
        "Signed: 31394146, 31394148", "ecu_address 0x7E0", "CAN_STANDARD: identifiers of 11 bits", "31394148 AB",
    ):  # fmt: skip
        assert said in text
    lines = text.splitlines()
    for gap in ended.json["gaps"]:
        assert lines[gap["line"] - 1] == f'{gap["key"].rpartition(".")[2]} = "{GAP}"'
        assert gap["look_up"].split()[0] in text
    assert [gap["key"] for gap in ended.json["gaps"]][:2] == ["memory.program_unit_bytes", "bootloader.answer"]


def test_draft_of_a_pdx_has_its_checksums_signatures_and_idents(otabench: Cli, folder: Path) -> None:
    (folder / "unit.pdx").write_bytes(pdx(odx_blocks("2.0.0"), "2.0.0"))
    shown = otabench("recipe", "from", "unit.pdx", "-o", "unit.toml").out
    assert "14 gaps to fill from the data sheet" in shown
    assert "check.rules.0.routine" in shown
    text = (folder / "unit.toml").read_text(encoding="utf-8")
    for said in ("CRC32", "Signed by ED25519", "HARDWARE to be HW-4711", 'by = "index"', "CALIBRATION: VERSION 2.0.0"):
        assert said in text


def test_checksum_of_an_unknown_algorithm_is_named_and_is_a_gap(otabench: Cli, folder: Path) -> None:
    document = pdx(odx_blocks("2.0.0"), "2.0.0")
    (folder / "unit.pdx").write_bytes(renamed_algorithm(document))
    found = otabench("recipe", "from", "unit.pdx", "-o", "unit.toml", "--json").json["gaps"]
    (gap,) = [each for each in found if each["key"] == "check.rules.0.by"]
    assert "MAKERSUM" in gap["look_up"]
    refused(otabench("recipe", "check", "unit.toml"), "recipe is a draft")


def renamed_algorithm(container: bytes) -> bytes:
    """Return the container with another CHECKSUM-ALG in its document."""
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(container)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"<CHECKSUM-ALG>CRC32<", b"<CHECKSUM-ALG>MAKERSUM<"))
    return out.getvalue()


def test_draft_is_refused_by_its_first_gap_until_it_is_filled(
    otabench: Cli, folder: Path, vbf: tuple[str, str]
) -> None:
    otabench("recipe", "from", *vbf, "-o", "engine.toml")
    refused(
        otabench("recipe", "check", "engine.toml"),
        "recipe is a draft", "key     memory.program_unit_bytes", f'found   "{GAP}"', "1 to 4096",
        "line", "then see to bootloader.answer",
    )  # fmt: skip


def test_draft_never_replaces_a_recipe_unless_forced(otabench: Cli, folder: Path, vbf: tuple[str, str]) -> None:
    (folder / "engine.toml").write_text("filled in by hand\n")
    refused(otabench("recipe", "from", *vbf, "-o", "engine.toml"), "there is a file already", "--force")
    assert (folder / "engine.toml").read_text() == "filled in by hand\n"
    assert otabench("recipe", "from", *vbf, "-o", "engine.toml", "--force").code == 0
    assert "filled in by hand" not in (folder / "engine.toml").read_text(encoding="utf-8")
    assert sorted(each.name for each in folder.iterdir()) == ["engine.toml", "exe.vbf", "sbl.vbf"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sbl.vbf", "-o", "x.toml"), ("no software for the ECU's flash", "a secondary bootloader alone")),
        (("exe.vbf", "exe.vbf", "-o", "x.toml"), ("claim the same addresses",)),
        (("exe.vbf", "-o", "x.txt"), ("a recipe is a .toml file", "x.toml")),
        (("exe.vbf", "-o", "gone/x.toml"), ("no folder gone",)),
        (("gone.vbf", "-o", "x.toml"), ("does not exist",)),
        (("exe.vbf",), ("-o",)),
        (("-o", "x.toml"), ("FILES",)),
    ],
)
def test_what_cannot_be_drafted_is_refused_and_nothing_is_written(
    otabench: Cli, folder: Path, vbf: tuple[str, str], arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(otabench("recipe", "from", *arguments), *words)
    assert sorted(each.name for each in folder.iterdir()) == ["exe.vbf", "sbl.vbf"]


# check --------------------------------------------------------------------------------------------------


def test_check_tells_requests_checks_retries_and_what_is_not_done(otabench: Cli, bench: Path) -> None:
    shown = otabench("recipe", "check", "recipes/vbf_loader.toml", "--vehicle", "vehicles/foreign.toml")
    assert shown.code == 0
    for said in (
        "flashes engine of foreign", "27 01", "34 dataFormatIdentifier(1) 44 address(4) size(4)",
        "31 01 FF 00 address(4) size(4), for each range that the file lists", "31 01 03 01 start_address(4)",
        "31 01 02 12 signature_dev(as in the file); the record must be 10 00", "22 F1 20", "every 2000 ms",
        "the whole job: 3 tries", "read memory back: an ECU that acknowledges",
    ):  # fmt: skip
        assert said in shown.out
    assert "is NOT checked" not in shown.out


def test_check_says_what_nothing_looks_at(otabench: Cli, bench: Path) -> None:
    recipe = bench / "recipes" / "plain_unit.toml"
    text = recipe.read_text(encoding="utf-8")
    rules = 'rules = [{ after = "segment", by = "transfer_exit", algorithm = "accepted" }]'
    assert rules in text
    found = otabench("recipe", "check", str(recipe), "--json").json["unchecked"]
    assert any("no version is read" in each for each in found)
    assert any("the ECU's word alone" in each for each in found)
    recipe.write_text(text.replace(rules, 'rules = "none"'), encoding="utf-8")
    found = otabench("recipe", "check", str(recipe), "--json").json["unchecked"]
    assert any('check.rules = "none"' in each for each in found)
    assert "is NOT checked:" in otabench("recipe", "check", str(recipe)).out


def test_check_names_what_the_vehicle_contradicts(otabench: Cli, bench: Path) -> None:
    vehicle = bench / "vehicles" / "foreign.toml"
    text = vehicle.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("functional = ")]
    text = "\n".join(lines).replace("target_address = 0x40", "target_address = 0x40\nisotp = { max_length = 64 }")
    vehicle.write_text(text, encoding="utf-8")
    ended = otabench("recipe", "check", "recipes/odx_unit.toml", "--vehicle", "vehicles/foreign.toml", "--json")
    assert ended.code == 1
    length, width = ended.json["problems"]
    assert "memory.block_limit_bytes = 1026" in length
    assert "64 bytes" in length
    assert "11-bit identifiers (0x7DF)" in width
    shown = otabench("recipe", "check", "recipes/odx_unit.toml", "--vehicle", "vehicles/foreign.toml")
    assert (shown.code, "keeps it from working:" in shown.out) == (1, True)


def test_functional_identifiers_of_another_width_mean_nothing_to_a_recipe_that_sends_none(
    otabench: Cli, bench: Path
) -> None:
    vehicle, recipe = bench / "vehicles" / "foreign.toml", bench / "recipes" / "plain_unit.toml"
    text = vehicle.read_text(encoding="utf-8").replace("request_id = 0x6F0", "id_29_bit = true\nrequest_id = 0x6F0")
    vehicle.write_text(text, encoding="utf-8")
    assert otabench("recipe", "check", str(recipe), "--vehicle", str(vehicle), "--json").json["problems"] == []
    silent = recipe.read_text(encoding="utf-8")
    recipe.write_text(silent.replace('tester_present = "none"', 'tester_present = "pending"'), encoding="utf-8")
    ended = otabench("recipe", "check", str(recipe), "--vehicle", str(vehicle), "--json")
    assert (ended.code, len(ended.json["problems"])) == (1, 1)


def test_check_names_a_key_program_that_is_not_there(otabench: Cli, bench: Path) -> None:
    recipe = bench / "recipes" / "vbf_loader.toml"
    text = recipe.read_text(encoding="utf-8").replace('"python3"', '"no-such-key-program"')
    recipe.write_text(text, encoding="utf-8")
    ended = otabench("recipe", "check", str(recipe), "--json")
    assert ended.code == 1
    assert "no-such-key-program" in ended.json["problems"][0]


def test_check_of_a_built_in_recipe_names_the_ecu_that_it_flashes(otabench: Cli) -> None:
    found = otabench("recipe", "check", "dual_bank", "--vehicle", "two_ecu_car", "--json").json
    assert (found["schema"], found["ecus"], found["problems"], found["unchecked"]) == (1, ["gateway"], [], [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gone",), ("no such recipe", "dual_bank")),
        (("recipes/plain_unit.toml", "--vehicle", "two_ecu_car"), ("no ECU of the vehicle is flashed by this recipe",)),
        (("vehicles/foreign.toml",), ("recipe is a vehicle file",)),
    ],
)
def test_wrong_recipes_and_vehicles_are_refused(
    otabench: Cli, bench: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    refused(otabench("recipe", "check", *arguments), *words)


def test_check_refuses_a_strategy_that_is_not_installed(otabench: Cli, bench: Path) -> None:
    recipe = bench / "recipes" / "plain_unit.toml"
    text = recipe.read_text(encoding="utf-8")
    rule = '{ after = "segment", by = "transfer_exit", algorithm = "accepted" }'
    recipe.write_text(text.replace(rule, '{ after = "part", by = "makers_own" }'), encoding="utf-8")
    refused(otabench("recipe", "check", str(recipe)), "makers_own", "otabench.flash_strategy")


# list ---------------------------------------------------------------------------------------------------


def test_list_has_every_built_in_recipe_with_its_title(otabench: Cli) -> None:
    found = otabench("recipe", "list", "--json").json["recipes"]
    assert [each["name"] for each in found] == [
        "adas", "door_module", "dual_bank", "ev_battery", "head_unit", "single_bank",
    ]  # fmt: skip
    assert all(each["title"] and "reset" in each["steps"] for each in found)
    assert "A/B banks of 64 MiB" in otabench("recipe", "list").out


@pytest.mark.parametrize("command", [("recipe",), ("recipe", "from"), ("recipe", "check"), ("recipe", "list")])
def test_help_has_examples(otabench: Cli, command: tuple[str, ...]) -> None:
    ended = otabench(*command, "--help")
    assert (ended.code, "Examples:" in ended.out) == (0, True)
