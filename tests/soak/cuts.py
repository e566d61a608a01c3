"""Cuts the power of every simulated ECU at every flash and NVM operation and boot stage of an update (`make cuts`).

A golden run lists the operations. Each cut then is a run of its own: the update up to the cut, power again, an answer
within the ECU's boot time limit, what the memory must and must not hold, and a second update that has to succeed.
Exit code 1 when a cut failed.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from bench.core.clock import NS_PER_MS, NS_PER_US
from bench.images.signing import SignedImage
from ecu_sim.personality.region import FlashRegion
from tests.soak.lab import Lab, image, kinds, run_lab

IMAGE_BYTES = 32 * 1024
OLD, NEW = "1.0.0", "2.0.0"
CHUNK = 50
SHOWN_FAILURES = 10


class Operation(NamedTuple):
    """One operation of the golden run: `units` can be torn; `t_ns` is when it began."""

    event: str
    n: int
    units: int
    t_ns: int


class Cut(NamedTuple):
    """Where the power goes: before, after or in unit `torn` of an operation; at an instant for NVM writes."""

    event: str
    n: int
    where: str
    at_ns: int = 0

    def __str__(self) -> str:
        return f"{self.event}:{self.n}:{self.where}"


class Outcome(NamedTuple):
    """What came of a cut: how long the ECU took to answer, what ran then, how many bytes were torn."""

    answered_ms: int
    version: str | None
    torn_bytes: int


def images(name: str) -> tuple[SignedImage, SignedImage]:
    """Return what the ECU has and what it gets."""
    return image(name, OLD, 1, IMAGE_BYTES), image(name, NEW, 2, IMAGE_BYTES)


async def _ready(lab: Lab) -> None:
    lab.install(OLD, 1, IMAGE_BYTES)
    lab.vehicle.power_on()
    assert await lab.answers_within(lab.kind.personality.boot.time_limit_ms) is not None


def operations(name: str) -> list[Operation]:
    """Return all operations of an undisturbed update, confirmation included."""

    async def story(lab: Lab) -> list[Operation]:
        await _ready(lab)
        begin_ns = lab.world.clock.now_ns()
        await lab.flash(images(name)[1])
        await _confirm(lab)
        table = lab.world.points.table()
        found = [
            Operation(event, seen.n, seen.units, seen.t_ns)
            for event in ("erase", "program", "boot") for seen in table[lab.id, event] if seen.t_ns > begin_ns
        ]  # fmt: skip
        writes = [e.t_ns for e in lab.world.journal.entries() if e.kind == "nvm.write" and e.t_ns > begin_ns]
        return found + [Operation("nvm", n, NVM_RECORDS, t_ns) for n, t_ns in enumerate(writes, 1)]

    found: list[Operation] = run_lab(name, story)
    return found


NVM_RECORDS = 4
"""An NVM write is cut in as many of its records."""


async def _confirm(lab: Lab) -> None:
    routine, sessions = lab.kind.recipe.routines.confirm, lab.kind.recipe.sessions
    if routine is not None:
        await lab.ask(bytes((0x10, sessions.extended)))
        await lab.ask(b"\x31\x01" + routine.to_bytes(2, "big"))


def cuts_of(name: str, operation: Operation) -> Iterator[Cut]:
    """Yield every cut of an operation: before it, in each of its units, after it."""
    event, n, units, t_ns = operation
    if event == "nvm":
        record_ns = kinds()[name].personality.nvm.record_us * NS_PER_US
        yield Cut(event, n, "before", t_ns)
        for k in range(units):
            yield Cut(event, n, f"torn={k}", t_ns + k * record_ns + record_ns // 2)
        return
    yield Cut(event, n, "before")
    for k in range(units):
        yield Cut(event, n, f"torn={k}")
    yield Cut(event, n, "after")


def every_cut(name: str) -> list[Cut]:
    """Return all cuts of an update."""
    return [cut for operation in operations(name) for cut in cuts_of(name, operation)]


def some_cuts(name: str) -> list[Cut]:
    """Return the first, middle and last operation of each kind, cut before, in first, middle and last unit, after."""
    chosen: list[Cut] = []
    found = operations(name)
    for event in ("erase", "program", "boot", "nvm"):
        own = [operation for operation in found if operation.event == event]
        for operation in dict.fromkeys(own[at] for at in (0, len(own) // 2, -1) if own):
            cuts = list(cuts_of(name, operation))
            chosen += dict.fromkeys(cuts[at] for at in (0, 1, len(cuts) // 2, len(cuts) - 2, len(cuts) - 1))
    return chosen


def run_cut(name: str, cut: Cut) -> Outcome:
    """Run one cut; AssertionError when the ECU does not survive it as it must."""

    async def story(lab: Lab) -> Outcome:
        await _ready(lab)
        _arm(lab, cut)
        flashing = lab.begin_flash(images(name)[1])
        lab.node_lost = flashing.stop
        await flashing.done
        if lab.node.powered:
            await _confirm(lab)
        await lab.wait_ms(20)
        assert not lab.node.powered, "the cut never came"
        outcome = await _alive_again(lab, cut)
        await lab.flash(images(name)[1])
        assert await lab.version() == NEW, "the second update does not run"
        await _confirm(lab)
        _nothing_forbidden(lab)
        return outcome

    outcome: Outcome = run_lab(name, story)
    return outcome


def _arm(lab: Lab, cut: Cut) -> None:
    def lose_power() -> None:
        lab.node.cut("cut everywhere")
        lab.node_lost()

    if cut.event == "nvm":
        lab.world.clock.call_at_ns(cut.at_ns, lose_power)
    else:
        counter = lab.world.points.counter(lab.id, cut.event)
        word, _, units = cut.where.partition("=")
        counter.arm(cut.n, word, int(units) if units else None, lose_power)


async def _alive_again(lab: Lab, cut: Cut) -> Outcome:
    """Give the power back and look: torn memory, time to the first answer, what runs."""
    torn = _torn_bytes(lab)
    _torn_as_it_must(lab, cut, torn)
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
        except Exception as error:
            failures.append((cut, f"{type(error).__name__}: {error}"))
    return Result(tuple(outcomes), tuple(failures))


def cut_everywhere(name: str, workers: int) -> tuple[str, int]:
    """Run every cut of a personality; return a row of the table and how many failed."""
    found = operations(name)
    cuts = [cut for operation in found for cut in cuts_of(name, operation)]
    print(f"cuts {name}: {len(cuts)} cuts of {len(found)} operations", flush=True)
    chunks = [cuts[at : at + CHUNK] for at in range(0, len(cuts), CHUNK)]
    results: list[Result] = []
    with ProcessPoolExecutor(workers) as pool:
        for future in [pool.submit(run_chunk, name, chunk) for chunk in chunks]:
            results.append(future.result())
            _tell(name, results, len(cuts))
    return _row(name, found, len(cuts), results), sum(len(result.failures) for result in results)


def _tell(name: str, results: list[Result], total: int) -> None:
    for cut, error in results[-1].failures[:SHOWN_FAILURES]:
        print(f"  {cut}: {error}\n    again: make cuts CUTS_ECU={name} CUTS_AT={cut}", flush=True)
    if len(results) % 10 == 0:
        print(f"  {len(results) * CHUNK:>6} of {total} done", flush=True)


TITLES = (
    "personality", "erases", "programs", "boots", "NVM writes", "cuts", "failures", "torn", "slowest ms", "bootloader",
)  # fmt: skip


def _line(cells: Sequence[object]) -> str:
    return f"{cells[0]:<18}" + "".join(f"{cell!s:>12}" for cell in cells[1:])


def _row(name: str, found: Sequence[Operation], cuts: int, results: Sequence[Result]) -> str:
    outcomes = [outcome for result in results for outcome in result.outcomes]
    kinds_of = Counter(operation.event for operation in found)
    return _line(
        (
            name, *(kinds_of[event] for event in ("erase", "program", "boot", "nvm")), cuts,
            sum(len(result.failures) for result in results), sum(outcome.torn_bytes > 0 for outcome in outcomes),
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
    except Exception:
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
