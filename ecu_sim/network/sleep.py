"""Bus sleep: the controller is off, a transceiver waits for a wake-up; waking is a boot, so what woke it is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.records import BUS_SLEEP
from bench.core.world import World
from bench.ports.can import CanBus
from bench.wire.can import CanFrame
from ecu_sim.surroundings import Car


class Sleeper:
    """Whether one ECU sleeps; it outlives the ECU's lives, but not a power cut."""

    def __init__(
        self, world: World, part: str, channels: Mapping[str, CanBus], car: Car, reset: Callable[[str], None]
    ) -> None:
        self._world, self._part, self._channels, self._car, self._reset = world, part, channels, car, reset
        self._falling = False
        self._dozing: Incarnation | None = None
        car.on_change(self._car_changed)

    def state(self, now_ns: int) -> State:
        """Return whether it sleeps."""
        del now_ns
        return (self._dozing is not None and self._dozing.alive,)

    def fall_asleep(self) -> None:
        """End the running life; the next one only waits."""
        self._world.journal.add(self._part, "sleep", "bus sleep")
        self._falling = True
        self._reset(BUS_SLEEP)
        self._falling = False

    def takes(self, life: Incarnation) -> bool:
        """Take a new life when the ECU has just fallen asleep: nothing runs in it. Else it is a boot."""
        self._dozing = life if self._falling else None
        for bus in self._channels.values() if self._falling else ():
            bus.attach(life).subscribe(self._heard)
        return self._falling

    def _heard(self, frame: CanFrame, _t_ns: int) -> None:
        self._wake(f"a frame 0x{frame.can_id:X}")

    def _car_changed(self) -> None:
        if self._dozing is not None and self._dozing.alive and self._car.state.ignition:
            self._wake("ignition")

    def _wake(self, cause: str) -> None:
        self._world.journal.add(self._part, "wake", cause)
        self._dozing = None
        self._reset("woken")
