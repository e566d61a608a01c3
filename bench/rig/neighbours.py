"""The vehicle before and after a story: DTCs by a tester of the bench's own, and the memory of who is not ordered."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.clock import NS_PER_S
from bench.core.records import Dtc, DtcReading
from bench.core.world import World
from bench.description.vehicle_file import VehicleFile
from bench.ports.can import CanBus
from bench.rig.reading import NEGATIVE, ask, plugged_in, tester_link

READ_DTCS, BY_STATUS_MASK = 0x19, 0x02
STORED = 0x2D
"""testFailed, pendingDTC, confirmedDTC, testFailedSinceLastClear (ISO 14229-1, annex D.2): something was wrong. The
other bits say only whether a test has run."""
HEAD_BYTES, DTC_BYTES = 3, 4
BOOT_WITHIN_NS = 5 * NS_PER_S
"""How long an ECU that was just switched on is asked again."""


async def read_dtcs(
    world: World, buses: Mapping[str, CanBus], vehicle: VehicleFile, *, before: bool
) -> tuple[DtcReading, ...]:
    """Return what each ECU answers to 0x19 02; before the story ECUs are given the time to boot."""
    readings = []
    with plugged_in(world) as life:
        ports = {name: bus.attach(life) for name, bus in buses.items()}
        end_ns = world.clock.now_ns() + (BOOT_WITHIN_NS if before else 0)
        for ecu in vehicle.ecus:
            link = tester_link(vehicle, ecu, ports[ecu.tester_channel], life)
            answer = await ask(link, bytes((READ_DTCS, BY_STATUS_MASK, STORED)))
            while answer is None and world.clock.now_ns() < end_ns:
                answer = await ask(link, bytes((READ_DTCS, BY_STATUS_MASK, STORED)))
            readings.append(_reading(world, ecu.id, answer, before=before))
    return tuple(readings)


def _reading(world: World, ecu: str, answer: bytes | None, *, before: bool) -> DtcReading:
    now_ns = world.clock.now_ns()
    if answer is None:
        return DtcReading(now_ns, ecu, before, None)
    if answer[0] == NEGATIVE:
        return DtcReading(now_ns, ecu, before, None, refused=answer[2] if len(answer) > 2 else 0)
    rows = answer[HEAD_BYTES:]
    if answer[1:2] != bytes((BY_STATUS_MASK,)) or len(rows) % DTC_BYTES:
        return DtcReading(now_ns, ecu, before, None)
    starts = range(0, len(rows), DTC_BYTES)
    found = tuple(Dtc(int.from_bytes(rows[n : n + 3], "big"), rows[n + 3]) for n in starts)
    return DtcReading(now_ns, ecu, before, found)
