"""Runs scapy's UDS scanner in an environment of its own and prints every exchange as one JSON object.

Arguments: request id, response id (hexadecimal), multicast group. No module of this project is imported here.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from scapy.config import conf

conf.contribs["ISOTP"] = {"use-can-isotp-kernel-module": False}
conf.contribs["CANSocket"] = {"use-python-can": True}

from scapy.contrib.automotive import uds_scan  # noqa: E402
from scapy.contrib.automotive.uds import UDS  # noqa: E402
from scapy.contrib.cansocket_python_can import CANSocket  # noqa: E402
from scapy.contrib.isotp import ISOTPSoftSocket  # noqa: E402

REQUEST_ID, RESPONSE_ID = (int(text, 16) for text in sys.argv[1:3])
GROUP = sys.argv[3]
TRIES = 10
LIMIT_S = 300

CASES: dict[str, dict[str, Any]] = {
    "UDS_DSCEnumerator": {"scan_range": range(1, 0x20), "delay_state_change": 1, "overwrite_timeout": False},
    "UDS_ServiceEnumerator": {},
    "UDS_RDBIEnumerator": {"scan_range": range(0xF100, 0xF200)},
    "UDS_SAEnumerator": {"scan_range": range(1, 9)},
    "UDS_RCStartEnumerator": {"scan_range": [*range(0x0200, 0x0220), *range(0xFF00, 0xFF03)]},
    "UDS_TPEnumerator": {},
    "UDS_EREnumerator": {"scan_range": range(1, 0x20)},
}


def connect() -> Any:
    can_socket = CANSocket(interface="udp_multicast", channel=GROUP, hop_limit=0)
    return ISOTPSoftSocket(can_socket, tx_id=REQUEST_ID, rx_id=RESPONSE_ID, basecls=UDS, padding=True)


def ask(pdu: bytes) -> str | None:
    with connect() as one:
        answer = one.sr1(UDS(pdu), timeout=2, verbose=False)
        return None if answer is None else bytes(answer).hex()


def reset() -> None:
    ask(b"\x11\x01")
    answers()


def answers() -> None:
    """Ask until the ECU answers; it boots, or the multicast group is still being joined."""
    for _ in range(TRIES):
        if ask(b"\x22\xf1\x86"):
            break


def main() -> None:
    answers()
    given: dict[str, Any] = {f"{name}_kwargs": values for name, values in CASES.items() if values}
    scanner = uds_scan.UDS_Scanner(
        connect(), reset_handler=reset, reconnect_handler=connect, timeout=0.3,
        test_cases=[getattr(uds_scan, name) for name in CASES], **given,
    )  # fmt: skip
    scanner.scan(timeout=LIMIT_S)
    rows = [
        (type(case).__name__, str(seen.state), bytes(seen.req).hex(), bytes(seen.resp).hex() if seen.resp else None)
        for case in scanner.configuration.test_cases for seen in getattr(case, "results", ())
    ]  # fmt: skip
    states = [str(path[-1]) for path in scanner.state_paths]
    scanner.socket.close()
    reset()
    print(
        json.dumps({"complete": scanner.scan_completed, "states": states, "rows": rows, "alive": ask(b"\x22\xf1\x86")})
    )


main()
