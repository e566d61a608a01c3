"""Processes of tests that run until somebody ends them: the kernel ends what nobody did."""

from __future__ import annotations

import sys

LIMIT_S = 120
"""How long a test waits for something, on a machine under load; nothing waits that long when all is well."""
LIFE_S = 300
_LAUNCHER = f"import os, signal, sys; signal.alarm({LIFE_S}); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


def limited(*arguments: str) -> list[str]:
    """Return the command of a Python process that lives `LIFE_S` at most.

    An alarm outlives exec (POSIX), and needs neither a test that is still there nor the goodwill of the child: when a
    runner is killed, its dashboards would otherwise stay for ever, and a `with Popen(...)` waits for its child without
    any limit once the test in it has failed.
    """
    return [sys.executable, "-c", _LAUNCHER, *arguments]
