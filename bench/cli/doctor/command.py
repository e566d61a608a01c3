"""`otabench doctor`: what this machine can do, and what to do about what is missing."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import socket
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from bench import __version__
from bench.cli.doctor.can import can_checks
from bench.cli.doctor.checks import Check
from bench.cli.options import debug_only
from bench.cli.output import answers
from bench.config import data_root
from bench.core.extras import install_command

EXTRAS = {"can": "can", "isotp": "isotp", "odx": "odxtools", "serial": "serial"}
"""Extra of the package: module that it brings."""
MARKS = {"ok": "[green]ok[/]", "missing": "[yellow]missing[/]", "wrong": "[red]wrong[/]"}


def checks(data: Path) -> list[Check]:
    """Look at the machine."""
    return [
        _python(),
        Check("otabench", "ok" if data.is_dir() else "wrong", f"{__version__}, data in {data}", ""),
        _writable(Path("reports")),
        _loopback(),
        *(_extra(extra, module) for extra, module in EXTRAS.items()),
        _socketcan(),
        _can_interfaces(),
        *can_checks(),
        _serial_ports(),
        _browser(),
    ]


def print_checks(found: list[Check], *, as_json: bool) -> int:
    """Show the findings; exit code 3 when something is wrong that otabench cannot do without."""
    if as_json:
        tool = {"version": __version__, "python": platform.python_version()}
        click.echo(json.dumps({"schema": 1, "tool": tool, "checks": [asdict(check) for check in found]}, indent=2))
    else:
        table = Table("what", "state", "found", "what to do", header_style="bold")
        for check in found:
            table.add_row(check.name, MARKS[check.state], escape(check.found), escape(check.advice))
        answers().print(table)
    return 3 if any(check.state == "wrong" for check in found) else 0


def _python() -> Check:
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    advice = "" if good else "use Python 3.11, 3.12 or 3.13"
    return Check("Python", "ok" if good else "wrong", f"{platform.python_version()} ({sys.executable})", advice)


def _writable(folder: Path) -> Check:
    place = folder if folder.is_dir() else Path()
    good = os.access(place, os.W_OK)
    return Check("reports folder", "ok" if good else "wrong", str(folder), "" if good else "choose another with --out")


def _loopback() -> Check:
    try:
        with socket.create_server(("127.0.0.1", 0)):
            return Check("loopback", "ok", "127.0.0.1 can be listened on")
    except OSError as error:
        return Check("loopback", "missing", str(error), "needed for real time and the dashboard: bring interface lo up")


def _extra(extra: str, module: str) -> Check:
    if importlib.util.find_spec(module) is not None:
        return Check(f"extra {extra}", "ok", f"module {module} is installed")
    return Check(f"extra {extra}", "missing", f"no module {module}", install_command(extra))


def _socketcan() -> Check:
    family = getattr(socket, "AF_CAN", None)
    if family is None:
        return Check("SocketCAN", "missing", "this Python has no AF_CAN", "Linux only; simulation works without")
    try:
        socket.socket(family, socket.SOCK_RAW, socket.CAN_RAW).close()
    except OSError as error:
        return Check(
            "SocketCAN",
            "missing",
            error.strerror or str(error),
            "sudo modprobe can can_raw vcan; simulation works without",
        )
    return Check("SocketCAN", "ok", "raw CAN sockets can be opened")


def _can_interfaces() -> Check:
    net = Path("/sys/class/net")
    arphrd_can = "280"
    names = sorted(p.parent.name for p in net.glob("*/type") if p.read_text().strip() == arphrd_can)
    if names:
        return Check("CAN interfaces", "ok", ", ".join(names))
    advice = "plug in an adapter, or: sudo ip link add dev vcan0 type vcan && sudo ip link set vcan0 up"
    return Check("CAN interfaces", "missing", "none", advice)


def _serial_ports() -> Check:
    ports = sorted(
        str(path) for pattern in ("ttyUSB*", "ttyACM*", "serial/by-id/*") for path in Path("/dev").glob(pattern)
    )
    return Check(
        "serial ports",
        "ok" if ports else "missing",
        ", ".join(ports) or "none",
        "" if ports else "plug in the supply or relay board",
    )


def _browser() -> Check:
    found = next((path for name in ("chromium", "google-chrome", "firefox") if (path := shutil.which(name))), None)
    if found:
        return Check("browser", "ok", found)
    return Check(
        "browser", "missing", "none on the path", "reports and dashboard open in any browser of another machine too"
    )


@click.command(short_help="what this machine can do, what is missing")
@debug_only
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout.")
def doctor(as_json: bool) -> int:
    """Say what this machine can do, and what to do about what is missing.

    \b
    Examples:
      otabench doctor
      otabench doctor --json
    """
    return print_checks(checks(data_root()), as_json=as_json)
