"""The tester's half of 0x29 against an ECU that answers as told: what it accepts, and by what name it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.flasher.errors import AuthenticationFailed, FlashFailed, NegativeResponse, ProtocolViolation
from bench.flasher.recipe import Recipe
from bench.wire.certificates import SERVER, derived_credential, statement_of_ecu
from bench.wire.uds_authentication import Authentication

Benches = Callable[..., Any]
CHALLENGE = bytes(range(32))
ECU = derived_credential("fake ecu", SERVER)


def fields(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def with_certificate(benches: Benches, mode: str) -> Any:
    bench = benches()
    values = bench.recipe.model_dump(mode="json", exclude_none=True)
    values["authentication"] = {"certificate_name": "tester", "mode": mode}
    at = values["steps"].index("security_access")
    values["steps"] = [*values["steps"][:at], "authentication", *values["steps"][at:]]
    values["retries"]["job"] = 1
    bench.recipe = Recipe.model_validate(values)
    bench.ecu.on("2908", bench.acts.pretend("690802"), times=9)
    bench.ecu.on("2903", bench.acts.pretend("6903120000"), times=9)
    bench.ecu.on("2901", bench.acts.pretend((b"\x69\x01\x11" + fields(CHALLENGE, b"")).hex()), times=9)
    return bench


def proves(bench: Any, chain: bytes, sign: Callable[[bytes], bytes]) -> None:
    """Have the ECU answer 29 02 with this chain and signature."""

    def act(ecu: Any, request: bytes) -> list[Any]:
        own = Authentication.decode(request).fields[1]
        signature = sign(statement_of_ecu(own, CHALLENGE))
        return [ecu.answer(1, b"\x69\x02\x11" + fields(CHALLENGE, chain, signature, b""))]

    bench.ecu.on("2902", act, times=9)


def cause(bench: Any) -> Exception:
    with pytest.raises(FlashFailed) as failed:
        bench.flash()
    assert failed.value.step == "authentication"
    bench.assert_runs("1.0.0")
    return failed.value.cause


@pytest.fixture
def one_way(benches: Benches) -> Any:
    return with_certificate(benches, "unidirectional")


@pytest.fixture
def both_ways(benches: Benches) -> Any:
    return with_certificate(benches, "bidirectional")


def test_one_way_shows_the_certificate_without_a_challenge_and_signs(one_way: Any) -> None:
    one_way.flash()
    one_way.assert_runs("1.1.0")
    shown = next(Authentication.decode(r) for r in one_way.ecu.received if r[:2] == b"\x29\x01")
    assert shown.fields == (derived_credential("tester").chain, b"")


def test_both_ways_accepts_an_ecu_that_proves_itself(both_ways: Any) -> None:
    proves(both_ways, ECU.chain, ECU.sign)
    both_ways.flash()
    both_ways.assert_runs("1.1.0")


def test_challenges_of_two_jobs_differ(both_ways: Any) -> None:
    proves(both_ways, ECU.chain, ECU.sign)
    both_ways.flash()
    both_ways.flash(both_ways.job(both_ways.image("1.2.0")))
    challenges = [Authentication.decode(r).fields[1] for r in both_ways.ecu.received if r[:2] == b"\x29\x02"]
    assert len(set(challenges)) == len(challenges) == 2
    assert {len(challenge) for challenge in challenges} == {32}


@pytest.mark.parametrize(
    ("chain", "signer", "name"),
    [
        (derived_credential("fake ecu", SERVER, authority="a foreign CA").chain, ECU, "ECU_CERTIFICATE"),
        (derived_credential("a tester").chain, ECU, "ECU_CERTIFICATE"),
        (b"", ECU, "ECU_CERTIFICATE"),
        (ECU.chain, derived_credential("impostor", SERVER), "ECU_OWNERSHIP"),
    ],
    ids=["foreign", "tester", "none", "impostor"],
)
def test_ecu_that_does_not_prove_itself_is_refused_by_name(
    both_ways: Any, chain: bytes, signer: Any, name: str
) -> None:
    proves(both_ways, chain, signer.sign)
    found = cause(both_ways)
    assert isinstance(found, AuthenticationFailed)
    assert found.name == name
    assert not any(request[:2] == b"\x29\x03" for request in both_ways.ecu.received)


def test_ecu_that_replays_an_earlier_proof_is_refused(both_ways: Any) -> None:
    overheard = ECU.sign(statement_of_ecu(bytes(32), CHALLENGE))
    proves(both_ways, ECU.chain, lambda _statement: overheard)
    found = cause(both_ways)
    assert isinstance(found, AuthenticationFailed)
    assert found.name == "ECU_OWNERSHIP"


@pytest.mark.parametrize(("prefix", "answer"), [("2901", "690113"), ("2903", "6903110000"), ("2901", "69011100020102")])
def test_answer_that_skips_a_step_is_a_violation(benches: Benches, prefix: str, answer: str) -> None:
    bench = with_certificate(benches, "unidirectional")
    bench.ecu.rules = [rule for rule in bench.ecu.rules if rule.prefix != bytes.fromhex(prefix)]
    bench.ecu.on(prefix, bench.acts.pretend(answer), times=9)
    assert isinstance(cause(bench), ProtocolViolation)


def test_short_challenge_is_a_violation(benches: Benches) -> None:
    bench = with_certificate(benches, "unidirectional")
    bench.ecu.rules = [rule for rule in bench.ecu.rules if rule.prefix != b"\x29\x01"]
    bench.ecu.on("2901", bench.acts.pretend((b"\x69\x01\x11" + fields(bytes(8), b"")).hex()))
    assert "proves nothing" in str(cause(bench))


def test_ecu_that_wants_another_kind_of_authentication_is_told(benches: Benches) -> None:
    bench = with_certificate(benches, "unidirectional")
    bench.ecu.rules = []
    bench.ecu.on("2908", bench.acts.pretend("690803"))
    found = cause(bench)
    assert isinstance(found, AuthenticationFailed)
    assert found.name == "OTHER_AUTHENTICATION"


@pytest.mark.parametrize(("nrc", "tries"), [(0x50, 1), (0x57, 1), (0x58, 3)])
def test_refused_certificate_is_final_and_a_failed_proof_is_tried_again(benches: Benches, nrc: int, tries: int) -> None:
    bench = with_certificate(benches, "unidirectional")
    bench.limits(retries={"job": 3, "job_pause_ms": 10})
    bench.ecu.rules = [rule for rule in bench.ecu.rules if rule.prefix != b"\x29\x03"]
    bench.ecu.on("2903", bench.acts.refuse(nrc), times=9)
    found = cause(bench)
    assert isinstance(found, NegativeResponse)
    assert found.nrc == nrc
    assert sum(request[:2] == b"\x29\x03" for request in bench.ecu.received) == tries
