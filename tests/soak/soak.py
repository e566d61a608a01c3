"""Asks every simulated ECU hundreds of thousands of things (`make soak`), or one case again, told by its number.

Exit code 1 when a case failed. Nothing here reads a clock: a hang is a case that runs into a bound of steps.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from tests.soak.acts import run_case
from tests.soak.lab import kinds
from tests.soak.story import REQUESTS_PER_CASE, Tally

CHUNK = 20
SHOWN_FAILURES = 10
TOLD_PARTS = 10
"""So many lines of progress a personality has."""


class Result(NamedTuple):
    """What a chunk of cases met, and those that broke a rule."""

    tally: Tally
    failures: tuple[tuple[int, str], ...]


def run_chunk(name: str, seed: int, first: int, count: int) -> Result:
    """Run cases `first` to `first + count - 1`."""
    tally = Tally()
    failures: list[tuple[int, str]] = []
    for number in range(first, first + count):
        try:
            tally.add(run_case(name, seed, number))
        except Exception as error:  # whatever a case breaks is a failed case, told with its replay
            failures.append((number, f"{type(error).__name__}: {error}"))
    return Result(tally, tuple(failures))


def _results(name: str, seed: int, cases: int, workers: int) -> Iterator[Result]:
    chunks = [(first, min(CHUNK, cases - first)) for first in range(0, cases, CHUNK)]
    if workers < 2:
        yield from (run_chunk(name, seed, *chunk) for chunk in chunks)
        return
    with ProcessPoolExecutor(workers) as pool:
        futures = [pool.submit(run_chunk, name, seed, *chunk) for chunk in chunks]
        yield from (future.result() for future in futures)


def soak(name: str, seed: int, runs: int, workers: int) -> tuple[Tally, int]:
    """Run all cases of a personality; return what they met and how many failed."""
    cases = -(-runs // REQUESTS_PER_CASE)
    print(f"soak {name}: {runs} requests in {cases} cases, seed {seed}", flush=True)
    tally = Tally()
    failed = done = told = 0
    for result in _results(name, seed, cases, workers):
        tally.add(result.tally)
        done += min(CHUNK, cases - done)
        for number, error in result.failures:
            failed += 1
            if failed <= SHOWN_FAILURES:
                print(f"  case {number}: {error}\n    again: {_again(name, seed, number)}", flush=True)
        if done * TOLD_PARTS // cases > told:
            told = done * TOLD_PARTS // cases
            print(f"  {name}: {tally.requests:>8} requests, {failed} cases failed", flush=True)
    return tally, failed


def _again(name: str, seed: int, number: int) -> str:
    return f"make soak SOAK_ECU={name} SOAK_SEED={seed} SOAK_CASE={number}"


def table(tallies: dict[str, tuple[Tally, int]]) -> str:
    """Return what was met, a column for each personality."""
    names = list(tallies)
    lines = [_row("", names), _row("requests", [str(tallies[name][0].requests) for name in names])]
    for title in ("answers", "events", "states"):
        counters = {name: getattr(tallies[name][0], title) for name in names}
        keys = sorted({key for counter in counters.values() for key in counter}, key=str)
        lines.append(f"{title}:")
        lines += [_row(f"  {key}", [str(counters[name][key]) for name in names]) for key in keys]
    sids = {name: len(tallies[name][0].services) for name in names}
    lines.append(_row("service ids asked", [str(sids[name]) for name in names]))
    lines.append(_row("cases failed", [str(tallies[name][1]) for name in names]))
    return "\n".join(lines)


def _row(title: str, cells: list[str]) -> str:
    return f"{title:<44}" + "".join(f"{cell:>18}" for cell in cells)


def replay(name: str, seed: int, number: int) -> int:
    """Run one case again and show everything; return 1 when it fails."""
    try:
        tally = run_case(name, seed, number, print)
    except Exception:  # shown whole: it is what the replay is for
        traceback.print_exc(file=sys.stdout)
        return 1
    print(f"soak {name}, seed {seed}, case {number}: held, {tally.requests} requests")
    return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--ecu", choices=(*kinds(), "all"), default="all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--case", type=int, help="run this case alone and show it")
    given = parser.parse_args()
    chosen = tuple(kinds()) if given.ecu == "all" else (given.ecu,)
    if given.case is not None:
        return max(replay(name, given.seed, given.case) for name in chosen)
    tallies = {name: soak(name, given.seed, given.runs, given.workers) for name in chosen}
    print(table(tallies), flush=True)
    return int(any(failed for _, failed in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
