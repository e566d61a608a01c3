"""The flasher against an ECU whose diagnostic server misbehaves: done, bounded retries, or a named failure.

Of the NRCs that a service gives once, `make test` takes each that flasher or recipe treats in a way of its own and
some of those that are refusals like any other (`NRCS`); `make nightly` takes all of ISO 14229-1 annex A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.flasher.errors import FlashFailed, NegativeResponse, ProtocolViolation, TransportError, UdsError
from bench.flashing.run import FlashResult
from bench.wire.ecu_misbehave import parse
from bench.wire.uds import Nrc
from tests.effort import NIGHTLY

if TYPE_CHECKING:
    from tests.flashing.conftest import Stage

ASKED = (0x10, 0x11, 0x22, 0x27, 0x2E, 0x31, 0x34, 0x36, 0x37)
"""Services of a flash job whose answers the flasher needs."""
TOLD = (0x14, 0x28, 0x3E, 0x85)
"""Services that go to all ECUs: nobody need answer."""
ORDERS = (
    "nrc=0x22", "nrc_after=0x72", "silent", "lost_answer", "slow=below_p2_star", "slow=above_p2_star",
    "slow=12000", "late=below_p2", "late=above_p2", "wrong_echo", "wrong_service", "truncated", "reset", "reset=30",
    "reset=after",
)  # fmt: skip
ALIKE = {
    Nrc.RESPONSE_TOO_LONG, Nrc.AUTHENTICATION_REQUIRED, *range(Nrc.CERTIFICATE_SIGNATURE, Nrc.CERTIFICATE_INVALID),
    *range(Nrc.OWNERSHIP_VERIFICATION_FAILED, Nrc.DE_AUTHENTICATION_FAILED),
}  # fmt: skip
"""Refusals that no code tells from 0x33, from the ends of their range (0x50 and 0x57), or from 0x5D."""
NRCS = [nrc for nrc in Nrc if NIGHTLY or nrc not in ALIKE]
JOB_RETRIES, STEP_REPEATS, BLOCK_REPEATS, DOWNLOAD_RESTARTS = 9, 10, 30, 30
"""What the recipe allows: ten jobs, in each one more try of a step, three of a block, two of a download."""


def flash(stage: Stage, order: str) -> FlashResult:
    return stage.play(
        stage.order("body", size_bytes=4_000),
        interfere=lambda _world, vehicle: vehicle.misbehave("body", parse(order)),
    )


def has_echo(sid: int, do: str) -> bool:
    return not (do == "wrong_echo" and sid in (0x14, 0x34, 0x37))


SINGLE = [(sid, do) for sid in (*ASKED, *TOLD) for do in ORDERS if has_echo(sid, do)]


@pytest.mark.parametrize(("sid", "do"), SINGLE, ids=lambda each: f"0x{each:02X}" if isinstance(each, int) else each)
def test_ecu_that_misbehaves_once_is_programmed_all_the_same(stage: Stage, sid: int, do: str) -> None:
    result = flash(stage, f"0x{sid:02X}:{do}@1")
    outcome = result.ecus[0].outcome
    assert result.good, outcome.error
    assert outcome.report.counts["job_retry"] <= 5  # of an ECU that is busy for 12 s


@pytest.mark.effort
@pytest.mark.parametrize("sid", [*ASKED, *TOLD])
def test_each_nrc_told_once_is_overcome_unless_it_says_that_the_key_is_wrong(stage: Stage, sid: int) -> None:
    lost = [nrc.name for nrc in NRCS if not flash(stage, f"0x{sid:02X}:nrc=0x{nrc:02X}@1").good]
    assert lost == (["INVALID_KEY"] if sid == 0x27 else [])


@pytest.mark.parametrize("do", ORDERS)
@pytest.mark.parametrize("sid", ASKED, ids=lambda sid: f"0x{sid:02X}")
def test_ecu_that_always_misbehaves_ends_the_job_done_or_failed_by_name_within_the_allowed_retries(
    stage: Stage, sid: int, do: str
) -> None:
    if not has_echo(sid, do):
        return
    result = flash(stage, f"0x{sid:02X}:{do}")
    outcome = result.ecus[0].outcome
    counts = outcome.report.counts
    assert counts["job_retry"] <= JOB_RETRIES
    assert counts["step_repeat"] <= 2 * STEP_REPEATS
    assert counts["block_repeat"] <= 2 * BLOCK_REPEATS
    assert counts["download_restart"] <= DOWNLOAD_RESTARTS
    if result.good:
        return
    if outcome.error is None:
        assert result.ecus[0].confirm_problem, "it was programmed, and must say why it was not confirmed"
        return
    assert isinstance(outcome.error, FlashFailed)
    assert isinstance(outcome.error.cause, UdsError)


@pytest.mark.parametrize(
    ("order", "cause", "words"),
    [
        ("0x22:silent", TransportError, "P2: request 22"),
        ("0x22:late=above_p2", TransportError, "P2: request 22"),
        ("0x22:slow=above_p2_star", TransportError, "P2*: request 22"),
        ("0x31:wrong_echo", ProtocolViolation, "must begin with 71 01 ff 00, it is 71 02"),
        ("0x34:nrc=0x70", NegativeResponse, "service 0x34 refused with NRC 0x70"),
        ("0x36:nrc=0x72", NegativeResponse, "service 0x36 refused with NRC 0x72"),
        ("0x36:wrong_echo", ProtocolViolation, "must begin with 76 01, it is 76 02"),
        ("0x36:pending", NegativeResponse, "NRC 0x21"),
    ],
)
def test_named_failure_says_which_request_went_wrong_and_how(
    stage: Stage, order: str, cause: type[UdsError], words: str
) -> None:
    error = flash(stage, order).ecus[0].outcome.error
    assert isinstance(error, FlashFailed)
    assert isinstance(error.cause, cause)
    assert words in str(error.cause)


@pytest.mark.parametrize("sid", ASKED, ids=lambda sid: f"0x{sid:02X}")
@pytest.mark.parametrize("do", ["slow=below_p2_star", "late=below_p2"])
def test_ecu_just_below_a_limit_is_programmed_in_one_job(stage: Stage, sid: int, do: str) -> None:
    if (sid, do) in ((0x10, "slow=below_p2_star"), (0x31, "late=below_p2")):
        return  # a functional 0x10 is not waited for; an erase takes longer than P2 and needs its 0x78
    result = flash(stage, f"0x{sid:02X}:{do}")
    assert (result.good, result.ecus[0].outcome.report.counts["job_retry"]) == (True, 0)


def test_0x78_for_ever_is_given_up_at_the_limit_of_the_recipe_and_the_job_ends(stage: Stage) -> None:
    result = flash(stage, "0x36:pending@1")
    counts = result.ecus[0].outcome.report.counts
    assert not result.good
    assert (counts["job_retry"], counts["pending"] < 20) == (JOB_RETRIES, True)
