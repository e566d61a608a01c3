"""Cuts the power of every simulated ECU at every flash and NVM operation and boot stage of an update (`make cuts`).

A golden run lists the operations. Each cut then is a run of its own: the update up to the cut, power again, an answer
within the ECU's boot time limit, what the memory must and must not hold, and a second update that has to succeed.
What is torn is cut once for each way in which it may read; and the boots after some cuts are cut in their turn.
Exit code 1 when a cut failed.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from bench.core.clock import NS_PER_MS
from ecu_sim.memory.torn import RULES
from ecu_sim.personality.region import FlashRegion
from tests.soak.cut_points import (
    NEW,
    OLD,
    Cut,
    Operation,
    arm,
    boot_unasked,
    confirm,
    cut_update,
    every_cut,
    images,
    operations,
    ready,
)
from tests.soak.lab import Lab, kinds, run_lab

CHUNK = 50
SHOWN_FAILURES = 10


class Outcome(NamedTuple):
    """What came of a cut: how long the ECU took to answer, what ran then, how many bytes were torn."""

    answered_ms: int
    version: str | None
    torn_bytes: int


def run_cut(name: str, cut: Cut) -> Outcome:
    """Run one cut; AssertionError when the ECU does not survive it as it must."""

    async def story(lab: Lab) -> Outcome:
        await ready(lab)
        struck = cut if cut.first is None else cut.first
        await cut_update(lab, struck)
        torn = _torn_bytes(lab)
        _torn_as_it_must(lab, struck, torn)
        if cut.first is not None:
            arm(lab, cut)
            await boot_unasked(lab)
            assert not lab.node.powered, "the second cut never came"
        outcome = await _alive_again(lab, torn)
        await lab.flash(images(name)[1])
        assert await lab.version() == NEW, "the second update does not run"
        await confirm(lab)
        _nothing_forbidden(lab)
        return outcome

    outcome: Outcome = run_lab(name, story)
    return outcome


async def _alive_again(lab: Lab, torn: int) -> Outcome:
    """Give the power back and look: time to the first answer, what runs."""
    lab.node.power_on()
    limit_ms = lab.kind.personality.boot.time_limit_ms
    answered_ms = await lab.answers_within(limit_ms)
    assert answered_ms is not None, f"silent for {limit_ms} ms after power returned"
    version = await lab.version()
    allowed = (OLD, NEW) if lab.kind.personality.dual_bank else (OLD, NEW, None)
    assert version in allowed, f"{version} runs"
    return Outcome(answered_ms, version, torn)


def _torn(lab: Lab) -> list[tuple[FlashRegion, int]]:
    """Return the regions that hold torn units, and how many bytes."""
    found = ((region, lab.memory.flash.torn(region.name)) for region in lab.kind.personality.regions())
    return [(region, sum(length for _, length in torn)) for region, torn in found if torn]


def _torn_bytes(lab: Lab) -> int:
    return sum(length for _, length in _torn(lab))


def _torn_as_it_must(lab: Lab, cut: Cut, torn_bytes: int) -> None:
    """A cut inside leaves one unit (or sector) that is neither old nor new; one before or after leaves none."""
    if cut.event == "nvm" and lab.kind.personality.flash.while_receiving:
        return
    if "torn" not in cut.where or cut.event not in ("program", "erase"):
        assert torn_bytes == 0, f"{torn_bytes} bytes are torn"
        return
    assert torn_bytes, "0 bytes are torn"
    ((region, length),) = _torn(lab)
    allowed = {region.unit_bytes} if cut.event == "program" else {run.size_bytes for run in region.runs}
    assert length in allowed, f"{length} bytes of {region.name} are torn, not {sorted(allowed)}"


def _nothing_forbidden(lab: Lab) -> None:
    genuine = {each.header.encode() for each in images(lab.kind.name)}
    assert lab.memory.flash.driver_faults == [], lab.memory.flash.driver_faults
    assert _torn_bytes(lab) == 0, "torn memory is left after the second update"
    executions = lab.world.recorder.executions
    assert executions, "no image ever ran"
    assert all(execution.header in genuine for execution in executions), "an image ran that nobody signed"


# All of them ----------------------------------------------------------------------------------------


class Result(NamedTuple):
    """What a chunk of cuts ended in."""

    outcomes: tuple[Outcome, ...]
    failures: tuple[tuple[Cut, str], ...]


def run_chunk(name: str, cuts: Sequence[Cut]) -> Result:
    """Run some cuts."""
    outcomes: list[Outcome] = []
    failures: list[tuple[Cut, str]] = []
    for cut in cuts:
        try:
            outcomes.append(run_cut(name, cut))
        except Exception as error:  # whatever a cut breaks is a failed cut, told with its replay
            failures.append((cut, f"{type(error).__name__}: {error}"))
    return Result(tuple(outcomes), tuple(failures))


def cut_everywhere(name: str, workers: int) -> tuple[str, int]:
    """Run every cut of a personality; return a row of the table and how many failed."""
    found, cuts = operations(name), every_cut(name)
    print(f"cuts {name}: {len(cuts)} cuts of {len(found)} operations", flush=True)
    chunks = [cuts[at : at + CHUNK] for at in range(0, len(cuts), CHUNK)]
    results: list[Result] = []
    with ProcessPoolExecutor(workers) as pool:
        for future in [pool.submit(run_chunk, name, chunk) for chunk in chunks]:
            results.append(future.result())
            _tell(name, results, len(cuts))
    return _row(name, found, cuts, results), sum(len(result.failures) for result in results)


def _tell(name: str, results: list[Result], total: int) -> None:
    for cut, error in results[-1].failures[:SHOWN_FAILURES]:
        print(f"  {cut}: {error}\n    again: make cuts CUTS_ECU={name} CUTS_AT='{cut}'", flush=True)
    if len(results) % 10 == 0:
        print(f"  {len(results) * CHUNK:>6} of {total} done", flush=True)


TITLES = (
    "personality", "erases", "programs", "boots", "NVM writes", "cuts", "failures", "torn", *RULES, "second",
    "slowest ms", "bootloader",
)  # fmt: skip
"""`torn`: cuts that left torn flash; under each reading the cuts whose torn unit reads so; `second`: cuts of the boot
after a cut; `bootloader`: after so many no application ran."""


def _line(cells: Sequence[object]) -> str:
    return f"{cells[0]:<18}" + "".join(f"{cell!s:>11}" for cell in cells[1:])


def _row(name: str, found: Sequence[Operation], cuts: Sequence[Cut], results: Sequence[Result]) -> str:
    outcomes = [outcome for result in results for outcome in result.outcomes]
    kinds_of = Counter(operation.event for operation in found)
    readings = Counter(cut.reads for cut in cuts if "torn" in cut.where)
    return _line(
        (
            name, *(kinds_of[event] for event in ("erase", "program", "boot", "nvm")), len(cuts),
            sum(len(result.failures) for result in results), sum(outcome.torn_bytes > 0 for outcome in outcomes),
            *(readings[reads] for reads in RULES), sum(cut.first is not None for cut in cuts),
            max((outcome.answered_ms for outcome in outcomes), default=0),
            sum(outcome.version is None for outcome in outcomes),
        )
    )  # fmt: skip


def replay(name: str, text: str) -> int:
    """Run one cut again."""
    cut = next((cut for cut in every_cut(name) if str(cut) == text), None)
    if cut is None:
        print(f"no such cut of {name}: {text}; for example {every_cut(name)[0]}")
        return 2
    try:
        print(f"{name} {cut} at {cut.at_ns / NS_PER_MS:.3f} ms: {run_cut(name, cut)}")
    except Exception:  # shown whole: it is what the replay is for
        traceback.print_exc(file=sys.stdout)
        return 1
    return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="cuts", description=__doc__)
    parser.add_argument("--ecu", choices=(*kinds(), "all"), default="all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--at", help="run this cut alone, for example erase:1:torn=0")
    given = parser.parse_args()
    chosen = tuple(kinds()) if given.ecu == "all" else (given.ecu,)
    if given.at is not None:
        return max(replay(name, given.at) for name in chosen)
    rows, failed = zip(*(cut_everywhere(name, given.workers) for name in chosen), strict=True)
    print("\n".join((_line(TITLES), *rows)), flush=True)
    return int(any(failed))


if __name__ == "__main__":
    sys.exit(main())
