"""The car's starter control: it hears who inhibits a start, and the car obeys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from bench.core.node import Incarnation, Node
from bench.core.records import EXTENDED, InhibitSignal
from bench.core.world import World
from bench.ports.can import CanBus
from bench.wire.can import CanFrame, identifier_of
from ecu_sim.surroundings import Car

PART = "car"


class StarterControl:
    """Listens on every bus that carries an inhibit signal; the last word of each ECU counts."""

    def __init__(
        self, world: World, signals: Mapping[str, InhibitSignal], buses: Mapping[str, CanBus], car: Car
    ) -> None:
        self._signals, self._buses, self._car = signals, buses, car
        self.node = Node(world, PART, self._boot)

    def _boot(self, life: Incarnation) -> None:
        ports = {channel: self._buses[channel].attach(life) for channel in self._channels()}
        for ecu, signal in self._signals.items():
            wanted = identifier_of(signal.can_id, EXTENDED if signal.id_29_bit else 0)
            ports[signal.channel].subscribe(partial(self._heard, ecu, signal.bit), (wanted,))

    def _channels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(signal.channel for signal in self._signals.values()))

    def _heard(self, ecu: str, bit: int, frame: CanFrame, _t_ns: int) -> None:
        at, number = divmod(bit, 8)
        if at < len(frame.data):
            self._car.inhibit(ecu, inhibited=bool(frame.data[at] >> number & 1))
