"""A misbehaving `otabench ecu` and a foreign tester: udsoncan's Client over can-isotp. Prints JSON what it saw.

Usage: python -m tests.interop.misbehaving_ecu. Nothing of ours on the tester's side but the key of 0x27 and the image.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import can
import isotp
from udsoncan import MemoryLocation
from udsoncan.client import Client
from udsoncan.common.DidCodec import AsciiCodec
from udsoncan.connections import PythonIsoTpConnection
from udsoncan.exceptions import NegativeResponseException, TimeoutException

from bench.images.signing import demo_payload, sign_image
from bench.trust.keys import signing_key
from bench.wire import seed_key
from tests.interop.real_can import ecu_process

GROUP = "239.74.163.2"
PORT = 20_000 + os.getpid() % 20_000
READS = (
    "nrc=0x22", "nrc_after=0x93", "silent", "lost_answer", "slow=400", "late=below_p2", "wrong_echo", "wrong_service",
    "truncated", "late=1900",
)  # fmt: skip
WRITES = (
    "0x36:nrc=0x72@2", "0x36:wrong_echo@5", "0x37:nrc_after=0x71@1", "0x31.010202:slow=1500", "0x22.F18C:reset=after",
    "0x22.F186:pending",
)  # fmt: skip
"""What happens at the first, second, … reading of the VIN."""
DIDS = {0xF186: 1, 0xF189: 5, 0xF18C: 12, 0xF190: 17}
BLOCK_BYTES, IMAGE_BYTES = 1024, 4096


@contextmanager
def client() -> Iterator[Any]:
    """Connect udsoncan's client; an answer must begin within 0.8 s, a request be over after 2 s."""
    bus = can.Bus(interface="udp_multicast", channel=GROUP, port=PORT, hop_limit=0, ignore_config=True)
    notifier = can.Notifier(bus, [], timeout=0.05)
    address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=0x7A0, rxid=0x7A8)
    stack = isotp.NotifierBasedCanStack(bus, notifier, address=address, params={"tx_padding": 0xAA})
    config = {
        "data_identifiers": {did: AsciiCodec(length) for did, length in DIDS.items()},
        "request_timeout": 2, "p2_timeout": 0.8, "p2_star_timeout": 2, "use_server_timing": False,
        "security_algo": lambda level, seed, params: seed_key.compute("hmac_sha256", "body_controller", bytes(seed)),
    }  # fmt: skip
    try:
        with Client(PythonIsoTpConnection(stack), config=config) as connected:
            yield connected
    finally:
        notifier.stop()
        bus.shutdown()


def seen(ask: Callable[[], Any]) -> str:
    """Return how a request ended: the answer, the code, or the client's exception."""
    try:
        return str(ask())
    except NegativeResponseException as refusal:
        return f"NRC 0x{refusal.response.code:02X}"
    except Exception as error:
        return type(error).__name__


def flash(tester: Any) -> list[str]:
    """Flash as simply as can be: a download that fails is begun anew. Returns what went wrong on the way."""
    image = sign_image(
        demo_payload(3, "body", "3.0.0", IMAGE_BYTES), hardware_id="BCM-HW-03", software_id="BCM-APP", version="3.0.0",
        release_counter=3, load_address=0, key=signing_key("image"),
    )  # fmt: skip
    tester.change_session(3)
    tester.change_session(2)
    _rebooted(tester)
    tester.change_session(2)
    tester.unlock_security_access(1)
    wrong: list[str] = []
    for _ in range(8):
        try:
            tester.start_routine(0xFF00, bytes((0x44,)) + bytes(4) + IMAGE_BYTES.to_bytes(4, "big"))
            _download(tester, 0, image.data)
            _download(tester, 0x00F0_0000, image.header.encode())
            break
        except NegativeResponseException as refusal:
            wrong.append(f"0x{refusal.response.service.request_id():02X} NRC 0x{refusal.response.code:02X}")
        except Exception as error:
            wrong.append(type(error).__name__)
    checked = tester.start_routine(0x0202).service_data.routine_status_record
    tester.start_routine(0xFF01)
    tester.ecu_reset(1)
    return [*wrong, f"check memory {checked.hex()}"]


def _download(tester: Any, address: int, data: bytes) -> None:
    location = MemoryLocation(address=address, memorysize=len(data), address_format=32, memorysize_format=32)
    tester.request_download(location)
    for number, at in enumerate(range(0, len(data), BLOCK_BYTES), 1):
        tester.transfer_data(number, data[at : at + BLOCK_BYTES])
    tester.request_transfer_exit()


def _rebooted(tester: Any) -> str:
    """Ask for the VIN until a rebooting ECU answers; each try waits for the client's own time-out."""
    for _ in range(6):
        try:
            return str(tester.read_data_by_identifier(0xF190).service_data.values[0xF190])
        except TimeoutException as error:
            last = error
    raise last


def main() -> None:
    """Start an ECU that misbehaves at its readings and while it is flashed, look at it as a foreign tester does."""
    reads = [f"0x22.F190:{order}@{number}" for number, order in enumerate(READS, 1)]
    can_option = f"interface=udp_multicast,channel={GROUP},port={PORT},hop_limit=0"
    result: dict[str, Any] = {}
    with ecu_process("two_ecu_car", "body", "--can", can_option, *_options(WRITES)), client() as tester:
        result["writes"] = flash(tester)
        result["vin"] = _rebooted(tester)
        result["version"] = tester.read_data_by_identifier(0xF189).service_data.values[0xF189]
        result["reset"] = [seen(lambda: tester.read_data_by_identifier(0xF18C)) for _ in range(2)]
        result["pending"] = [seen(lambda: tester.read_data_by_identifier(0xF186)), seen(tester.tester_present)]
    with ecu_process("two_ecu_car", "body", "--can", can_option, *_options(reads)) as ready, client() as tester:
        result["reads"] = [
            seen(lambda: tester.read_data_by_identifier(0xF190).service_data.values[0xF190]) for _ in READS
        ]
        result["ready"] = ready["misbehave"]
    json.dump(result, sys.stdout)


def _options(orders: Sequence[str]) -> list[str]:
    return [word for order in orders for word in ("--misbehave", order)]


if __name__ == "__main__":
    main()
