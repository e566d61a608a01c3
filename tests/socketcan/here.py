"""Says by its exit code whether this machine has what the tests of this folder need: 0 yes, 1 no (then: the VM).

Makes vcan0 and vcan1 where that is allowed and they are missing.
"""

from __future__ import annotations

import socket
import subprocess
import sys

from bench.link.kernel_isotp_link import kernel_isotp_problem

INTERFACES = ("vcan0", "vcan1")


def problem() -> str | None:
    """Return what is missing, or None."""
    why = kernel_isotp_problem()
    if why is not None:
        return f"no kernel ISO-TP: {why}"
    for name in INTERFACES:
        if not _is_there(name):
            return f"no interface {name}"
    return None


def _is_there(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        made = subprocess.run(["ip", "link", "add", name, "type", "vcan"], capture_output=True, check=False)
        raised = subprocess.run(["ip", "link", "set", name, "mtu", "72", "up"], capture_output=True, check=False)
        return made.returncode == raised.returncode == 0
    return True


if __name__ == "__main__":
    missing = problem()
    if missing:
        print(missing, file=sys.stderr)
    sys.exit(1 if missing else 0)
