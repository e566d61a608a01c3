"""Settings of the whole suite."""

from __future__ import annotations

import signal
from types import FrameType

from hypothesis import settings

settings.register_profile("otabench", deadline=None)  # how long an example takes says nothing on a shared machine
settings.load_profile("otabench")


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Ignore Ctrl-C, as the shell that started us in the background wanted it."""


# A non-interactive shell starts `&` jobs with SIGINT ignored, and a program inherits that through exec (POSIX): the
# processes that tests start and interrupt would never end. A handler is not inherited; it becomes the default one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, _ignore)
