"""A foreign tester (udsoncan's Client over can-isotp) sees each misbehaviour of `otabench ecu`, and flashes through."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.real_can import isolated

VIN = "ZZZ00TABENCH00001"


@pytest.fixture(scope="module")
def seen() -> Any:
    """What udsoncan saw of two served ECUs."""
    return isolated("tests.interop.misbehaving_ecu")


def test_udsoncan_reads_what_was_ordered_one_after_the_other(seen: Any) -> None:
    told = {order.split(":")[1]: read for order, read in zip(seen["ready"], seen["reads"], strict=True)}
    assert told == {
        "nrc=0x22@1": "NRC 0x22",
        "nrc_after=0x93@2": "NRC 0x93",
        "silent@3": "TimeoutException",
        "lost_answer@4": "TimeoutException",
        "slow=400@5": VIN,
        "late=below_p2@6": VIN,
        "wrong_echo=1@7": "UnexpectedResponseException",
        "wrong_service=1@8": "UnexpectedResponseException",
        "truncated=1@9": "InvalidResponseException",
        "late=1900@10": "TimeoutException",
    }


def test_udsoncan_flashes_an_ecu_that_misbehaves_three_times_and_is_slow(seen: Any) -> None:
    wrong = ["0x36 NRC 0x72", "UnexpectedResponseException", "0x37 NRC 0x71"]
    assert seen["writes"] == [*wrong, "check memory 00"]
    assert (seen["vin"], seen["version"]) == (VIN, "3.0.0")


def test_udsoncan_gets_an_answer_before_the_ordered_reset_and_none_while_the_ecu_boots(seen: Any) -> None:
    answered, silent = seen["reset"]
    assert "PositiveResponse" in answered
    assert silent == "TimeoutException"


def test_udsoncan_gives_up_on_0x78_for_ever_and_is_told_that_the_ecu_is_busy(seen: Any) -> None:
    assert seen["pending"] == ["TimeoutException", "NRC 0x21"]
