"""Do an ECU's frames and routes fit the buses: what no controller could send is refused before anything runs."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.errors import InputError
from bench.core.specs import EcuSpec, RouteSpec
from bench.ports import CanBus
from ecu_sim.personality.personality import Personality


def refuse_unfit(spec: EcuSpec, personality: Personality, buses: Mapping[str, CanBus]) -> None:
    """Raise `InputError` for diagnostics, frames or routes of an ECU that its buses cannot carry."""
    for channel in dict.fromkeys((spec.channel, spec.tester_channel)):
        if personality.isotp.fd and channel in buses and not buses[channel].fd:
            raise InputError(
                f"ECU {spec.id!r} sends CAN FD frames on {channel}, which is a classic bus",
                key="isotp.tx_dl",
                found=f"personality {personality.name!r} with tx_dl = {personality.isotp.tx_dl}",
                allowed="a personality with tx_dl = 8, or data_bitrate_bit_s for that channel in the bench file",
            )
    own = {spec.channel, *(name for route in spec.routes for name in (route.source, route.target))}
    named = [(frame.can_id, frame.channel) for frame in spec.frames]
    for can_id, name in (*named, *((partner.can_id, partner.channel) for partner in spec.partners)):
        if name not in (None, *own):
            raise InputError(
                f"ECU {spec.id!r} has a frame or a partner on a bus that is none of its own",
                key=f"ecus.{spec.id}",
                found=f"id = 0x{can_id:X}, channel = {name!r}",
                allowed=", ".join(sorted(own)),
            )
    for frame in spec.frames:
        bus = frame.channel or spec.channel
        if frame.fd and not buses[bus].fd:
            raise InputError(
                f"ECU {spec.id!r} has a CAN FD frame on {bus}, which is a classic bus",
                key=f"ecus.{spec.id}.frames",
                found=f"id = 0x{frame.can_id:X}, fd = true",
                allowed="fd = false, or data_bitrate_bit_s for that channel in the bench file",
            )
    for route in spec.routes:
        _refuse_route(spec, route, buses)


def _refuse_route(spec: EcuSpec, route: RouteSpec, buses: Mapping[str, CanBus]) -> None:
    for name in (route.source, route.target):
        if name not in buses:
            raise InputError(
                f"gateway {spec.id!r} routes to or from an unknown bus",
                key=f"ecus.{spec.id}.routes",
                found=name,
                allowed=", ".join(buses),
            )
    if buses[route.source].fd and not buses[route.target].fd and not route.classic_only:
        raise InputError(
            f"gateway {spec.id!r} routes from {route.source}, a CAN FD bus, to {route.target}, which is a classic one",
            key=f"ecus.{spec.id}.routes",
            found=f"from = {route.source!r}, to = {route.target!r}",
            allowed='frames = "classic" for that route, or data_bitrate_bit_s for the channel it leads to',
        )
