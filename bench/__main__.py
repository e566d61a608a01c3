"""`otabench`: the process around the command line. Ctrl-C and closed pipes are seen to before anything else is loaded.

Ctrl-C: while the program is being loaded it ends at once, since nothing has been begun. Later it asks
`bench.core.stop.STOP`, which the loops obey. Whoever cannot wait presses it three times. Once the result is out,
Ctrl-C changes nothing any more: the verdict's exit code stands.
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

INTERRUPTED, UNWRITTEN = 130, 3
PATIENCE = 3
"""Which Ctrl-C ends the process at once, whatever it is doing."""
LEFT = b"\ninterrupted: nothing half written is left\n"
SLOW = b"\nstill stopping; Ctrl-C once more ends it at once, and may leave hidden .part folders\n"
FORCED = b"\ninterrupted at once: hidden .part folders may be left\n"


def main() -> None:
    """Run the command line and exit with its code."""
    heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN  # in the background of a shell script it is not
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    from bench.cli import exit_code_of
    from bench.cli.pipes import flushed, outlive_readers

    outlive_readers()
    if heeded:
        signal.signal(signal.SIGINT, _asking())
    code = exit_code_of(sys.argv[1:])
    if not flushed():
        code = code or UNWRITTEN
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process: no file, folder or process of ours exists yet."""
    os.write(2, LEFT)
    os._exit(INTERRUPTED)


def _asking() -> Handler:
    from bench.core.stop import STOP

    presses = 0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal presses
        presses += 1
        if presses >= PATIENCE:
            os.write(2, FORCED)
            os._exit(INTERRUPTED)
        if presses > 1:
            os.write(2, SLOW)
        STOP.ask()

    return ask


if __name__ == "__main__":
    main()
