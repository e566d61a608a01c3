"""The wish that this process ends early (Ctrl-C): noted at any instant, obeyed at safe places only.

An exception raised by a signal handler strikes wherever the interpreter happens to be; inside a weakref callback
or a `__del__` it is printed and lost. So the handler (`bench/__main__.py`) only asks here; loops are told, and
whoever is about to begin something long, or to write, checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StopRequest:
    """Whether somebody asked, and who wants to be told at once."""

    def __init__(self) -> None:
        self._asked = False
        self._told: list[Callable[[], object]] = []

    @property
    def asked(self) -> bool:
        """Whether somebody asked."""
        return self._asked

    def ask(self) -> None:
        """Note the wish and tell those who listen; runs inside a signal handler, so it must not block or raise."""
        self._asked = True
        for listener in tuple(self._told):
            listener()

    def withdraw(self) -> None:
        """Forget the wish: it has been obeyed."""
        self._asked = False

    def check(self) -> None:
        """Raise KeyboardInterrupt when somebody asked."""
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def telling(self, listener: Callable[[], object]) -> Iterator[None]:
        """Have `listener` called when somebody asks, at once when somebody has; it must not block or raise."""
        self._told.append(listener)
        try:
            if self._asked:
                listener()
            yield
        finally:
            self._told.remove(listener)


STOP = StopRequest()
"""Of this process; a signal is for the whole process too."""
