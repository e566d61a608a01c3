"""The car around the ECUs: its state, who is told of a change, and what an application demands of it."""

from __future__ import annotations

from collections.abc import Callable

from bench.core.car import CarState, CarValue, checked
from bench.core.continuing import State
from bench.core.records import ConditionRecord, Demand
from bench.core.world import World
from bench.wire.preconditions import met

INHIBITED_KEYS = ("engine",)
"""What the car refuses to switch on while an ECU inhibits its start."""


class Car:
    """The state of one vehicle; it outlives every reset. Changes are recorded, and told to who listens."""

    def __init__(self, world: World, state: CarState) -> None:
        self._world = world
        self.state = state
        self._listeners: list[Callable[[], None]] = []
        self._inhibitors: set[str] = set()
        now_ns = world.clock.now_ns()
        for key, value in state.items():
            world.recorder.conditions.append(ConditionRecord(now_ns, key, value, True, "at the beginning"))

    def continuing(self, now_ns: int) -> State:
        """Return the car's values, and who inhibits its start."""
        del now_ns
        return self.state.items(), tuple(sorted(self._inhibitors))

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` after every change, in the order of the asking."""
        self._listeners.append(callback)

    def inhibit(self, ecu: str, *, inhibited: bool) -> None:
        """Take an ECU's word that the car must not be started, until it takes it back."""
        (self._inhibitors.add if inhibited else self._inhibitors.discard)(ecu)

    def change(self, key: str, value: CarValue, cause: str) -> CarValue:
        """See `set`; returns what the value was (`bench.ports.faults.CarControl`)."""
        before: CarValue = getattr(self.state, key)
        self.set(key, value, cause)
        return before

    def set(self, key: str, value: CarValue, cause: str) -> None:
        """Change a value; recorded as refused, and not done, when it would start an inhibited engine.

        ValueError for a key or a value that the car does not have.
        """
        value = checked(key, value)
        refused = key in INHIBITED_KEYS and value is True and bool(self._inhibitors)
        if refused:
            cause = f"{cause}, inhibited by {', '.join(sorted(self._inhibitors))}"
        self._world.condition(ConditionRecord(self._world.clock.now_ns(), key, value, not refused, cause))
        if not refused:
            self.state = self.state.changed(key, value)
            for callback in self._listeners:
                callback()


class Surroundings:
    """What one ECU's application sees of the car before it lets itself be programmed; it outlives resets."""

    def __init__(self, car: Car, demands: tuple[Demand, ...] = ()) -> None:
        self.car, self._demands = car, demands
        self._forced: set[int] = set()

    def state(self, now_ns: int) -> State:
        """Return the conditions that are not met whatever the car's values are."""
        del now_ns
        return tuple(sorted(self._forced))

    @property
    def unmet(self) -> frozenset[int]:
        """The conditions that are not met, as routine 0x0207 names them."""
        state = self.car.state
        return frozenset(demand.condition for demand in self._demands if not met(demand, state)) | self._forced

    def set_condition(self, condition: int, *, met: bool) -> None:
        """Let a condition beside those of the car's state be met or not; ValueError unless it is a byte."""
        if not 0 < condition <= 0xFF:
            raise ValueError(f"condition {condition} is no byte from 1")
        (self._forced.discard if met else self._forced.add)(condition)
