"""The voltage at an ECU over time, and what the ECU makes of it: brown-out, undervoltage, refusal of programming.

The supply is physics and outlives every life; the monitor is a part of one life. All is computed at events: the
instants at which a waveform crosses a threshold are known in advance.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.core.clock import NS_PER_MS, Timer
from bench.core.continuing import State, called, left_ns
from bench.core.node import Incarnation, Node
from bench.core.records import VoltageRecord
from bench.core.waveform import STEADY, Waveform
from bench.core.world import World
from bench.wire.supply_rules import SupplyRules
from bench.wire.uds import Nrc


def _nothing() -> None:
    """Nobody wants to know."""


class Supply:
    """What feeds one ECU: a line that can be cut, a waveform upon it, and a capacitor that holds for a while.

    A cut at the chip's pins, without the capacitor, is `Node.cut`.
    """

    def __init__(self, world: World, node: Node, rules: SupplyRules) -> None:
        self._world, self._node, self.rules = world, node, rules
        self._cuts = 0
        self._waveform, self._origin_ns = STEADY, 0
        self._dies_ns: int | None = None
        self._cause = ""
        self._brown_out: Callable[[], None] = _nothing
        self._took_down = False
        self._timer: Timer | None = None
        self._watcher: Callable[[], None] | None = None

    @property
    def part(self) -> str:
        """The part that it feeds."""
        return self._node.part

    def state(self, now_ns: int) -> State:
        """Return line, waveform and capacitor, and what the next brown-out will do."""
        waveform = () if self._waveform is STEADY else (self._waveform.points, now_ns - self._origin_ns)
        capacitor = left_ns(self._dies_ns, now_ns), self._cause, self._took_down
        return self._cuts, waveform, capacitor, called(self._brown_out, now_ns)

    # What the ECU sees ------------------------------------------------------------------------------

    @property
    def _connected(self) -> bool:
        return not self._cuts

    @property
    def millivolts(self) -> int:
        """The voltage on the line now."""
        return self._waveform.at(self._world.clock.now_ns() - self._origin_ns) if self._connected else 0

    def refusal(self) -> Nrc | None:
        """Return the code that refuses programming at this voltage, or None."""
        millivolts = self.millivolts
        if millivolts < self.rules.program_min_mv:
            return Nrc.VOLTAGE_TOO_LOW
        return Nrc.VOLTAGE_TOO_HIGH if millivolts > self.rules.program_max_mv else None

    def next_crossing(self, level_mv: int) -> int | None:
        """Return when the line will next cross a level, as things stand; None when it will not."""
        if not self._connected:
            return None
        found = self._waveform.next_crossing(level_mv, self._world.clock.now_ns() - self._origin_ns)
        return None if found is None else found + self._origin_ns

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have the running life told when a waveform begins or the line is cut or closed; one watcher at a time."""
        self._watcher = watcher

    # What happens to it -----------------------------------------------------------------------------

    def apply(self, waveform: Waveform, name: str, *, brown_out: Callable[[], None] | None = None) -> None:
        """Let the voltage follow `waveform` from now on; after its last point it stays there.

        `brown_out` is called just before each brown-out that the waveform causes.
        """
        self._brown_out = brown_out or _nothing
        self._world.journal.add(self._node.part, "supply", name)
        self._waveform, self._origin_ns = waveform, self._world.clock.now_ns()
        points = tuple((self._origin_ns + t_ns, millivolts) for t_ns, millivolts in waveform.points)
        self._world.voltage(VoltageRecord(self._origin_ns, self._node.part, points))
        self._changed(f"brown-out in {name}")

    def cut(self, cause: str) -> None:
        """Cut the line: the ECU loses power once the capacitor is empty, at once when there is none.

        Cuts may overlap (two faults, or a fault and a power cycle that the tester asked for).
        """
        # Counted: with a flag the end of the first cut would bring power back in the middle of the second.
        self._cuts += 1
        self._changed(cause)

    def restore(self, cause: str) -> None:
        """End one cut. The last one closes the line; an ECU without power boots when the voltage is high enough."""
        self._cuts = max(0, self._cuts - 1)
        if self._cuts:
            return
        self._took_down = not self._node.supplied
        self._changed(cause)

    def _changed(self, cause: str) -> None:
        if self._dies_ns is None:
            self._cause = cause
        self._look()
        if self._watcher is not None:
            self._watcher()

    def _look(self) -> None:
        """Bring the ECU's power up to date and wait for the next instant that matters."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_ns, rules = self._world.clock.now_ns(), self.rules
        if self._node.supplied:
            self._discharge(now_ns)
        elif self._took_down and self.millivolts >= rules.power_on_mv:
            self._took_down, self._dies_ns = False, None
            self._node.power_on(self._cause if self._waveform is STEADY else "voltage is back")
        due = self.next_crossing(rules.brown_out_mv if self._node.supplied else rules.power_on_mv)
        instants = [t_ns for t_ns in (due, self._dies_ns) if t_ns is not None and t_ns > now_ns]
        if instants:
            self._timer = self._world.clock.call_at_ns(min(instants), self._look)

    def _discharge(self, now_ns: int) -> None:
        """Let the capacitor feed the ECU while the voltage is too low; take the power away when it is empty."""
        # Back before the capacitor is empty: nobody has noticed anything.
        if self.millivolts >= self.rules.brown_out_mv:
            self._dies_ns = None
            return
        if self._dies_ns is None:
            self._dies_ns = now_ns + self.rules.hold_ms * NS_PER_MS
        if self._dies_ns <= now_ns:
            self._dies_ns, self._took_down = None, True
            if self._connected:
                self._brown_out()
            self._node.cut(self._cause)


class VoltageMonitor:
    """What one life notices of its supply: a voltage below the threshold for the debounce time, and its end."""

    def __init__(self, life: Incarnation, supply: Supply, report: Callable[[bool], None], *, stored: bool) -> None:
        self._life, self._supply, self._report = life, supply, report
        self._low = stored
        """What was last reported; a DTC that is stored wants a pass."""
        self._since: tuple[bool, int] | None = None
        self._timers: list[Timer] = []
        supply.watch(life.bound(self._look))
        self._look()

    def state(self, now_ns: int) -> State:
        """Return what was last reported, and since when it is otherwise."""
        return self._low, None if self._since is None else (self._since[0], now_ns - self._since[1])

    def _look(self) -> None:
        """Compare, and wait for the end of the debounce and for the next crossing."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        now_ns, rules = self._life.now_ns(), self._supply.rules
        low = self._supply.millivolts < rules.undervoltage_mv
        if low == self._low:
            self._since = None
        elif self._since is None or self._since[0] != low:
            self._since = low, now_ns
        if self._since is not None and now_ns >= self._since[1] + rules.undervoltage_debounce_ms * NS_PER_MS:
            self._low, self._since = low, None
            self._report(low)
        due = [self._supply.next_crossing(rules.undervoltage_mv)]
        if self._since is not None:
            due.append(self._since[1] + rules.undervoltage_debounce_ms * NS_PER_MS)
        self._timers += [self._life.call_at_ns(t_ns, self._look) for t_ns in due if t_ns is not None]
