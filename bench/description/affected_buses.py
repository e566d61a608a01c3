"""On which buses frames go missing while an ECU is updated: derived from the vehicle's frames, routes and partners.

Functional 0x28 silences every ECU of a bus, on all networks it is connected to (ISO 14229-1, 0x28: communicationType
with subnet 0, from memory); the ECU that is programmed sends nothing, and when it is a gateway it carries nothing. A
partner on another bus that misses such a frame would store a lost communication, unless that bus is prepared too.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.description.ecu_entry import EcuEntry
from bench.description.surroundings import heard_frames
from bench.description.vehicle_file import VehicleFile


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
    mute = {other.id for other in vehicle.ecus if other.channel in silent}
    gone = {
        (frame.channel, frame.can_id, frame.id_29_bit)
        for frame in heard_frames(vehicle)
        if frame.senders[0] in mute or ecu.id in frame.senders
    }
    for other in vehicle.ecus:
        for partner in other.partners if other is not ecu else ():
            channel = partner.channel or other.channel
            if (channel, partner.id, partner.id_29_bit) in gone:
                yield from (channel, other.channel)
