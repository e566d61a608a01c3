"""Random frames of a foreign node at any moment of a flashing job: the small version of `make fuzz` that shrinks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.core.clock import NS_PER_MS
from bench.core.records import FrameRecord
from tests.fuzz import targets
from tests.fuzz.rig import (
    FUNCTIONAL_ID,
    OTHER_ID,
    REQUEST_ID,
    RESPONSE_ID,
    BoundedLoop,
    Case,
    Hang,
    Injection,
    Job,
    Reaction,
    case,
    golden,
)

SETTINGS: Any = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
CAN_IDS = st.sampled_from([RESPONSE_ID, REQUEST_ID, FUNCTIONAL_ID, OTHER_ID])
DATA = st.one_of(
    st.binary(max_size=8),
    st.builds(lambda payload: (bytes((len(payload),)) + payload).ljust(8, b"\xcc"), st.binary(min_size=1, max_size=7)),
    st.builds(
        lambda head, tail: bytes((head,)) + tail, st.sampled_from([0x10, 0x21, 0x30, 0x31, 0x32]), st.binary(max_size=7)
    ),
    st.builds(lambda sid, nrc: bytes((3, 0x7F, sid, nrc)), st.integers(0x10, 0x3E), st.integers(0x10, 0x93)),
    st.builds(lambda n: golden("single")[n % len(golden("single"))].data, st.integers(0, 10_000)),
)
INJECTIONS = st.builds(Injection, st.integers(0, 800 * NS_PER_MS), CAN_IDS, DATA)
REACTIONS = st.builds(
    Reaction,
    on_id=st.sampled_from([REQUEST_ID, RESPONSE_ID]),
    on_kind=st.none() | st.integers(0, 3),
    delay_ns=st.sampled_from([0, 100_000, NS_PER_MS, 99 * NS_PER_MS]),
    can_id=CAN_IDS,
    data=DATA,
    skip=st.integers(0, 60),
    times=st.sampled_from([1, 3, 200]),
)


KINDS = st.sampled_from(["single", "dual"])


@pytest.mark.parametrize("kind", ["single", "dual"])
def test_undisturbed_job_succeeds_and_the_ecu_holds_the_image(kind: str) -> None:
    job = Job(Case(kind=kind)).run()
    job.check()
    assert job.report is not None
    assert job.holds_image()


@settings(SETTINGS, max_examples=100)
@given(injections=st.lists(INJECTIONS, max_size=12), kind=KINDS)
def test_foreign_frames_at_any_moment_end_in_the_image_or_a_named_error_with_the_bus_restored(
    injections: list[Injection], kind: str
) -> None:
    Job(Case(tuple(injections), (), kind)).run().check()


@settings(SETTINGS, max_examples=40)
@given(injections=st.lists(INJECTIONS, max_size=6), kind=KINDS)
def test_foreign_frames_have_the_same_effect_in_both_grains_of_the_bus(injections: list[Injection], kind: str) -> None:
    targets.same_in_both_grains(Case(tuple(injections), (), kind))


@settings(SETTINGS, max_examples=100)
@given(reactions=st.lists(REACTIONS, min_size=1, max_size=3), kind=KINDS)
def test_foreign_node_that_answers_frames_is_survived_as_well(reactions: list[Reaction], kind: str) -> None:
    Job(Case((), tuple(reactions), kind)).run().check()


@pytest.mark.parametrize("target", ["isotp", "server", "decoders", "grains"])
def test_target_holds_for_the_first_cases(target: str) -> None:
    for number in range(60):
        getattr(targets, target)(2, number)


def test_case_is_the_same_for_the_same_seed_and_number() -> None:
    assert case(3, 14) == case(3, 14)
    assert case(3, 14) != case(3, 15)


# The checks themselves ------------------------------------------------------------------------------


def test_success_without_the_image_in_flash_is_caught() -> None:
    job = Job(Case()).run()
    job.vehicle.flip_bit("ecu", "A", 0x100, 3)
    with pytest.raises(AssertionError, match="does not hold the image"):
        job.check()


@pytest.mark.parametrize(("data", "told"), [("0328030100", "0x28 was left"), ("028502", "0x85 was left")])
def test_bus_that_is_left_half_disabled_is_caught(data: str, told: str) -> None:
    job = Job(Case()).run()
    now_ns = job.loop.now_ns()
    job.world.journal.frame(FrameRecord(now_ns, "can0", "tester", FUNCTIONAL_ID, 0, bytes.fromhex(data)))
    with pytest.raises(AssertionError, match=told):
        job.check()


def test_endless_loop_in_virtual_time_is_caught() -> None:
    loop = BoundedLoop()

    async def forever() -> None:
        while True:
            await loop.sleep_ns(0)

    with pytest.raises(Hang, match="steps"):
        loop.run(forever())
    loop.discard()


def test_job_that_never_ends_in_virtual_time_is_caught() -> None:
    loop = BoundedLoop()
    with pytest.raises(Hang, match="still at work"):
        loop.run(loop.sleep_ns(10**15))
    loop.discard()
