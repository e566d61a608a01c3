"""`otabench ecu` on vcan0, flashed over each transport; udsoncan's Client on the kernel's socket as another tester."""

from __future__ import annotations

from pathlib import Path

import isotp
import pytest
from udsoncan.client import Client
from udsoncan.common.DidCodec import AsciiCodec
from udsoncan.connections import IsoTPSocketConnection

from bench.core.clock import Clock
from bench.flasher.values import FlashReport
from tests.interop.real_can import Ours, bench_on, connected, in_real_time, new_software

SIZE_BYTES = 3000


@pytest.mark.parametrize("transport", ["own", "can-isotp", "kernel"])
def test_flasher_programs_an_ecu_in_another_process(tmp_path: Path, ecu_on_vcan0: str, transport: str) -> None:
    files = bench_on(tmp_path, "socketcan", ecu_on_vcan0, transport=transport, p2_ms=5000)

    async def main(clock: Clock) -> tuple[FlashReport, Ours]:
        async with connected(clock, files) as ours:
            return await ours.flash(new_software(files, "body", SIZE_BYTES)), ours

    report, ours = in_real_time(main)
    counts = {name: n for name, n in report.counts.items() if n}
    print(f"{transport}: transfer took {report.phase_ns['transfer'] / 1e9:.2f} s, counts {counts}")
    assert report.version == "2.0.0"
    assert {frame.sender for frame in ours.frames} == {"agent", "body"}


def test_udsoncan_client_on_the_kernel_socket_is_served(ecu_on_vcan0: str) -> None:
    config = {"data_identifiers": {0xF190: AsciiCodec(17)}, "request_timeout": 20, "p2_timeout": 20}
    address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=0x7A0, rxid=0x7A8)
    connection = IsoTPSocketConnection(ecu_on_vcan0, address)
    with Client(connection, config=config) as client:
        assert client.change_session(3).service_data.session_echo == 3
        assert client.read_data_by_identifier(0xF190).service_data.values[0xF190] == "ZZZ00TABENCH00002"
        client.change_session(1)
