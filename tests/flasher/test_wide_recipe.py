"""What a recipe's wider keys make the flasher do and say, against an ECU that refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.flasher.errors import FlashFailed, PreconditionsNotMet
from bench.flasher.recipe import Recipe

Benches = Callable[..., Any]


def changed(bench: Any, **tables: Any) -> None:
    """Change keys of the recipe's tables (a list replaces `steps`)."""
    values = bench.recipe.model_dump(mode="json", exclude_none=True)
    for name, value in tables.items():
        values[name] = values.get(name, {}) | value if isinstance(value, dict) else value
    bench.recipe = Recipe.model_validate(values)


def failing(bench: Any) -> FlashFailed:
    changed(bench, retries={"job": 1, "download": 0})
    with pytest.raises(FlashFailed) as failed:
        bench.flash()
    return failed.value


@pytest.mark.parametrize("nrc", [0x31, 0x70])
def test_refused_download_says_what_stood_in_each_byte_and_what_the_recipe_allows(bench: Any, nrc: int) -> None:
    bench.ecu.on("34", bench.acts.refuse(nrc))
    text = str(failing(bench))
    assert "byte 2 dataFormatIdentifier 0x00: compression 0 (none), encryption 0 (none), from [download]" in text
    assert "byte 3 addressAndLengthFormatIdentifier 0x44, from transfer.address_bytes = 4 and size_bytes = 4" in text
    assert "address 0x00000000 and size 0x2710" in text
    assert "the recipe allows 0x00000000 to 0x0003FFFF and the header slot 0x00F00000" in text


def test_refused_packed_download_names_its_packing(bench: Any) -> None:
    changed(bench, download={"compression": "lzma", "compression_nibble": 3})
    bench.ecu.on("34", bench.acts.refuse(0x31))
    assert "byte 2 dataFormatIdentifier 0x30: compression 3 (lzma), encryption 0 (none)" in str(failing(bench))


def test_refused_counter_says_which_one_the_recipe_begins_with(bench: Any) -> None:
    changed(bench, transfer={"first_counter": 0})
    text = str(failing(bench))
    assert "byte 2 blockSequenceCounter 0x00: the recipe begins with transfer.first_counter = 0" in text
    assert "follows 0xFF with transfer.counter_after_ff = 0" in text


def test_refused_length_of_a_block_says_the_limit(bench: Any) -> None:
    bench.ecu.on("36", bench.acts.refuse(0x71))
    assert "with 3840 bytes of data; memory.block_limit_bytes = 4095" in str(failing(bench))


# Preconditions --------------------------------------------------------------------------------------

ASK = "31010207"


@pytest.fixture
def asking(bench: Any) -> Any:
    """A recipe that asks for preconditions; the fake ECU answers only by rules."""
    steps = list(map(str, bench.recipe.steps))
    steps.insert(1, "check_preconditions")
    meanings = {"1": "the engine runs", "3": "the voltage is low"}
    changed(bench, steps=steps, routines={"check_preconditions": 0x0207}, preconditions={"meanings": meanings})
    return bench


def test_unmet_preconditions_end_the_job_by_name_before_programming(asking: Any) -> None:
    asking.ecu.on(ASK, asking.acts.pretend("7101020700010309"))
    failed = failing(asking)
    assert isinstance(failed.cause, PreconditionsNotMet)
    assert failed.cause.conditions == (1, 3, 9)
    assert "not now: the engine runs, the voltage is low, condition 0x09" in str(failed)
    assert not any(request[:2] == b"\x10\x02" for request in asking.ecu.received)
    asking.assert_runs("1.0.0")


def test_met_preconditions_let_the_job_go_on(asking: Any) -> None:
    asking.ecu.on(ASK, asking.acts.pretend("7101020700"))
    asking.flash()
    asking.assert_runs("1.1.0")


def test_unmet_preconditions_are_waited_out_as_often_as_the_recipe_says(asking: Any) -> None:
    changed(asking, preconditions={"tries": 3, "pause_ms": 700})
    asking.ecu.on(ASK, asking.acts.pretend("710102070001"), times=2)
    asking.ecu.on(ASK, asking.acts.pretend("7101020700"))
    asking.flash()
    asking.assert_runs("1.1.0")
    assert asking.services().count("31010207") == 1, "three in a row"


def test_application_that_missed_the_extended_session_gets_it_by_its_address(asking: Any) -> None:
    asking.ecu.on(ASK, asking.acts.refuse(0x7F))
    asking.ecu.on(ASK, asking.acts.pretend("7101020700"))
    assert asking.flash().counts["extended_by_address"] == 1


def test_bootloader_is_not_asked_for_preconditions(asking: Any) -> None:
    asking.ecu.banks[0].mark = False
    asking.ecu.start_life(programming=False)
    asking.flash()
    assert "31010207" not in asking.services()
    asking.assert_runs("1.1.0")


# After programming ----------------------------------------------------------------------------------


def test_identifiers_are_read_back_by_name_and_a_refused_one_is_noted(bench: Any) -> None:
    steps = [*map(str, bench.recipe.steps[:-1]), "read_back", "default_session"]
    changed(bench, steps=steps, dids={"read_back": {"hardware": 0xF191, "serial": 0xF18C}})
    events = [event.detail for event in bench.flash().events if event.name == "read_back"]
    assert events == [
        f"identifier=hardware did=0xF191 value={b'BCM-HW-03'.ljust(16, bytes(1)).hex()}",
        "identifier=serial did=0xF18C nrc=0x31",
    ]


def test_dtcs_are_cleared_after_their_setting_is_on_again(bench: Any) -> None:
    assert bench.recipe.steps[-2:] == ("clear_dtcs", "default_session")
    bench.ecu.on("14FFFFFF", lambda ecu, _request: [ecu.answer(1, b"\x54" if ecu.dtc_setting else b"\x7f\x14\x22")])
    bench.flash()
    assert bench.services().count("14") == 1
    bench.assert_runs("1.1.0")


@pytest.mark.parametrize("answers", [[b"\x7f\x14\x22"], []], ids=["refused", "silent"])
def test_dtcs_that_cannot_be_cleared_are_noted_and_nothing_is_programmed_again(
    bench: Any, answers: list[bytes]
) -> None:
    bench.ecu.on("14FFFFFF", lambda ecu, _request: [ecu.answer(1, answer) for answer in answers], times=9)
    report = bench.flash()
    assert [event.name for event in report.events].count("dtcs_not_cleared") == 1
    assert report.downloads == 1
    bench.assert_runs("1.1.0")


# Erasing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "ranges"),
    [
        ({}, ["440000000000002710"]),
        ({"granularity": "region"}, ["440000000000040000"]),
        (
            {"granularity": "sectors", "sector_bytes": 4096},
            ["440000000000001000", "440000100000001000", "440000200000001000"],
        ),
    ],
)
def test_erase_routine_is_called_by_the_granularity_of_the_recipe(
    bench: Any, rules: dict[str, Any], ranges: list[str]
) -> None:
    changed(bench, erase=rules)
    bench.flash()
    assert [r[4:].hex() for r in bench.ecu.received if r[:4] == b"\x31\x01\xff\x00"] == ranges
    bench.assert_runs("1.1.0")
