"""How a simulated ECU that was programmed is started, when it does not want to be reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.flashing.supplies import SimulatedSupplies
from bench.wire.ecu_misbehave import parse

if TYPE_CHECKING:
    from bench.flashing.run import FlashResult
    from tests.flashing.conftest import Stage


def flash(stage: Stage, *means: str, refused: str = "0x11:nrc=0x22") -> FlashResult:
    """Flash an ECU that refuses every reset by request, with these means of the recipe."""
    order = stage.order("body", size_bytes=4_000)
    if means:
        order = stage.with_recipe(order, "body", reset={"means": means})
    return stage.play(order, interfere=lambda _world, vehicle: vehicle.misbehave("body", parse(refused)))


@pytest.mark.parametrize(
    ("means", "left_out"),
    [((), 2), (("hard_reset", "session_timeout"), 1), (("hard_reset", "key_off_on_reset", "power_cycle"), 2)],
    ids=["default", "session_timeout", "power_cycle"],
)
def test_ecu_that_refuses_every_0x11_is_started_by_other_means_with_one_download(
    stage: Stage, means: tuple[str, ...], left_out: int
) -> None:
    result = flash(stage, *means)
    assert result.good, result.ecus[0].outcome.error
    report = result.ecus[0].outcome.report
    assert (report.downloads, report.counts["reset_refused"], report.counts["job_retry"]) == (1, left_out, 0)


def test_power_cycle_asked_of_the_bench_takes_the_supply_away_for_as_long_as_the_recipe_says() -> None:
    class Switched:
        """Notes when an ECU's supply goes and comes."""

        def __init__(self) -> None:
            self.seen: list[tuple[str, str, int]] = []

        def cut_power(self, ecu_id: str, cause: str) -> None:
            self.seen.append(("off", ecu_id, world.clock.now_ns()))

        def restore_power(self, ecu_id: str, cause: str) -> None:
            self.seen.append(("on", ecu_id, world.clock.now_ns()))

    loop = VirtualLoop()
    world, vehicle = World(loop, 1), Switched()
    lives: list[Incarnation] = []
    Node(world, "tester", lives.append).power_on()
    loop.run(SimulatedSupplies(vehicle, lives[0]).power_cycle("body", 700))
    loop.discard()
    assert vehicle.seen == [("off", "body", 0), ("on", "body", 700 * NS_PER_MS)]
