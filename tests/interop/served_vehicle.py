"""All ECUs of a vehicle in one `otabench ecu --all`, two buses, a tester in this process. Prints JSON what it saw.

Usage: python -m tests.interop.served_vehicle. The body controller sits behind the gateway: frames cross both.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import can
import isotp
from udsoncan.client import Client
from udsoncan.common.DidCodec import AsciiCodec
from udsoncan.connections import PythonIsoTpConnection

from tests.interop.real_can import ecu_process

GROUPS = {"can0": "239.74.163.2", "can1": "239.74.163.3"}
PORTS = {"can0": 20_000 + os.getpid() % 20_000, "can1": 40_000 + os.getpid() % 20_000}
"""A port of its own for each bus: Linux hands a group's frames to every socket of the port."""
ADDRESSES = {"body": (0x7A0, 0x7A8), "gateway": (0x7A1, 0x7A9)}
SEEN = 40
"""Frames of the inner bus that are looked at."""


def read(bus: can.BusABC, ecu: str) -> dict[str, str]:
    """Read an ECU with udsoncan's client; its first session wakes the network."""
    request_id, response_id = ADDRESSES[ecu]
    notifier = can.Notifier(bus, [], timeout=0.05)
    address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=request_id, rxid=response_id)
    stack = isotp.NotifierBasedCanStack(bus, notifier, address=address, params={"tx_padding": 0xAA})
    config = {"data_identifiers": {0xF191: AsciiCodec(9 if ecu == "body" else 8)}, "request_timeout": 5}
    try:
        with Client(PythonIsoTpConnection(stack), config=config) as client:
            client.change_session(3)
            return {ecu: client.read_data_by_identifier(0xF191).service_data.values[0xF191]}
    finally:
        notifier.stop()


def main() -> None:
    """Serve the car, read both ECUs on the outer bus, look at the inner one."""
    adapters = [
        f"{name}=interface=udp_multicast,channel={group},port={PORTS[name]},hop_limit=0"
        for name, group in GROUPS.items()
    ]
    options = [word for adapter in adapters for word in ("--can", adapter)]
    result: dict[str, Any] = {}
    buses = {
        name: can.Bus(interface="udp_multicast", channel=group, port=PORTS[name], hop_limit=0, ignore_config=True)
        for name, group in GROUPS.items()
    }
    try:
        with ecu_process("gateway_car", "--all", *options, "--misbehave", "body/0x22:slow=200@1") as ready:
            for ecu in ADDRESSES:
                result |= read(buses["can0"], ecu)
            heard = (buses["can1"].recv(timeout=2.0) for _ in range(SEEN))
            result["inner"] = sorted({f"{frame.arbitration_id:X}" for frame in heard if frame is not None})
            result["ready"] = ready
    finally:
        for bus in buses.values():
            bus.shutdown()
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
