"""Our ISO-TP core against the Linux kernel's, in both directions, on vcan1: random cases, repeatable by seed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from bench.core.clock import Clock
from bench.core.realtime import run_on_clock
from bench.wire.isotp import IsoTpParams
from tests.socketcan.kernel_peer import MODES, Case, KernelEnd, OurEnd

INTERFACE = "vcan1"
SEED = int(os.environ.get("OTABENCH_SEED", "1"))
CASES = int(os.environ.get("OTABENCH_CASES", "6"))
"""Per addressing mode; `make nightly` asks for more."""
LONGEST = 8000
"""The kernel of Debian 12 carries 8200 bytes."""


def cases(mode: str) -> Iterator[Case]:
    """Yield cases; the first are the corners, the rest depends on seed and mode alone."""
    draw = random.Random(f"{SEED} {mode}")
    yield Case(mode, 1, 0, 0, None, 8, 1)
    yield Case(mode, 4096, 0, 0, 0xCC, 64, 2)
    for number in range(CASES):
        length = draw.choice((draw.randint(1, 80), draw.randint(1, 400), draw.randint(1, LONGEST)))
        tx_dl = draw.choice((8, 8, 12, 16, 20, 24, 32, 48, 64))
        st_min = draw.choice((0, 0, 0, 0xF1, 0xF9, 1)) if length < 500 else 0
        yield Case(mode, length, draw.randint(0, 40), st_min, draw.choice((None, 0x00, 0xCC)), tx_dl, number)


def params(case: Case) -> IsoTpParams:
    return IsoTpParams(
        block_size=case.block_size,
        st_min=case.st_min,
        padding=case.padding,
        tx_dl=case.tx_dl,
        max_length=LONGEST + 200,
        n_as_ms=10_000,
        n_bs_ms=10_000,
        n_cr_ms=10_000,
    )


async def both_directions(clock: Clock, case: Case) -> tuple[object, object, object]:
    """Return what the kernel received of us, how our sending ended, what we received of the kernel."""
    ours, kernels = MODES[case.mode]
    our_end = OurEnd(clock, INTERFACE, ours, params(case))
    kernel_end = KernelEnd(INTERFACE, kernels, params(case))
    try:
        outcome = await our_end.send(case.payload)
        there = await kernel_end.receive()
        await kernel_end.send(case.payload)
        back = await our_end.receive()
    finally:
        kernel_end.close()
        our_end.close()
    return there, outcome, back


@pytest.mark.parametrize("mode", MODES)
def test_core_and_kernel_understand_each_other_in_both_directions(mode: str) -> None:
    print(f"seed {SEED}, {CASES} random cases of {mode}; again with OTABENCH_SEED={SEED} OTABENCH_CASES={CASES}")

    async def main(clock: Clock) -> None:
        for case in cases(mode):
            there, outcome, back = await both_directions(clock, case)
            assert (there, outcome, back) == (case.payload, None, case.payload), case

    run_on_clock(main, virtual=False)
