"""What the commands show: tables and progress on the terminal, JSON for programs."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from bench.core.clock import Stopwatch
from bench.flasher.values import Progress as FlashProgress

PLAIN_WIDTH = 150
QUIET_S, LINE_EVERY_S = 2.0, 5.0
"""After which time a log without live lines hears that something goes on, and how often."""


def messages() -> Console:
    """Return the console for people: standard error, so that standard output stays one JSON object."""
    return Console(stderr=True, highlight=False, emoji=False)


def answers() -> Console:
    """Return the console for results; wide enough for whole lines where standard output is no terminal."""
    console = Console(highlight=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=PLAIN_WIDTH)


class _Sent(DownloadColumn):
    """Bytes of bytes; nothing on a line that counts none."""

    def render(self, task: Task) -> Text:
        """Return the text of a line."""
        return Text() if task.total is None else super().render(task)


class Bars:
    """Bars that are shown while a `with` block runs."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()


class Watch(Bars):
    """A live line for the run and a bar per ECU being flashed, on a terminal.

    Elsewhere (a CI system's log) what takes longer than two seconds says a line now and then, and the rest nothing.
    """

    def __init__(self, title: str) -> None:
        self._console = messages()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            _Sent(binary_units=True),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._title = self._progress.add_task(title, total=None)
        self._bars: dict[str, TaskID] = {}
        self._stopwatch, self._next_line_s = Stopwatch(), QUIET_S

    def say(self, text: str) -> None:
        """Print a line where there is no live one, once the whole takes longer than two seconds."""
        if self._progress.disable and self._stopwatch.elapsed_s() > QUIET_S:
            self._console.print(text, soft_wrap=True, markup=False)

    def title(self, text: str) -> None:
        """Say what is running now."""
        self._progress.update(self._title, description=text)
        for bar in self._bars.values():
            self._progress.remove_task(bar)
        self._bars.clear()

    def flash(self, event: FlashProgress) -> None:
        """Move an ECU's bar."""
        if self._progress.disable and self._stopwatch.elapsed_s() > self._next_line_s:
            self._next_line_s = self._stopwatch.elapsed_s() + LINE_EVERY_S
            sent = event.sent_bytes / max(1, event.total_bytes)
            self.say(
                f"{self._stopwatch.elapsed_s():.0f} s: {event.ecu} {event.step}{f', {sent:.0%} sent' if sent else ''}"
            )
        if event.ecu not in self._bars:
            self._bars[event.ecu] = self._progress.add_task(event.ecu, total=event.total_bytes)
        bar = self._bars[event.ecu]
        text = f"  {event.ecu} {event.step}"
        self._progress.update(bar, completed=event.sent_bytes, total=event.total_bytes, description=text)
