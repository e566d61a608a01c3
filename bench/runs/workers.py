"""Several pieces of work in processes of their own: same results and same order as one after the other.

A worker is a fresh interpreter ("spawn"): a forked one would have this process's threads' locks and no threads.
Ctrl-C reaches a whole terminal's processes at once. Workers do not hear it: the parent obeys for all, and asks each
worker to stop at its own next safe place, so that every folder stays whole or absent. A worker whose parent is gone
reads the end of its pipe and leaves.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Generic, TypeVar

from bench.core.errors import EquipmentError
from bench.core.stop import STOP

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")
PATIENCE_S = 30.0
"""How long a worker that was asked to stop may take; a single step of the loop takes milliseconds."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def in_workers(
    tasks: Sequence[Task],
    work: Callable[[Task], Outcome],
    jobs: int,
    finished: Callable[[int, Outcome], None],
) -> list[Outcome]:
    """Return `work(task)` of each task, in the order of `tasks`, made by `jobs` processes.

    `work` is a function of a module; tasks and outcomes can be pickled. `finished` is called here with a task's
    number and outcome as each is done. KeyboardInterrupt when `STOP` was asked, once every worker has left;
    EquipmentError when a worker ends by itself.
    """
    outcomes: dict[int, Outcome] = {}
    waiting = list(enumerate(tasks))[::-1]
    with _stop_pipe() as stopped, _Crew(work, min(jobs, len(tasks))) as crew:
        for worker in crew.workers:
            worker.give(waiting.pop())
        while len(outcomes) < len(tasks):
            ready = wait([stopped, *(worker.pipe for worker in crew.workers if worker.busy)])
            STOP.check()
            for worker in crew.workers:
                if worker.pipe not in ready:
                    continue
                number, outcome = worker.take()
                outcomes[number] = outcome
                finished(number, outcome)
                if waiting:
                    worker.give(waiting.pop())
    return [outcomes[number] for number in range(len(tasks))]


@contextmanager
def _stop_pipe() -> Iterator[Connection]:
    """Yield a pipe that becomes readable when somebody asks for the end: waiting for workers must not outlast it."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    os.set_blocking(writer.fileno(), False)
    with reader, writer, STOP.telling(lambda: os.write(writer.fileno(), b"\0")):
        yield reader


class _Worker(Generic[Task, Outcome]):
    """A process, the pipe to it, and whether it works on something."""

    def __init__(self, work: Callable[[Task], Outcome]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with _signals_blocked():  # the new process begins with Ctrl-C held back, before it can ignore it
            self.process.start()
        theirs.close()
        self.busy = False

    def give(self, task: tuple[int, Task]) -> None:
        """Hand over a task."""
        self.busy = True
        self.pipe.send(task)

    def take(self) -> tuple[int, Outcome]:
        """Return the number and the outcome of the task that it has done."""
        try:
            number, outcome, error = self.pipe.recv()
        except EOFError:
            self.process.join(PATIENCE_S)
            hint = "with --jobs 1 everything runs in one process; is there enough memory?"
            raise EquipmentError(f"a worker process ended by itself, code {self.process.exitcode}", hint=hint) from None
        self.busy = False
        if error is not None:
            raise error
        return number, outcome


class _Crew(Generic[Task, Outcome]):
    """Workers that are all gone at the end, however it comes."""

    def __init__(self, work: Callable[[Task], Outcome], count: int) -> None:
        self._work, self._count = work, count
        self.workers: list[_Worker[Task, Outcome]] = []

    def __enter__(self) -> _Crew[Task, Outcome]:
        try:
            for _ in range(self._count):
                STOP.check()
                self.workers.append(_Worker(self._work))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def _end(self) -> None:
        for worker in self.workers:
            worker.pipe.close()
            if worker.busy and worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGTERM)
        for worker in self.workers:
            worker.process.join(PATIENCE_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Hold signals back; a process that is started meanwhile begins with them held back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, work: Callable[[Task], Outcome]) -> None:
    """Do task after task in the worker's process, until the parent closes the pipe, goes away or asks for the end."""

    def ask(number: int, _frame: FrameType | None) -> None:
        STOP.ask(number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, ask)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        while True:
            number, task = pipe.recv()
            try:
                done: tuple[int, object, Exception | None] = (number, work(task), None)
            except Exception as error:  # the parent raises it as if the work had been done there
                done = (number, None, error)
            pipe.send(done)
    except (EOFError, OSError, KeyboardInterrupt):
        return
