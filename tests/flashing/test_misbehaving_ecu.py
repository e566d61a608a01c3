"""The flasher against a simulated ECU whose ISO-TP misbehaves: success or a named error, and the bus restored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.core.world import World
from bench.flasher.errors import FlashFailed, TransportError
from bench.flashing.run import FlashResult
from bench.link.misbehaving_bus import MisbehavingBus
from bench.ports.can import CanBus
from bench.wire.isotp_misbehave import IGNORED, INJECTORS, N_OK, chosen

if TYPE_CHECKING:
    from tests.flashing.conftest import Stage

RESTORED = ["288001", "8581", "1081"]
GETS_THROUGH = (
    *(name for name, injector in INJECTORS.items() if injector.ends == N_OK),
    "late_flow_control",  # it comes in time for the repeated request
    "repeated_frame",  # this ECU's answers have one consecutive frame
)


def flash(stage: Stage, *misbehave: str) -> tuple[FlashResult, list[str]]:
    """Flash one ECU that misbehaves; returns the result and what struck."""
    order = stage.order("body", size_bytes=4_000)
    address = next(ecu for ecu in order.files.vehicle.ecus if ecu.id == "body").address()
    struck: list[str] = []

    def between(_world: World, bus: CanBus) -> CanBus:
        return MisbehavingBus(bus, address, [chosen(text) for text in misbehave], struck.append)

    return stage.play(order, between=between), struck


def assert_restored(stage: Stage, result: FlashResult) -> None:
    """Nothing was switched off, or all of it was switched on again last."""
    told = stage.functional(result.frames, "can0")
    assert told[-3:] == RESTORED or not told


@pytest.mark.parametrize("name", INJECTORS)
def test_ecu_that_always_misbehaves_ends_the_job_in_success_or_the_injectors_named_error(
    stage: Stage, name: str
) -> None:
    result, struck = flash(stage, name)
    outcome = result.ecus[0].outcome
    assert set(struck) == {name}
    assert_restored(stage, result)
    if name in GETS_THROUGH:
        assert result.good
        return
    assert isinstance(outcome.error, FlashFailed)
    assert isinstance(outcome.error.cause, TransportError)
    expected = "N_TIMEOUT_Cr" if name == "skipped_frame" else INJECTORS[name].ends  # one consecutive frame, as above
    assert outcome.error.cause.name == ("P2" if expected == IGNORED else expected)
    assert outcome.report.counts["job_retry"] > 0


@pytest.mark.parametrize("name", INJECTORS)
def test_ecu_that_misbehaves_once_is_programmed_all_the_same(stage: Stage, name: str) -> None:
    result, struck = flash(stage, f"{name}@2")
    assert struck == [name]
    assert_restored(stage, result)
    assert (result.good, result.ecus[0].outcome.report.downloads) == (True, 1)
