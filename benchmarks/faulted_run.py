"""faulted_run_ms: one faulted run of the demo (32 KiB images), journal and verdict included, without report.

`python -m benchmarks.faulted_run --baseline DIR` takes it in turns with a second checkout, so that both meet the same
machine: what counts is the ratio of the processor times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from benchmarks.figure import Measured

HERE = Path(__file__).resolve().parent.parent
ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Round:
    """What one faulted run cost, in milliseconds of wall and of processor time, and the hash of its trace."""

    wall_ms: float
    cpu_ms: float
    trace_sha256: str
    verdict: str


class Checkout:
    """A process that runs the code of one checkout, round by round."""

    def __init__(self, process: subprocess.Popen[str], root: Path) -> None:
        self._process, self.root = process, root
        self.rounds: list[Round] = []

    def take(self) -> None:
        """Run once; RuntimeError when the process ended instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it ended: then there is no answer either
            os.write(
                self._process.stdin.fileno(), b"\n"
            )  # past the buffer, which would be flushed once more at the end
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the faulted run of {self.root} ended with {self._process.wait()}")
        said = json.loads(answer)
        self.rounds.append(Round(said["wall_ms"], said["cpu_ms"], said["trace_sha256"], said["verdict"]))

    @property
    def wall_ms(self) -> float:
        """The middle wall time of all rounds."""
        return median(each.wall_ms for each in self.rounds)

    @property
    def cpu_ms(self) -> float:
        """The middle processor time of all rounds."""
        return median(each.cpu_ms for each in self.rounds)


@contextmanager
def opened(root: Path) -> Iterator[Checkout]:
    """Start the process of one checkout; it ends with the block."""
    command = [sys.executable, str(HERE / "benchmarks" / "faulted_round.py")]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Checkout(process, root)
        finally:
            process.kill()


def taken(roots: Sequence[Path], rounds: int) -> list[Checkout]:
    """Take the run `rounds` times on each checkout, in turns."""
    if len(roots) == 1:
        with opened(roots[0]) as only:
            return _in_turns([only], rounds)
    with opened(roots[0]) as first, opened(roots[1]) as second:
        return _in_turns([first, second], rounds)


def _in_turns(checkouts: list[Checkout], rounds: int) -> list[Checkout]:
    for number in range(rounds):
        for checkout in checkouts if number % 2 == 0 else reversed(checkouts):
            checkout.take()
    return checkouts


def faulted_run_ms() -> Measured:
    """Return the wall time of this checkout's faulted run in milliseconds."""
    return Measured(taken([HERE], ROUNDS)[0].wall_ms)


@click.command()
@click.option("--baseline", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A second checkout.")
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True)
def main(baseline: Path | None, rounds: int) -> None:
    """Take the faulted run, in turns with a second checkout where one is named."""
    here, *others = taken([HERE, *([baseline.resolve()] if baseline else [])], rounds)
    for checkout in (here, *others):
        last = checkout.rounds[-1]
        click.echo(
            f"{checkout.root}: {checkout.cpu_ms:.1f} ms processor time, {checkout.wall_ms:.1f} ms wall time, "
            f"verdict {last.verdict}, trace {last.trace_sha256[:12]}"
        )
    for other in others:
        pairs = zip(here.rounds, other.rounds, strict=True)
        ratio = median(mine.cpu_ms / its.cpu_ms for mine, its in pairs)
        same = "equal" if here.rounds[-1].trace_sha256 == other.rounds[-1].trace_sha256 else "different"
        click.echo(f"ratio {ratio:.3f} of the processor times ({rounds} rounds); the traces are {same}")


if __name__ == "__main__":
    main()
