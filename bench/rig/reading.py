"""Reading the ECUs after the run, by a tester of its own that shares no code with agent and flasher (D5)."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.node import Incarnation, Node
from bench.core.records import DidReading
from bench.core.world import World
from bench.description.ecu_entry import EcuEntry
from bench.description.vehicle_file import VehicleFile
from bench.ports.can import CanBus, CanPort
from bench.ports.diagnostics import DiagLink, LinkError
from bench.rig.plain_link import PlainLink

DIDS = (0xF186, 0xF189, 0xF191)
"""Active session, software version, hardware id."""
TRIES, ANSWER_MS, PENDING_S = 3, 200, 5
REFUSAL_BYTES = 3
READ, POSITIVE, NEGATIVE, PENDING = 0x22, 0x62, 0x7F, 0x78


async def read_vehicle(world: World, buses: Mapping[str, CanBus], vehicle: VehicleFile) -> tuple[DidReading, ...]:
    """Return a reading of every identifier of every ECU, refusals and silence too."""
    life = _life(world)
    ports = {name: bus.attach(life) for name, bus in buses.items()}
    readings = []
    for ecu in vehicle.ecus:
        link = _link(vehicle, ecu, ports[ecu.tester_channel], life)
        for did in DIDS:
            value, nrc = await _read(link, did)
            readings.append(DidReading(world.clock.now_ns(), ecu.id, did, value, nrc))
    life.retire()
    return tuple(readings)


def _link(vehicle: VehicleFile, ecu: EcuEntry, port: CanPort, life: Incarnation) -> PlainLink:
    habits = vehicle.habits(ecu)
    padding = None if isinstance(habits.padding, str) else habits.padding
    return PlainLink(life, port, ecu.address(), padding, habits.frame_flags)


def _life(world: World) -> Incarnation:
    """Return a life for the tester, which has a supply of its own."""
    node = Node(world, "tester", lambda _life: None)
    node.power_on("tester plugged in")
    assert node.incarnation is not None
    return node.incarnation


async def _read(link: DiagLink, did: int) -> tuple[bytes | None, int | None]:
    """Return the value, or the code of the negative response; neither when nothing answered."""
    request = bytes((READ, did >> 8, did & 0xFF))
    for _ in range(TRIES):
        try:
            link.discard()
            await link.send(request)
            answer = await _answer(link)
        except LinkError:
            continue
        if answer[:3] == bytes((POSITIVE,)) + request[1:]:
            return answer[3:], None
        if len(answer) == REFUSAL_BYTES and answer[:2] == bytes((NEGATIVE, READ)):
            return None, answer[2]
    return None, None


async def _answer(link: DiagLink) -> bytes:
    answer = await link.receive(ANSWER_MS * NS_PER_MS)
    while len(answer) == 3 and answer[0] == NEGATIVE and answer[2] == PENDING:
        answer = await link.receive(PENDING_S * NS_PER_S)
    return answer
