"""The process around the command line. Signals and closed pipes are seen to before anything else is loaded.

Ctrl-C, and SIGTERM (a cancelled job, `timeout`, a shutdown): while the program is being loaded they end it at once,
since nothing has been begun. Later they ask `bench.core.stop.STOP`, which the loops obey. Whoever cannot wait presses
Ctrl-C three times. Once the result is out, neither changes anything any more: the verdict's exit code stands.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real `typing` is not loaded before the first handler is in place
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], None]
    CommandLine = Callable[[list[str]], int]

SIGNAL_CODE = 128  # as bench.core.stop has it, which is not loaded yet
UNWRITTEN = 3
PATIENCE = 3
"""Which Ctrl-C ends the process at once, whatever it is doing."""
LEFT = b"\ninterrupted: nothing half written is left\n"
SLOW = b"\nstill stopping; Ctrl-C once more ends it at once, and may leave hidden .part folders\n"
FORCED = b"\ninterrupted at once: hidden .part folders may be left\n"


def run(load: Callable[[], CommandLine]) -> None:
    """Run the command line that `load` returns, and exit with its code.

    Loading it is left to the caller, and happens here, so that signals are minded before anything else is loaded.
    """
    signals = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    for number in signals:  # in the background of a shell script SIGINT is ignored, and stays so
        signal.signal(number, _leave)
    command_line = load()
    from bench.process.pipes import flushed, outlive_readers

    outlive_readers()
    handler = _asking()
    for number in signals:
        signal.signal(number, handler)
    code = command_line(sys.argv[1:])
    if not flushed():
        code = code or UNWRITTEN
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process: no file, folder or process of ours exists yet."""
    os.write(2, LEFT)
    os._exit(SIGNAL_CODE + number)


def _asking() -> Handler:
    """Return what both signals do. Only Ctrl-C counts as impatience.

    `timeout` and init systems send SIGTERM to the process and to its group, so that it often comes twice within
    microseconds: a second one must not break off what the first one began to restore. Their last word is SIGKILL.
    """
    from bench.core.stop import STOP

    presses = terminations = 0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal presses, terminations
        if number == signal.SIGTERM:
            terminations += 1
            if presses or terminations > 1:
                return
        else:
            presses += 1
            if presses >= PATIENCE:
                os.write(2, FORCED)
                os._exit(SIGNAL_CODE + number)
            if presses > 1:
                os.write(2, SLOW)
        STOP.ask(number)

    return ask
