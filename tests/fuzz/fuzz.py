"""Runs many random cases against a target (`make fuzz`) or one of them again, told by seed and number.

Exit code 1 when a case failed. Nothing here reads a clock: a hang is a case that runs into a bound of steps.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

from bench.flasher.errors import FlashFailed
from tests.fuzz import targets
from tests.fuzz.rig import Job, case

CHUNK = 250
SHOWN_FAILURES = 10
TOLD_FROM = 10_000
"""From so many cases on, every tenth of them is told."""


def job(seed: int, number: int) -> str:
    """Run one flashing job with a foreign node; return how it ended."""
    done = Job(case(seed, number)).run()
    done.check()
    failure = done.failure
    if failure is None:
        return "success" if done.report and not any(done.report.counts[name] for name in RETRIES) else "after retries"
    return f"{failure.step}: {type(failure.cause).__name__}" if isinstance(failure, FlashFailed) else str(failure)


RETRIES = ("job_retry", "download_restart", "block_repeat", "step_repeat")


def _quiet(target: Callable[[int, int], None], seed: int, number: int) -> str:
    target(seed, number)
    return "held"


TARGETS: dict[str, Callable[[int, int], str]] = {
    "job": job,
    "grains": partial(_quiet, targets.grains),
    "isotp": partial(_quiet, targets.isotp),
    "server": partial(_quiet, targets.server),
    "decoders": partial(_quiet, targets.decoders),
}


class Result(NamedTuple):
    """What a chunk of cases ended in, and those that broke a rule."""

    ends: Counter[str]
    failures: tuple[tuple[int, str], ...]


def run_chunk(target: str, seed: int, first: int, count: int) -> Result:
    """Run cases `first` to `first + count - 1`."""
    ends: Counter[str] = Counter()
    failures: list[tuple[int, str]] = []
    for number in range(first, first + count):
        try:
            ends[TARGETS[target](seed, number)] += 1
        except Exception as error:
            failures.append((number, f"{type(error).__name__}: {error}"))
    return Result(ends, tuple(failures))


def _results(target: str, seed: int, runs: int, workers: int) -> Iterator[Result]:
    chunks = [(first, min(CHUNK, runs - first)) for first in range(0, runs, CHUNK)]
    if workers < 2:
        yield from (run_chunk(target, seed, *chunk) for chunk in chunks)
        return
    with ProcessPoolExecutor(workers) as pool:
        futures = [pool.submit(run_chunk, target, seed, *chunk) for chunk in chunks]
        yield from (future.result() for future in futures)


def fuzz(target: str, seed: int, runs: int, workers: int) -> int:
    """Run all cases of a target; return how many failed."""
    print(f"fuzz {target}: {runs} cases, seed {seed}", flush=True)
    ends: Counter[str] = Counter()
    failed = done = 0
    for result in _results(target, seed, runs, workers):
        ends += result.ends
        before, done = done, done + result.ends.total() + len(result.failures)
        if runs >= TOLD_FROM and before * 10 // runs != done * 10 // runs:
            print(f"  {done:>8} done", flush=True)
        for number, error in result.failures:
            failed += 1
            if failed <= SHOWN_FAILURES:
                print(f"  case {number}: {error}\n    again: {_again(target, seed, number)}", flush=True)
    for end, count in sorted(ends.items(), key=lambda item: (-item[1], item[0])):
        print(f"  {count:>8} {end}")
    print(f"fuzz {target}: {failed} of {runs} cases failed", flush=True)
    return failed


def _again(target: str, seed: int, number: int) -> str:
    return f"make fuzz FUZZ_TARGET={target} FUZZ_SEED={seed} FUZZ_CASE={number}"


def replay(target: str, seed: int, number: int) -> int:
    """Run one case again and show it; return 1 when it fails."""
    if target in ("job", "grains"):
        shown = case(seed, number)
        print(f"{shown.kind} bank", *shown.injections, *shown.reactions, sep="\n")
    try:
        print(f"fuzz {target}, seed {seed}, case {number}: {TARGETS[target](seed, number)}")
    except Exception:
        traceback.print_exc(file=sys.stdout)
        return 1
    return 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--target", choices=(*TARGETS, "all"), default="all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--case", type=int, help="run this case alone and show it")
    given = parser.parse_args()
    chosen = tuple(TARGETS) if given.target == "all" else (given.target,)
    if given.case is not None:
        return max(replay(target, given.seed, given.case) for target in chosen)
    return int(sum(fuzz(target, given.seed, given.runs, given.workers) for target in chosen) > 0)


if __name__ == "__main__":
    sys.exit(main())
