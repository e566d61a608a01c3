"""Our flasher against an ECU that is not our simulator, with each transport that needs no kernel."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import can
import pytest

from bench.core.clock import NS_PER_US, Clock
from bench.flasher.values import FlashReport
from tests.interop.foreign_ecu import ForeignEcu
from tests.interop.real_can import Ours, bench_on, connected, in_real_time, new_software

TRANSPORTS = ("own", "can-isotp")


def flash_foreign(folder: Path, transport: str, ecu: ForeignEcu, size_bytes: int) -> tuple[FlashReport, Ours]:
    files = bench_on(folder, "virtual", f"foreign {transport}", transport=transport)

    async def main(clock: Clock) -> tuple[FlashReport, Ours]:
        async with connected(clock, files) as ours:
            return await ours.flash(new_software(files, "body", size_bytes)), ours

    return in_real_time(main)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_flasher_programs_an_ecu_built_on_can_isotp(tmp_path: Path, transport: str) -> None:
    with ForeignEcu(can.Bus(interface="virtual", channel=f"foreign {transport}"), block_size=8) as ecu:
        report, ours = flash_foreign(tmp_path, transport, ecu, 5000)
    assert (report.version, report.downloads) == ("2.0.0", 1)
    assert {name: n for name, n in report.counts.items() if n} == {}, "nothing had to be repeated"
    job = new_software(bench_on(tmp_path, "virtual", "x"), "body", 5000)
    assert ecu.content(0, 5000) == job.image
    assert ecu.content(0x00F0_0000, 256) == job.header
    assert b"\x85\x81" in ecu.functional, "DTC setting was switched on again"
    assert {frame.sender for frame in ours.frames} == {"agent", "body"}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_gaps_under_a_millisecond_are_never_shorter_than_st_min(tmp_path: Path, transport: str) -> None:
    st_min, gap_ns = 0xF5, 500 * NS_PER_US
    with ForeignEcu(can.Bus(interface="virtual", channel=f"foreign {transport}"), st_min=st_min) as ecu:
        report, ours = flash_foreign(tmp_path, transport, ecu, 2000)
    assert report.version == "2.0.0"
    gaps = [
        after.t_ns - before.t_ns
        for before, after in pairwise(f for f in ours.frames if f.sender == "agent")
        if before.data[0] >> 4 == 2 and after.data[0] >> 4 == 2
    ]
    assert len(gaps) > 250
    assert min(gaps) >= gap_ns
    assert sorted(gaps)[len(gaps) // 2] < 3 * gap_ns, "nor does half of them take three times as long"
