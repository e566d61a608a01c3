"""The marker of a signed but bad image."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.wire.image_behaviour import AFTER_MAX_MS, MAGIC, MARKER_BYTES, WELL, Behaviour, ImageBehaviour, behaviour_of
from bench.wire.image_behaviour import marked as marked_image


@given(st.binary(min_size=MARKER_BYTES, max_size=64), st.sampled_from(Behaviour), st.integers(0, AFTER_MAX_MS))
def test_marker_comes_back_and_keeps_length_and_the_rest(data: bytes, kind: Behaviour, after_ms: int) -> None:
    behaviour = ImageBehaviour(kind, after_ms)
    image = marked_image(data, behaviour)
    assert behaviour_of(image) == behaviour
    assert (len(image), image[MARKER_BYTES:]) == (len(data), data[MARKER_BYTES:])


@given(st.binary(max_size=64).filter(lambda data: not data.startswith(MAGIC)))
def test_image_without_a_marker_simply_runs(data: bytes) -> None:
    assert behaviour_of(data) == WELL


def test_marker_layout_is_as_documented() -> None:
    image = marked_image(bytes(16), ImageBehaviour(Behaviour.HANG, 0x01020304))
    assert image.hex() == MAGIC.hex() + "02" + "000000" + "01020304"
    assert behaviour_of(MAGIC + b"\x07" + bytes(7)) == WELL


@pytest.mark.parametrize("after_ms", [-1, AFTER_MAX_MS + 1])
def test_time_that_does_not_fit_is_refused(after_ms: int) -> None:
    with pytest.raises(ValueError, match="after_ms"):
        ImageBehaviour(Behaviour.CRASH, after_ms)


def test_image_too_short_for_a_marker_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        marked_image(bytes(MARKER_BYTES - 1), WELL)
