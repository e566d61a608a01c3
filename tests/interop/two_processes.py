"""Two processes over python-can's udp_multicast: `otabench ecu` in one, a tester in this one. Prints JSON.

Usage: python -m tests.interop.two_processes flash|misbehave|udsoncan|own FILE|can-isotp FILE.
`test_two_processes.py` runs it in a network of its own; the port and a hop limit of 0 keep it apart elsewhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import can
import isotp
from udsoncan.client import Client
from udsoncan.common.DidCodec import AsciiCodec
from udsoncan.connections import PythonIsoTpConnection
from udsoncan.exceptions import NegativeResponseException

from bench.core.clock import Clock
from tests.brisk import brisk_data
from tests.interop.real_can import bench_on, connected, ecu_process, in_real_time, new_software

GROUP = "239.74.163.2"
REPEATS = ("block_repeat", "block_resend", "download_restart", "job_retry", "step_repeat")
PORT = 20_000 + os.getpid() % 20_000


def flash() -> dict[str, Any]:
    """Flash with our flasher over our own ISO-TP; twice, since a second job must work as well as the first."""
    with tempfile.TemporaryDirectory() as folder:
        files = bench_on(
            Path(folder),
            "udp_multicast",
            GROUP,
            vehicle="two_ecu_car",
            options=f"port = {PORT}, hop_limit = 0",
            p2_ms=2000,
        )
        job = new_software(files, "body")

        async def main(clock: Clock) -> dict[str, Any]:
            async with connected(clock, files) as ours:
                reports = [await ours.flash(job) for _ in range(2)]
                return {
                    "versions": [report.version for report in reports],
                    "sent_bytes": reports[0].sent_bytes,
                    "repeats": sum(report.counts[name] for report in reports for name in REPEATS),
                    "senders": sorted({frame.sender for frame in ours.frames}),
                }

        return in_real_time(main)


def command(firmware: Path, transport: str) -> dict[str, Any]:
    """Run `otabench flash` with firmware from a file, as a user does; returns its JSON and the record's pacing."""
    with tempfile.TemporaryDirectory() as folder:
        options, root = f"port = {PORT}, hop_limit = 0", brisk_data(Path(folder))
        bench_on(root, "udp_multicast", GROUP, vehicle="two_ecu_car", transport=transport, options=options)
        bench = root / "benches" / "adapter.toml"
        command = [sys.executable, "-m", "bench.cli", "flash", f"body={firmware}", "--bench", str(bench)]
        command += ["--out", folder, "--json"]
        if firmware.suffix != ".bin":  # else it is signed
            command += ["--crop", "--version", "2.0.0", "--release-counter", "9"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise AssertionError(ended.stderr)
        journal = next(Path(folder).glob("flash-*/journal.jsonl")).read_text().splitlines()
        pacing = [json.loads(line)["payload"] for line in journal if '"kind":"pacing"' in line]
        return {"flash": json.loads(ended.stdout), "pacing": pacing}


def udsoncan_client() -> dict[str, Any]:
    """Talk to the ECU with udsoncan's own Client over can-isotp's own stack: nothing of ours on this side."""
    bus = can.Bus(interface="udp_multicast", channel=GROUP, port=PORT, hop_limit=0, ignore_config=True)
    notifier = can.Notifier(bus, [], timeout=0.05)
    stack = isotp.NotifierBasedCanStack(
        bus,
        notifier,
        address=isotp.Address(isotp.AddressingMode.Normal_11bits, txid=0x7A0, rxid=0x7A8),
        params={"tx_padding": 0xAA, "blocksize": 4, "stmin": 1},
    )
    config = {
        "data_identifiers": {0xF190: AsciiCodec(17), 0xF189: AsciiCodec(5)},
        "request_timeout": 5,
        "p2_timeout": 5,
    }
    try:
        with Client(PythonIsoTpConnection(stack), config=config) as client:
            session = client.change_session(3)
            values = client.read_data_by_identifier([0xF190, 0xF189]).service_data.values
            client.tester_present()
            try:
                client.read_memory_by_address(isotp_location())
                refused = None
            except NegativeResponseException as refusal:
                refused = refusal.response.code
            client.ecu_reset(1)
            again = until_answered(client)
            return {
                "p2_ms": round(session.service_data.p2_server_max * 1000),
                "vin": values[0xF190],
                "version": values[0xF189],
                "after_reset": again,
                "refused": refused,
            }
    finally:
        notifier.stop()
        bus.shutdown()


def isotp_location() -> Any:
    """Return a place that nobody may read."""
    from udsoncan.common.MemoryLocation import MemoryLocation

    return MemoryLocation(address=0, memorysize=4, address_format=32, memorysize_format=8)


def until_answered(client: Any) -> str:
    """Read the version of a rebooting ECU; each try waits for the client's own time-out."""
    for _ in range(4):
        try:
            return str(client.read_data_by_identifier(0xF189).service_data.values[0xF189])
        except Exception as error:
            last = error
    raise last


def main() -> None:
    """Start the ECU, do what the first argument says, print the result."""
    what, firmware = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None
    can_option = f"interface=udp_multicast,channel={GROUP},port={PORT},hop_limit=0"
    wild = ["--misbehave", "overflow@2", "--misbehave", "wrong_length@3"] if what == "misbehave" else []
    with ecu_process("two_ecu_car", "body", "--can", can_option, *wild) as ready:
        if firmware is not None:
            result = command(firmware, what)
        else:
            result = udsoncan_client() if what == "udsoncan" else flash()
    json.dump({**result, "ready": ready}, sys.stdout)


if __name__ == "__main__":
    main()
