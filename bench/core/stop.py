"""The wish that this process ends early (Ctrl-C, SIGTERM): noted at any instant, obeyed at safe places only.

An exception raised by a signal handler strikes wherever the interpreter happens to be; inside a weakref callback
or a `__del__` it is printed and lost. So the handler (`bench/process/command.py`) only asks here; loops are told, and
whoever is about to begin something long, or to write, checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGINT = 2
"""The number of Ctrl-C's signal (POSIX); the module that handles signals is left to `bench/process/command.py`."""
SIGNAL_CODE = 128
"""A process that a signal ended has this plus the signal's number as its exit code, as shells say it."""


class StopRequest:
    """Whether somebody asked, by which signal, and who wants to be told at once."""

    def __init__(self) -> None:
        self._requested = False
        self._signal: int | None = None
        self._listeners: list[Callable[[], object]] = []
        self._gentler: list[Callable[[], object]] = []

    @property
    def asked(self) -> bool:
        """Whether somebody asked, and nothing gentler was there to be done first."""
        return self._requested

    @property
    def exit_code(self) -> int:
        """What the process ends with where it obeys: of the first signal that asked, 130 (SIGINT) or 143 (SIGTERM)."""
        return SIGNAL_CODE + (SIGINT if self._signal is None else self._signal)

    def ask(self, number: int = SIGINT) -> None:
        """Note the wish and tell those who listen; runs inside a signal handler, so it must not block or raise."""
        if self._signal is None:
            self._signal = number
        if self._gentler:
            self._gentler.pop()()
            return
        self._requested = True
        for listener in tuple(self._listeners):
            listener()

    def withdraw(self) -> None:
        """Forget the wish: it has been obeyed."""
        self._requested, self._signal = False, None

    def check(self) -> None:
        """Raise KeyboardInterrupt when somebody asked."""
        if self._requested:
            raise KeyboardInterrupt

    @contextmanager
    def telling(self, listener: Callable[[], object]) -> Iterator[None]:
        """Have `listener` called when somebody asks, at once when somebody has; it must not block or raise."""
        self._listeners.append(listener)
        try:
            if self._requested:
                listener()
            yield
        finally:
            self._listeners.remove(listener)

    @contextmanager
    def first_gently(self) -> Iterator[Callable[[Callable[[], object]], None]]:
        """Yield a function that takes what the first asking does instead of stopping everything; a second one stops.

        A flashing job in simulated time needs it: its buses must be restored by its own coroutines, which a stopped
        loop would never run again. In real time the loop goes on while the job is cancelled, and nothing is needed.
        """
        before = len(self._gentler)
        try:
            yield self._gentler.append
        finally:
            del self._gentler[before:]


STOP = StopRequest()
"""Of this process; a signal is for the whole process too."""
