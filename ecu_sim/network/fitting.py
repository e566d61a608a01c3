"""Do an ECU's frames and routes fit the buses: what no controller could send is refused before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.core.errors import InputError
from bench.core.specs import EcuSpec, RouteSpec
from bench.ports.can import CanBus
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
        _refuse_node(spec, route, personality)


def _refuse_node(spec: EcuSpec, route: RouteSpec, personality: Personality) -> None:
    nodes = personality.diagnostics.node_ids
    if route.node is not None and route.node not in nodes:
        raise InputError(
            f"gateway {spec.id!r} routes frames of a node that 0x28 cannot name",
            key=f"ecus.{spec.id}.routes",
            found=f"node = 0x{route.node:X}",
            allowed=f"node_ids of personality {personality.name!r}: "
            + (", ".join(f"0x{node:X}" for node in nodes) or "none"),
        )


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


class _Carried(NamedTuple):
    """A frame on a bus, and the gateway that put it there: which does not hear it, while others do."""

    gateway: str
    channel: str
    can_id: int
    id_29_bit: bool


def refuse_loops(ecus: Sequence[EcuSpec]) -> None:
    """Raise `InputError` where the routes of several gateways would carry a frame round and round, for ever."""
    ended: set[_Carried] = set()
    for gateway in ecus:
        for route in gateway.routes:
            for offset in range(route.last_id - route.first_id + 1):
                _follow(_onward(gateway, route, route.first_id + offset), ecus, ended)


def _onward(gateway: EcuSpec, route: RouteSpec, can_id: int) -> _Carried:
    return _Carried(gateway.id, route.target, can_id - route.first_id + route.to_id, route.id_29_bit)


def _next(frame: _Carried, ecus: Iterable[EcuSpec]) -> list[_Carried]:
    return [
        _onward(ecu, route, frame.can_id)
        for ecu in ecus
        for route in ecu.routes
        if ecu.id != frame.gateway
        and (route.source, route.id_29_bit) == (frame.channel, frame.id_29_bit)
        and route.first_id <= frame.can_id <= route.last_id
    ]


def _follow(first: _Carried, ecus: Sequence[EcuSpec], ended: set[_Carried]) -> None:
    """Go where a frame is carried to, depth first; `ended` are frames that are known to come to an end."""
    way = [(first, _next(first, ecus))] if first not in ended else []
    while way:
        frame, onward = way[-1]
        if not onward:
            ended.add(frame)
            way.pop()
            continue
        following = onward.pop()
        if following in [carried for carried, _ in way]:
            gateways = " and ".join(dict.fromkeys(carried.gateway for carried, _ in way))
            raise InputError(
                f"gateways {gateways} would carry a frame for ever",
                key=f"ecus.{frame.gateway}.routes",
                found=f"id = 0x{following.can_id:X} on {following.channel}",
                allowed="routes that end; renumber it with to_id, or leave one direction out",
            )
        if following not in ended:
            way.append((following, _next(following, ecus)))
