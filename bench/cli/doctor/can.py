"""What `otabench doctor` says of real CAN: drivers, transports, and how exactly short gaps are kept here."""

from __future__ import annotations

from importlib.util import find_spec

from bench.assembly.can_drivers import driver_names
from bench.cli.doctor.checks import Check
from bench.core.clock import NS_PER_US
from bench.core.extras import install_command
from bench.core.realtime import run_on_clock
from bench.link.kernel_isotp_link import kernel_isotp_problem

GAP_NS = 300 * NS_PER_US
GAPS = 50
NEEDS_CAN = install_command("can")


def can_checks() -> list[Check]:
    """Look at what serves real CAN buses."""
    return [Check("CAN drivers", "ok", ", ".join(driver_names())), _kernel_isotp(), _transports(), _pacing()]


def _kernel_isotp() -> Check:
    problem = kernel_isotp_problem()
    if problem is None:
        return Check("kernel ISO-TP", "ok", "CAN_ISOTP sockets can be opened")
    return Check(
        "kernel ISO-TP", "missing", problem, "Linux 5.10 or later: sudo modprobe can-isotp; or another transport"
    )


def _transports() -> Check:
    has_can, has_isotp = find_spec("can") is not None, find_spec("isotp") is not None
    usable = ["own"] if has_can else []
    usable += ["can-isotp"] if has_can and has_isotp else []
    usable += ["kernel"] if has_can and kernel_isotp_problem() is None else []
    advice = "" if usable else NEEDS_CAN
    return Check("ISO-TP transports", "ok" if usable else "missing", ", ".join(usable) or "none", advice)


def _pacing() -> Check:
    """Measure how late the writer thread begins frames that must not begin early."""
    if find_spec("can") is None:
        return Check("gaps below 1 ms", "missing", "no module can", NEEDS_CAN)
    from bench.link.can_adapter import measure_pacing

    gaps_ns = sorted(run_on_clock(lambda clock: measure_pacing(clock, GAP_NS, GAPS), virtual=False))
    low, middle, high = (gaps_ns[index] / NS_PER_US for index in (0, len(gaps_ns) // 2, -1))
    kernel = "" if kernel_isotp_problem() else "; the kernel with transport 'kernel'"
    found = (
        f"writer thread: asked {GAP_NS // NS_PER_US} us, got {low:.0f} to {high:.0f}, half below {middle:.0f}{kernel}"
    )
    return Check("gaps below 1 ms", "ok", found)
