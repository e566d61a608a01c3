"""Run ids and input hashes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.runs.ids import RunId, inputs_hash

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
HASHES = st.from_regex(r"[0-9a-f]{12}", fullmatch=True)
POINTS = st.sampled_from(
    [
        "power.ecu:body:program:17:torn=3",
        "storage:body:boot:3",
        "package:agent:http:6",
        "power.agent:agent:sync:2:after",
    ]
)


@given(NAMES, st.lists(POINTS, max_size=3), st.integers(0, 2**62), HASHES, HASHES, st.none() | NAMES)
def test_id_reads_back_as_it_was_written(
    scenario: str, points: list[str], seed: int, inputs: str, golden: str, defect: str | None
) -> None:
    run_id = RunId(scenario, tuple(points), seed, inputs, golden, defect)
    assert RunId.parse(str(run_id)) == run_id


@pytest.mark.parametrize(
    "text",
    ["", "v1", "v2.healthy.none.1.0123456789ab.0123456789ab", "v1.healthy.none.x.0123456789ab.0123456789ab", "../x"],
)
def test_what_is_no_id_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(InputError) as error:
        RunId.parse(text)
    assert "v1.<scenario>" in (error.value.allowed or "")


def test_inputs_hash_depends_on_names_and_bytes_and_not_on_order() -> None:
    one = inputs_hash({"a": b"1", "b": b"2"})
    assert inputs_hash({"b": b"2", "a": b"1"}) == one
    assert len({one, inputs_hash({"a": b"1", "b": b"3"}), inputs_hash({"a": b"1", "c": b"2"})}) == 3
