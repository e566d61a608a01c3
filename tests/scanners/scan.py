"""Lets foreign UDS scanners loose on `otabench ecu` and holds what they find against the ECU's own tables.

`make scanners` installs them into `build/scanners`, an environment of their own. scapy's scanner runs here over
python-can's udp_multicast; gallia needs SocketCAN: here where the kernel has it, else in the virtual machine.
Exit code 1 when a finding differs, the ECU did not survive, or a scanner did not come to its end.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
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
        if reads := list(_where(rows, "UDS_RDBIEnumerator", bootloader=bootloader)):
            scanned = frozenset(did for did in mode.dids if 0xF100 <= did < 0xF200)
            yield Found(f"data identifiers F1xx of the {name}", _positive(reads, slice(1, 3)), scanned)
        if starts := list(_where(rows, "UDS_RCStartEnumerator", bootloader=bootloader)):
            there = [row for row in starts if row.nrc != 0x7F]
            yield Found(f"routines of the {name}", _known(there, slice(2, 4), unknown=0x31), mode.routines)


def unanswered(rows: list[Row]) -> list[Row]:
    """Return requests without answer that no restart explains.

    The scanner enters a state, or asked for a session or a reset, and asks on at once: the ECU boots meanwhile.
    """
    lost: list[Row] = []
    before: Row | None = None
    for row in rows:
        begins = before is None or (before.case, before.state) != (row.case, row.state)
        restarts = row.request[0] == 0x11 or (before is not None and before.request[0] in (0x10, 0x11))
        if row.response is None and not begins and not restarts:
            lost.append(row)
        before = row
    return lost


def read_by_py_uds(exchanges: str) -> list[str]:
    """Return the answers that py-uds cannot read; it knows no 0x7F for service ids that the standard does not have."""
    command = [str(TOOLS / "python"), str(HERE / "py_uds_check.py")]
    done = subprocess.run(command, input=exchanges, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    complaints: list[str] = json.loads(done.stdout)["complaints"]
    return [text for text in complaints if not (text.startswith("7f") and text[4:6] == f"{NOT_KNOWN:02x}")]


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
    foreign = read_by_py_uds(done.stdout)
    found = list(judge(rows, described(vehicle, ecu)))
    lost = unanswered(rows)
    alive = told["alive"] == "62f18601"
    print(f"scapy, {vehicle} {ecu}: {len(rows)} requests in {len(told['states'])} states", *found, sep="\n")
    named = ", ".join(f"{row.state} {row.request.hex()}" for row in lost)
    print(f"  without answer, no restart meanwhile: {named or 'none'}")
    print(f"  answers that py-uds cannot read: {', '.join(foreign) or 'none'}")
    print(f"  scan complete: {told['complete']}; alive afterwards in the default session: {alive}", flush=True)
    return all(each.right for each in found) and not (lost or foreign) and alive and bool(told["complete"])


# gallia: over vcan0, here or in the virtual machine; what it saw stands in its own database -------------


CASES = {0x10: "UDS_DSCEnumerator", 0x11: "UDS_EREnumerator", 0x22: "UDS_RDBIEnumerator"}


def gallia_rows(database: Path) -> list[Row]:
    """Return every exchange in gallia's database, by the session in which it believed the ECU."""
    with closing(sqlite3.connect(database)) as opened:
        found = opened.execute("select state, request_pdu, response_pdu from scan_result order by id").fetchall()
    rows: list[Row] = []
    for state, request, response in found:
        session = f"session{json.loads(state)['session'] if state else '?'}"
        names = ["UDS_ServiceEnumerator", *([CASES[request[0]]] if request[0] in CASES else [])]
        rows += [Row(name, session, bytes(request), response and bytes(response)) for name in names]
    return rows


def judge_gallia(folder: Path, vehicle: str, ecu: str) -> bool:
    """Compare what gallia found; its log tells that each scan and the ECU ended well."""
    rows = gallia_rows(folder / "gallia.sqlite")
    ended = (folder / "ended").read_text().split("\n")
    found = list(judge(rows, described(vehicle, ecu)))
    alone = [row for row in rows if row.case == "UDS_ServiceEnumerator"]
    print(f"gallia, {vehicle} {ecu}: {len(alone)} requests", *found, "  " + "; ".join(filter(None, ended)), sep="\n")
    return all(each.right for each in found) and all(line.endswith(" 0") for line in ended if line)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scan", description=__doc__)
    parser.add_argument("--group", default="239.74.163.77", help="multicast group, the next ones are used as well")
    parser.add_argument("--gallia", type=Path, help="judge only what gallia.sh left in this folder")
    given = parser.parse_args()
    if given.gallia is not None:
        return int(not judge_gallia(given.gallia, *ECUS[0]))
    head, _, last = given.group.rpartition(".")
    right = [scan_with_scapy(*each, f"{head}.{int(last) + n}") for n, each in enumerate(ECUS)]
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
