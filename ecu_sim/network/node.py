"""What one life of an ECU does on its buses beside diagnostics: its application, and the little of its bootloader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.specs import EcuSpec, RouteSpec
from bench.ports.can import CanPort
from bench.wire.uds import Session
from ecu_sim.memory.dtcs import DtcMemory
from ecu_sim.network.cyclic import CyclicFrame
from ecu_sim.network.management import NetworkManagement
from ecu_sim.network.partners import Partner
from ecu_sim.network.routing import Route
from ecu_sim.surroundings import Car
from ecu_sim.uds.sessions import SessionState


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkParts:
    """What a life brings: its ports by channel, its session state, its DTCs, and how it falls asleep."""

    life: Incarnation
    spec: EcuSpec
    ports: Mapping[str, CanPort]
    state: SessionState
    car: Car
    dtcs: DtcMemory
    asleep: Callable[[], None]


class ApplicationNetwork:
    """The application: cyclic frames, network management, partners, routes."""

    def __init__(self, parts: NetworkParts) -> None:
        self._parts = parts
        self._life, self._state = parts.life, parts.state
        port = parts.ports[parts.spec.channel]
        self._management: NetworkManagement | None = None
        if parts.spec.management is not None:
            self._management = NetworkManagement(
                parts.life, port, parts.spec.management, lambda: self._state.sends_network_management, parts.asleep
            )
        self._frames = [
            CyclicFrame(parts.life, parts.ports[f.channel or parts.spec.channel], f, self._sends_frames, _calm)
            for f in parts.spec.frames
        ]
        self._partners = [
            Partner(
                parts.life,
                parts.ports[partner.channel or parts.spec.channel],
                partner,
                number,
                parts.dtcs,
                self._watches,
            )
            for number, partner in enumerate(parts.spec.partners)
        ]

        self._routes: list[Route] = []

    def state(self, now_ns: int) -> State:
        """Return the states of network management, frames, partners and routes."""
        management = None if self._management is None else self._management.continuing(now_ns)
        parts = (self._frames, self._partners, self._routes)
        return management, *(tuple(part.state(now_ns) for part in each) for each in parts)

    def start(self) -> None:
        """Begin to take part."""
        self._state.on_change(self.look)
        if self._management is not None:
            self._management.start(requested=self._requested())
        for frame in self._frames:
            frame.start()
        for partner in self._partners:
            partner.start()
        self._routes = open_routes(self._parts)

    def look(self) -> None:
        """Something changed in the car or in the session: is the network still needed?"""
        if self._management is not None and self._life.alive:
            self._management.request(requested=self._requested())

    def busy(self) -> None:
        """A tester asked something."""
        if self._management is not None:
            self._management.busy()

    def _requested(self) -> bool:
        car = self._parts.car.state
        return car.ignition or car.engine or self._state.session is not Session.DEFAULT

    def _sends_frames(self) -> bool:
        return (self._management is None or self._management.sends_frames) and self._state.sends_normal

    def _watches(self) -> bool:
        """Partners are missed while they should be there and could be heard."""
        return self._parts.car.state.ignition and self._state.hears_normal


def _calm() -> bool:
    """A running application is whole: nothing speaks against a start."""
    return False


def open_routes(parts: NetworkParts) -> list[Route]:
    """Begin to route, as the data say."""
    state = parts.state
    routes = [Route(parts.life, parts.ports, each, partial(_stopped, state, each)) for each in parts.spec.routes]
    for route in routes:
        route.open()
    return routes


def _stopped(state: SessionState, route: RouteSpec) -> bool:
    """Return whether 0x28 silenced the node whose frames a route carries."""
    return route.node in (state.unmanaged_nodes if route.management else state.silent_nodes)


class BootloaderNetwork:
    """The bootloader: frames that inhibit a start while nothing valid could be started, maybe routes."""

    def __init__(self, parts: NetworkParts, *, routes: bool, unsafe: Callable[[], bool]) -> None:
        """Begin."""
        port_of = {spec: parts.ports[spec.channel or parts.spec.channel] for spec in parts.spec.frames}
        self._frames = [
            CyclicFrame(parts.life, port_of[spec], spec, lambda: True, unsafe)
            for spec in parts.spec.frames
            if spec.inhibit_bit is not None
        ]
        for frame in self._frames:
            frame.start()
        self._routes = open_routes(parts) if routes else []

    def state(self, now_ns: int) -> State:
        """Return the states of frames and routes."""
        return tuple(tuple(part.state(now_ns) for part in each) for each in (self._frames, self._routes))
