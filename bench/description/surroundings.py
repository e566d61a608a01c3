"""The vehicle around an order, as the judge is told of it: from the vehicle file, never from the judged vehicle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.core.records import CyclicFrame, ExpectedFrame, Surroundings
from bench.description.ecu_entry import EcuEntry
from bench.description.vehicle_file import VehicleFile

FIRST_PARTNER_DTC, DTC_STEP = 0xC10087, 0x100
"""The n-th partner's absence is this and n - 1 steps (key `partners` of the vehicle file)."""


@dataclass(frozen=True, slots=True)
class HeardFrame:
    """A cyclic frame on a bus: `senders` are the ECU that sends it, then the gateways that carried it there."""

    channel: str
    can_id: int
    id_29_bit: bool
    senders: tuple[str, ...]


def heard_frames(vehicle: VehicleFile) -> Iterator[HeardFrame]:
    """Yield every cyclic frame on every bus where it is heard."""
    for sender in vehicle.ecus:
        for frame in sender.frames:
            first = HeardFrame(frame.channel or sender.channel, frame.id, frame.id_29_bit, (sender.id,))
            yield from _carried(vehicle, first, fd=frame.fd)


def _carried(vehicle: VehicleFile, first: HeardFrame, *, fd: bool) -> Iterator[HeardFrame]:
    """Yield where a frame is sent, and where gateways carry it; a gateway carries nothing of its own."""
    routes = [(gateway.id, route) for gateway in vehicle.ecus for route in gateway.routes]
    reached, waiting = {(first.channel, first.can_id)}, [first]
    while waiting:
        heard = waiting.pop(0)
        yield heard
        for gateway, route in routes:
            own = gateway == first.senders[0]
            if own or not route.takes(heard.channel, heard.can_id, id_29_bit=heard.id_29_bit, fd=fd):
                continue
            can_id = route.carried_as(heard.can_id)
            if (route.to, can_id) not in reached:
                reached.add((route.to, can_id))
                waiting.append(HeardFrame(route.to, can_id, heard.id_29_bit, (*heard.senders, gateway)))


def surroundings(vehicle: VehicleFile, ordered: Sequence[str], began_t_ns: int) -> Surroundings:
    """Return the vehicle around an order that names the ECUs `ordered`."""
    return Surroundings(
        ordered=tuple(ordered),
        buses=tuple((ecu.id, ecu.channel) for ecu in vehicle.ecus),
        sleepers=tuple(e.id for e in vehicle.ecus if vehicle.network is not None and e.nm_node is not None),
        cyclic=tuple(frame for ecu in vehicle.ecus for frame in _cyclic(ecu)),
        expected=tuple(frame for ecu in vehicle.ecus for frame in _expected(vehicle, ecu)),
        began_t_ns=began_t_ns,
    )


def _cyclic(ecu: EcuEntry) -> Iterator[CyclicFrame]:
    for frame in ecu.frames:
        limit_ms = frame.period_ms + frame.tolerated_ms
        channel = frame.channel or ecu.channel
        yield CyclicFrame(ecu.id, channel, frame.id, frame.id_29_bit, limit_ms, frame.offset_ms + limit_ms)


def _expected(vehicle: VehicleFile, ecu: EcuEntry) -> Iterator[ExpectedFrame]:
    for number, partner in enumerate(ecu.partners):
        place = (partner.channel or ecu.channel, partner.id, partner.id_29_bit)
        heard = (h for h in heard_frames(vehicle) if (h.channel, h.can_id, h.id_29_bit) == place)
        senders = next((h.senders for h in heard), ())
        yield ExpectedFrame(ecu.id, FIRST_PARTNER_DTC + number * DTC_STEP, senders)
