"""Children: a fork for each change, so many at once, each within limits of time and memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .changes import Mutant

LIMIT_BYTES = 4 << 30
"""Memory of one child: an endless loop that collects is seen by it, before the machine sees it."""
LIMIT_S = 5
"""Processor time of one test beyond ten times what it takes without a change: an endless loop is seen by it."""
KILLED, SURVIVED, BROKEN = "killed", "survived", "broken"
NO_TESTS = 5
"""pytest's code for "nothing was collected": then the run says nothing."""


def child(work: Callable[[], int], *, quiet: bool = True) -> int:
    """Fork a child that does `work()` and ends with the code that it returns; returns its process id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        if quiet:
            resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(nowhere, descriptor)
        code = int(work())
    finally:
        sys.stdout.flush()
        os._exit(code)


def wait(pid: int) -> int:
    """Return how a child ended."""
    return os.waitpid(pid, 0)[1]


def outcome(status: int) -> str:
    """Return what a child's end says of its change: an end by a signal is the limit of its time."""
    if os.WIFSIGNALED(status):
        return KILLED
    return {0: SURVIVED, NO_TESTS: BROKEN}.get(os.WEXITSTATUS(status), KILLED)


def limit(usual_s: float) -> None:
    """End this process when the next test takes far more processor time than it usually does."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + LIMIT_S + 10 * usual_s) + 1, hard))


@dataclass
class Children:
    """So many children at once; what they leave behind lies in `folder`, named by their process id."""

    workers: int
    folder: Path
    total: int
    done: int = 0
    ended: Callable[[Mutant, str], None] = field(default=lambda _mutant, _said: None)
    """Told of each killed change, with what its child left behind."""

    def note(self) -> Path:
        """Return the file in which a child leaves word."""
        return self.folder / str(os.getpid())

    def run(self, works: Sequence[tuple[Mutant, Callable[[], int]]]) -> dict[Mutant, str]:
        """Return how every change fared."""
        waiting = list(reversed(works))
        running: dict[int, Mutant] = {}
        ends: dict[Mutant, str] = {}
        while waiting or running:
            while waiting and len(running) < self.workers:
                mutant, work = waiting.pop()
                running[child(work)] = mutant
            pid, status = os.wait()
            mutant = running.pop(pid)
            end = ends[mutant] = outcome(status)
            self._tell(mutant, end, pid)
        return ends

    def _tell(self, mutant: Mutant, end: str, pid: int) -> None:
        left = self.folder / str(pid)
        if left.exists():
            if end == KILLED:
                self.ended(mutant, left.read_text(encoding="utf-8"))
            left.unlink()
        self.done += 1
        if end != KILLED or self.done % 100 == 0:
            print(f"{self.done} of {self.total}: {end} {mutant.where}", flush=True)
