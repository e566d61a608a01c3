"""Reading the ECUs after the run, by a tester of its own that shares no code with agent and flasher (D5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

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
READ, NEGATIVE, PENDING = 0x22, 0x7F, 0x78
POSITIVE_OFFSET = 0x40


async def read_vehicle(world: World, buses: Mapping[str, CanBus], vehicle: VehicleFile) -> tuple[DidReading, ...]:
    """Return a reading of every identifier of every ECU, refusals and silence too."""
    with plugged_in(world) as life:
        ports = {name: bus.attach(life) for name, bus in buses.items()}
        readings = []
        for ecu in vehicle.ecus:
            link = tester_link(vehicle, ecu, ports[ecu.tester_channel], life)
            for did in DIDS:
                value, nrc = await _read(link, did)
                readings.append(DidReading(world.clock.now_ns(), ecu.id, did, value, nrc))
    return tuple(readings)


def tester_link(vehicle: VehicleFile, ecu: EcuEntry, port: CanPort, life: Incarnation) -> PlainLink:
    """Return a plain link to an ECU, which shares no code with those of agent and flasher."""
    habits = vehicle.habits(ecu)
    padding = None if isinstance(habits.padding, str) else habits.padding
    return PlainLink(life, port, ecu.address(), padding, habits.frame_flags)


@contextmanager
def plugged_in(world: World) -> Iterator[Incarnation]:
    """Give a life to a tester, which has a supply of its own; it ends with the block."""
    node = Node(world, "tester", lambda _life: None)
    node.power_on("tester plugged in")
    assert node.incarnation is not None
    yield node.incarnation
    node.stop("tester unplugged")


async def ask(link: DiagLink, request: bytes) -> bytes | None:
    """Return the final answer to a request, positive or negative; None when none came in several tries."""
    for _ in range(TRIES):
        try:
            link.discard()
            await link.send(request)
            answer = await _answer(link)
        except LinkError:
            continue
        if answer[:1] == bytes((request[0] + POSITIVE_OFFSET,)) or answer[:2] == bytes((NEGATIVE, request[0])):
            return answer
    return None


async def _read(link: DiagLink, did: int) -> tuple[bytes | None, int | None]:
    """Return the value, or the code of the negative response; neither when nothing answered."""
    echo = did.to_bytes(2, "big")
    answer = await ask(link, bytes((READ,)) + echo)
    if answer is None:
        return None, None
    if answer[0] == NEGATIVE:
        return None, answer[2] if len(answer) == REFUSAL_BYTES else None
    return (answer[3:], None) if answer[1:3] == echo else (None, None)


async def _answer(link: DiagLink) -> bytes:
    answer = await link.receive(ANSWER_MS * NS_PER_MS)
    while len(answer) == 3 and answer[0] == NEGATIVE and answer[2] == PENDING:
        answer = await link.receive(PENDING_S * NS_PER_S)
    return answer
