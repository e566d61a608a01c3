"""Unpredictable bytes: from the seed in simulation, from the operating system in real time."""

from __future__ import annotations

from bench.core.clock import Clock
from bench.core.entropy import SystemEntropy
from bench.core.realtime import run_on_clock
from bench.core.seeds import Seeds
from bench.core.world import World


def drawn(*, virtual: bool) -> list[bytes]:
    async def main(clock: Clock) -> list[bytes]:
        entropy = World(clock, seed=1).entropy
        return [entropy.draw("server", "token", 32) for _ in range(3)]

    return run_on_clock(main, virtual=virtual)


def test_simulation_draws_the_same_bytes_from_the_same_seed() -> None:
    assert drawn(virtual=True) == drawn(virtual=True)
    assert drawn(virtual=True)[0] == Seeds(1).draw("server", "token", 32)


def test_real_time_draws_bytes_that_the_seed_does_not_tell() -> None:
    first, second = drawn(virtual=False), drawn(virtual=False)
    assert len(set(first + second)) == 6
    assert all(len(some) == 32 for some in first)


def test_system_entropy_gives_as_many_bytes_as_asked_for() -> None:
    assert len(SystemEntropy().draw("server", "nonce", 12)) == 12
