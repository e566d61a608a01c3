"""On which buses frames go missing while an ECU is updated: derived from the vehicle's frames, routes and partners.

Functional 0x28 silences every ECU of a bus, on all networks it is connected to (ISO 14229-1, 9.4: communicationType
with subnet 0, from memory); the ECU that is programmed sends nothing, and when it is a gateway it carries nothing. A
partner on another bus that misses such a frame would store a lost communication, unless that bus is prepared too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.description.ecu_entry import EcuEntry
from bench.description.vehicle_file import VehicleFile


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a cyclic frame is heard; `missing` once its sender, or a gateway on its way, is silent."""

    channel: str
    can_id: int
    id_29_bit: bool
    missing: bool


def affected_buses(vehicle: VehicleFile, ecu: EcuEntry) -> tuple[str, ...]:
    """Return the channels other than the tester's on which frames go missing while `ecu` is updated.

    Those of `ecu.affects` where the vehicle file names them. Else its own bus, and each one with a partner that misses
    a frame; to prepare it means to silence it, which may make frames go missing on a further one.
    """
    if ecu.affects is not None:
        return tuple(channel for channel in ecu.affects if channel != ecu.tester_channel)
    silent = dict.fromkeys((ecu.tester_channel, ecu.channel))
    while more := [channel for channel in _missing_partners(vehicle, ecu, frozenset(silent)) if channel not in silent]:
        silent |= dict.fromkeys(more)
    return tuple(channel for channel in silent if channel != ecu.tester_channel)


def _missing_partners(vehicle: VehicleFile, ecu: EcuEntry, silent: frozenset[str]) -> Iterator[str]:
    """Yield the channels on which somebody misses a frame while `ecu` is programmed and `silent` buses are."""
    gone = {(p.channel, p.can_id, p.id_29_bit) for p in _places(vehicle, ecu, silent) if p.missing}
    for other in vehicle.ecus:
        for partner in other.partners if other is not ecu else ():
            channel = partner.channel or other.channel
            if (channel, partner.id, partner.id_29_bit) in gone:
                yield from (channel, other.channel)


def _places(vehicle: VehicleFile, ecu: EcuEntry, silent: frozenset[str]) -> Iterator[_Place]:
    for sender in vehicle.ecus:
        missing = sender is ecu or sender.channel in silent
        for frame in sender.frames:
            first = _Place(frame.channel or sender.channel, frame.id, frame.id_29_bit, missing)
            yield from _carried(vehicle, ecu, sender, first, fd=frame.fd)


def _carried(vehicle: VehicleFile, ecu: EcuEntry, sender: EcuEntry, first: _Place, *, fd: bool) -> Iterator[_Place]:
    """Yield where a frame is heard: where it is sent, and where gateways carry it, who carry nothing of their own."""
    routes = [(gateway, route) for gateway in vehicle.ecus if gateway is not sender for route in gateway.routes]
    reached, waiting = {(first.channel, first.can_id)}, [first]
    while waiting:
        place = waiting.pop(0)
        yield place
        for gateway, route in routes:
            if route.takes(place.channel, place.can_id, id_29_bit=place.id_29_bit, fd=fd):
                can_id = route.carried_as(place.can_id)
                if (route.to, can_id) not in reached:
                    reached.add((route.to, can_id))
                    gone = place.missing or gateway is ecu
                    waiting.append(_Place(route.to, can_id, place.id_29_bit, gone))
