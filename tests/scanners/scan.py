"""Lets foreign UDS scanners loose on `otabench ecu` and holds what they find against the ECU's own tables.

`make scanners` installs them into `build/scanners`, an environment of their own. scapy's scanner runs here over
python-can's udp_multicast; gallia needs SocketCAN: here where the kernel has it, else in the virtual machine.
Exit code 1 when a finding differs, the ECU did not survive, or a scanner did not come to its end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.scanners.served import ServedProcess, Tables, described

HERE = Path(__file__).parent
TOOLS = Path("build/scanners/bin")
LIMIT_S = 900
ECUS = (("two_ecu_car", "body"), ("two_ecu_car", "gateway"))
PROGRAMMING_STATE = "session2"
NOT_KNOWN, BUSY = 0x11, 0x21


class Row(NamedTuple):
    """One exchange of a scanner: in which of its states, what it sent, what it got (None: nothing)."""

    case: str
    state: str
    request: bytes
    response: bytes | None

    @property
    def bootloader(self) -> bool:
        """Whether the scanner believes the ECU in the programming session, which the bootloader serves."""
        return self.state.startswith(PROGRAMMING_STATE)

    @property
    def positive(self) -> bool:
        return self.response is not None and self.response[0] != 0x7F

    @property
    def nrc(self) -> int | None:
        return None if self.response is None or self.positive else self.response[2]


class Found(NamedTuple):
    """A finding beside what the ECU's tables say."""

    what: str
    found: frozenset[int]
    expected: frozenset[int]

    @property
    def right(self) -> bool:
        return self.found == self.expected

    def __str__(self) -> str:
        if self.right:
            return f"  {self.what:<44}{len(self.found):>4}  as described"
        more, missing = self.found - self.expected, self.expected - self.found
        return f"  {self.what:<44}      found but not described {_hex(more)}, described but not found {_hex(missing)}"


def _hex(values: Iterable[int]) -> str:
    return ", ".join(f"0x{value:02X}" for value in sorted(values)) or "none"


def _where(rows: Iterable[Row], case: str, *, bootloader: bool | None = None) -> Iterator[Row]:
    return (row for row in rows if row.case == case and bootloader in (None, row.bootloader))


def _known(rows: Iterable[Row], at: slice, *, unknown: int) -> frozenset[int]:
    """Return the ids whose answers are other than "there is none"."""
    seen = (row for row in rows if row.response is not None and row.nrc not in (unknown, BUSY))
    return frozenset(int.from_bytes(row.request[at], "big") for row in seen)


def _positive(rows: Iterable[Row], at: slice) -> frozenset[int]:
    return frozenset(int.from_bytes(row.request[at], "big") for row in rows if row.positive)


def judge(rows: list[Row], tables: dict[str, Tables]) -> Iterator[Found]:
    """Compare what scapy's enumerators found with the tables of both modes."""
    both = frozenset().union(*(mode.sessions for mode in tables.values()))
    yield Found("sessions", _positive(_where(rows, "UDS_DSCEnumerator"), slice(1, 2)), both)
    resets = frozenset().union(*(mode.resets for mode in tables.values()))
    yield Found("kinds of reset", _positive(_where(rows, "UDS_EREnumerator"), slice(1, 2)), resets)
    for bootloader, name in ((False, "application"), (True, "bootloader")):
        mode = tables[name]
        services = _known(_where(rows, "UDS_ServiceEnumerator", bootloader=bootloader), slice(0, 1), unknown=NOT_KNOWN)
        yield Found(f"services of the {name}", services, mode.services)
        dids = _positive(_where(rows, "UDS_RDBIEnumerator", bootloader=bootloader), slice(1, 3))
        scanned = frozenset(did for did in mode.dids if 0xF100 <= did < 0xF200)
        yield Found(f"data identifiers F1xx of the {name}", dids, scanned)
        routines = (row for row in _where(rows, "UDS_RCStartEnumerator", bootloader=bootloader) if row.nrc != 0x7F)
        yield Found(f"routines of the {name}", _known(routines, slice(2, 4), unknown=0x31), mode.routines)


def unanswered(rows: list[Row]) -> list[Row]:
    """Return requests without answer that a restart does not explain: a scanner's first in a state, or a reset's."""
    first = {(row.case, row.state): row for row in reversed(rows)}
    resets = "UDS_EREnumerator"
    return [
        row for row in rows if row.response is None and row.case != resets and row is not first[row.case, row.state]
    ]


def scan_with_scapy(vehicle: str, ecu: str, group: str) -> bool:
    """Run scapy's scanner against an ECU; return whether all is as it must be."""
    with ServedProcess(vehicle, ecu, f"interface=udp_multicast,channel={group},hop_limit=0") as served:
        ids = served.ids
        command = [
            str(TOOLS / "python"),
            str(HERE / "scapy_scan.py"),
            f"{ids['request_id']:X}",
            f"{ids['response_id']:X}",
            group,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode != 0:
        print(done.stderr[-2_000:])
        return False
    told: dict[str, Any] = json.loads(done.stdout)
    rows = [
        Row(case, state, bytes.fromhex(request), None if response is None else bytes.fromhex(response))
        for case, state, request, response in told["rows"]
    ]
    found = list(judge(rows, described(vehicle, ecu)))
    lost = unanswered(rows)
    alive = told["alive"] == "62f18601"
    print(f"scapy, {vehicle} {ecu}: {len(rows)} requests in {len(told['states'])} states", *found, sep="\n")
    named = ", ".join(f"{row.state} {row.request.hex()}" for row in lost)
    print(f"  without answer, no restart meanwhile: {named or 'none'}")
    print(f"  scan complete: {told['complete']}; alive afterwards in the default session: {alive}", flush=True)
    return all(each.right for each in found) and not lost and alive and bool(told["complete"])


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scan", description=__doc__)
    parser.add_argument("--group", default="239.74.163.77", help="multicast group, the next ones are used as well")
    given = parser.parse_args()
    head, _, last = given.group.rpartition(".")
    right = [scan_with_scapy(*each, f"{head}.{int(last) + n}") for n, each in enumerate(ECUS)]
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
