"""Orders to misbehave: the grammar, its text form, what is refused and what the refusal allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.wire.ecu_misbehave import KINDS, EcuMisbehaviour, EcuMisbehaviourParameters, WrongOrder, checked, parse
from bench.wire.occasions import Occasions, split

TEXT = {
    "nrc": "=0x72", "nrc_after": "=0x22", "slow": "=below_p2_star", "late": "=120", "wrong_echo": "=1",
    "wrong_service": "=2", "truncated": "=1", "reset": "=30",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["", "@5", "@5..7", "@5..", "@every3"])
def test_order_of_every_kind_has_a_text_that_means_the_same(kind: str, when: str) -> None:
    text = f"0x36.01FF:{kind}{TEXT.get(kind, '')}{when}"
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("0x36:nrc=0x72@5", EcuMisbehaviour(b"\x36", "nrc", 0x72, Occasions(5, 5))),
        ("0x36:nrc=114", EcuMisbehaviour(b"\x36", "nrc", 0x72)),
        ("any:silent@always", EcuMisbehaviour(b"", "silent", None)),
        ("0x31.01ff00:pending@2..", EcuMisbehaviour(b"\x31\x01\xff\x00", "pending", None, Occasions(2))),
        ("0x10:wrong_echo", EcuMisbehaviour(b"\x10", "wrong_echo", 1)),
        ("0x11:reset", EcuMisbehaviour(b"\x11", "reset", 0)),
        ("0x11:reset=after", EcuMisbehaviour(b"\x11", "reset", "after")),
    ],
)
def test_text_means_service_kind_value_and_occasions(text: str, means: EcuMisbehaviour) -> None:
    assert parse(text) == means


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("0x36", "0x36:DO, DO one of nrc"),
        ("36:nrc=0x72", "SERVICE[.HEX]:DO"),
        ("0x136:nrc=0x72", "SERVICE[.HEX]:DO"),
        ("0x36.1:nrc=0x72", "two hexadecimal digits"),
        ("any.01:silent", "SERVICE[.HEX]:DO"),
        ("0x36:warp", "nrc, nrc_after, silent"),
        ("0x36:nrc", "0x01 to 0xFF"),
        ("0x36:nrc=0x100", "0x01 to 0xFF"),
        ("0x36:nrc=0", "0x01 to 0xFF"),
        ("0x36:silent=1", "nothing"),
        ("0x36:slow", "below_p2_star"),
        ("0x36:slow=below_p2", "below_p2_star"),
        ("0x36:late=0", "milliseconds, 1 to"),
        ("0x36:late=\u0663", "milliseconds, 1 to"),
        ("0x37:wrong_echo", "another service"),
        ("0x36:silent@", "@N"),
        ("0x36:silent@0", "N from 1"),
        ("0x36:silent@7..5", "@N..M"),
        ("0x36:silent@every0", "@everyK"),
    ],
)
def test_wrong_order_is_refused_with_what_is_allowed(text: str, allowed: str) -> None:
    with pytest.raises(WrongOrder) as refused:
        parse(text)
    assert allowed in refused.value.allowed


@given(st.text(max_size=30))
def test_any_text_is_an_order_or_refused_by_name(text: str) -> None:
    try:
        order = parse(text)
    except WrongOrder:
        return
    assert parse(str(order)) == order


@given(st.integers(1, 50), st.integers(0, 50), st.integers(1, 9))
def test_occasions_include_what_their_words_say(first: int, more: int, every: int) -> None:
    numbers = range(1, 200)
    assert [n for n in numbers if split(f"x@{first}..{first + more}")[1].include(n)] == [
        n for n in numbers if first <= n <= first + more
    ]
    assert [n for n in numbers if split(f"x@every{every}")[1].include(n)] == [n for n in numbers if n % every == 0]
    assert [n for n in numbers if split(f"x@{first}")[1].include(n)] == [first]


def test_parameters_of_a_fault_mean_the_same_order_and_strike_once_by_default() -> None:
    given_ = EcuMisbehaviourParameters.model_validate({"service": 0x36, "do": "nrc", "nrc": 0x72})
    assert given_.order() == parse("0x36:nrc=0x72@1")
    more = {"service": 0x31, "follows": "01FF00", "do": "slow", "value": "above_p2_star", "times": 3}
    assert EcuMisbehaviourParameters.model_validate(more).order() == parse("0x31.01FF00:slow=above_p2_star@1..3")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"do": "nrc"}, "which need it"),
        ({"do": "silent", "nrc": 5}, "nrc belongs to"),
        ({"do": "silent", "follows": "01"}, "follows needs a service"),
        ({"do": "slow", "value": "soon"}, "below_p2_star"),
        ({"do": "warp"}, "'nrc'"),
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        EcuMisbehaviourParameters.model_validate(parameters)


def test_parameter_choices_are_the_kinds() -> None:
    allowed = EcuMisbehaviourParameters.model_json_schema()["properties"]["do"]["enum"]
    assert allowed == list(KINDS)
    with pytest.raises(WrongOrder, match="no such way"):
        checked(b"", "warp", None, Occasions())
