from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.flasher.recipe import ORDER, Recipe, Step, load_recipe
from tests.recipes import recipe_named

GOOD = recipe_named("dual_bank")


def broken(folder: Path, key: str, value: object) -> Path:
    """Write the dual-bank recipe with one value changed (None: left out); `key` is dotted."""
    values: dict[str, Any] = GOOD.model_dump(mode="json", exclude_none=True)
    *way, last = key.split(".")
    here = values
    for name in way:
        here = here[name]
    here.pop(last, None)
    if value is not None:
        here[last] = value
    path = folder / "broken.toml"
    path.write_bytes(tomli_w.dumps(values).encode())
    return path


def without(*steps: str) -> list[str]:
    return [step for step in GOOD.steps if step not in steps]


def swapped(one: str, other: str) -> list[str]:
    swap = {one: other, other: one}
    return [swap.get(step, str(step)) for step in GOOD.steps]


@pytest.mark.parametrize(("name", "unit_bytes", "activates"), [("single_bank", 256, False), ("dual_bank", 512, True)])
def test_recipe_of_the_project_loads_by_name(name: str, unit_bytes: int, activates: bool) -> None:
    recipe = recipe_named(name)
    assert recipe.name == name
    assert recipe.memory.program_unit_bytes == unit_bytes
    assert (Step.ACTIVATE in recipe.steps) is activates
    tries = recipe.retries
    assert tries.job >= 10
    assert (tries.job - 1) * tries.job_pause_ms >= 20_000


def test_unknown_recipe_name_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InputError, match=r"adas, .*dual_bank, .*single_bank"):
        recipe_named("triple_bank")


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (without("check_memory"), "step check_memory is missing"),
        (without("erase"), "step erase is missing"),
        (without("download_image"), "step download_image is missing"),
        ([*map(str, GOOD.steps), "program_blocks"], "step erase cannot stand beside program_blocks"),
        (
            ["check_preconditions", *map(str, GOOD.steps)],
            "step check_preconditions cannot stand before extended_session",
        ),
        (["clear_dtcs", *without("clear_dtcs")], "step clear_dtcs cannot stand before programming_session"),
        (without("verify_version"), "step verify_version is missing"),
        (without("communication_on"), "step communication_off is never undone: communication_on is missing"),
        (without("dtc_on"), "step dtc_off is never undone: dtc_on is missing"),
        (swapped("erase", "download_image"), "step download_image cannot stand before erase"),
        (swapped("reset", "check_memory"), "step check_dependencies cannot stand before check_memory"),
        (swapped("activate", "reset"), "step reset cannot stand before activate"),
        (swapped("dtc_off", "fingerprint"), "step fingerprint cannot stand before programming_session"),
        (swapped("extended_session", "dtc_off"), "step dtc_off cannot stand before extended_session"),
        ([*map(str, GOOD.steps), "reset"], "step reset stands twice"),
        ([], "step programming_session is missing"),
        ([*map(str, GOOD.steps), "polish"], "none of the allowed"),
    ],
)
def test_recipe_with_impossible_steps_is_refused_with_the_step(tmp_path: Path, steps: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told) as refusal:
        load_recipe(broken(tmp_path, "steps", steps))
    assert "steps" in str(refusal.value.key)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("routines.activate", None, "step activate needs routines.activate"),
        ("steps", ["extended_session", "check_preconditions", *GOOD.steps[1:]], "needs routines.check_preconditions"),
        ("routines.check_block", 0x0206, "has no use without step program_blocks"),
        ("memory.blocks", [{"name": "app", "base": 0, "size_bytes": 0x40000}], "program_blocks and the logical blocks"),
        ("memory.blocks", [{"name": "app", "base": 512, "size_bytes": 0x40000}], "block app begins at 0x00000200"),
        ("memory.blocks", [{"name": "app", "base": 0, "size_bytes": 0x30000}], "the blocks end at 0x00030000"),
        (
            "memory.blocks",
            [{"name": "a", "base": 0, "size_bytes": 100}, {"name": "b", "base": 100, "size_bytes": 9}],
            "block b does not begin at a program unit",
        ),
        ("transfer.address_bytes", 2, "address 0x00F000FF does not fit transfer.address_bytes = 2"),
        ("transfer.size_bytes", 2, "does not fit transfer.size_bytes = 2"),
        ("transfer.address_bytes", 5, "from 1 to 4"),
        ("transfer.first_counter", 2, "0 or 1"),
        ("erase.granularity", "sectors", "sector_bytes need each other"),
        ("erase.sector_bytes", 4096, "sector_bytes need each other"),
        ("dids.read_back", {"Serial Number": 0xF18C}, "key of a wrong form"),
        ("preconditions.tries", 0, "from 1 to 100"),
        ("routines.check_dependencies", None, "step check_dependencies needs routines.check_dependencies"),
        ("routines.erase", None, "step erase needs routines.erase"),
        ("security", None, "step security_access needs the table .security."),
        ("authentication", {"certificate_name": "x"}, "has no use without step authentication"),
        ("authentication", {}, "certificate_name is missing"),
        ("authentication", {"certificate_file": "a.pem"}, "key_file is missing beside certificate_file"),
        ("authentication", {"certificate_name": "x", "key_file": "a.pem"}, "exclude each other"),
        ("steps", without("security_access"), "step security_access is missing .or authentication"),
        ("steps", ["authentication", *GOOD.steps], "step authentication cannot stand before programming_session"),
        ("security.level", 2, "an odd number"),
        ("security.algorithm", "rot13", "one of: aes_cmac, hmac_sha256, xor_rotate, command, library"),
        ("timing.p2_ms", 6000, "need p2_ms < p2_star_ms"),
        ("timing.pending_limit_s", 4, "shorter than one P2"),
        ("timing.tester_present_intervall_ms", 2000, "tester_present_interval_ms"),
        ("memory.header_address", 0x1000, "outside the linked region"),
        ("memory.block_limit_bytes", 513, "one program unit"),
        ("memory.region_base", 0xFFFF_FFFF, "beyond 32-bit"),
        ("retries.resend_block", [0x73], "NRC 0x73 is in resend_block and in restart_download"),
        ("retries.job", 0, "from 1 to 100"),
        ("fingerprint.tester_id", "ab", "7 printable ASCII"),
    ],
)
def test_recipe_with_a_wrong_value_is_refused_with_file_and_reason(
    tmp_path: Path, key: str, value: object, told: str
) -> None:
    with pytest.raises(InputError, match=told) as refusal:
        load_recipe(broken(tmp_path, key, value))
    assert refusal.value.file is not None
    assert refusal.value.file.endswith("broken.toml")


@given(st.permutations(GOOD.steps))
def test_any_order_that_is_accepted_keeps_every_rule_of_the_table(steps: list[Step]) -> None:
    values = GOOD.model_dump(mode="json") | {"steps": steps}
    try:
        accepted = Recipe.model_validate(values).steps
    except ValueError as error:
        assert "step" in str(error)  # noqa: PT017
        return
    rules = [pair for pair in ORDER if set(pair) <= set(accepted)]
    assert all(accepted.index(earlier) < accepted.index(later) for earlier, later in rules)
