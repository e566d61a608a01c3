"""The watchdog of one ECU: resets what stands still, and remembers why for the boot manager.

A running program kicks it all the time; that is not played out. Only a program that stands still matters: the core
locks up and executes nothing more, and the watchdog bites once its window is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.core.clock import NS_PER_MS
from bench.core.continuing import State, left_ns
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.wire.image_behaviour import Behaviour, ImageBehaviour
from ecu_sim.personality.watchdog import WatchdogRules

WATCHDOG, CRASH, HANGS = "watchdog", "crash", "hangs"


@dataclass(frozen=True, slots=True)
class Bite:
    """What the reset register says: `watchdog` or `crash`, and the bank whose image ran (None: the bootloader)."""

    cause: str
    bank: str | None


class Watchdog:
    """It has power whenever the ECU has; the register is read, and so cleared, by the boot that follows."""

    def __init__(self, world: World, node: Node, rules: WatchdogRules) -> None:
        self._world, self._node, self._rules = world, node, rules
        self._register: Bite | None = None
        self._bank: str | None = None
        self._hung: Incarnation | None = None
        self._bites_at_ns: int | None = None

    @property
    def part(self) -> str:
        """The part that it watches over."""
        return self._node.part

    def state(self, now_ns: int) -> State:
        """Return the reset register, what runs, and when it bites what stands still."""
        register = None if self._register is None else (self._register.cause, self._register.bank)
        standing = self._node.hangs and self._hung is not None
        return register, self._bank, left_ns(self._bites_at_ns, now_ns) if standing else None

    def take(self) -> Bite | None:
        """Read and clear the reset register."""
        bite, self._register, self._bank = self._register, None, None
        return bite

    def runs(self, life: Incarnation, bank: str | None, behaviour: ImageBehaviour) -> None:
        """Note that the image in `bank`, or the bootloader (None), has begun to run and what it will do."""
        self._bank = bank
        fails: Mapping[Behaviour, Callable[[], None]] = {Behaviour.CRASH: self.crash, Behaviour.HANG: self.hang}
        if behaviour.kind in fails:
            life.call_at_ns(life.now_ns() + behaviour.after_ms * NS_PER_MS, fails[behaviour.kind])

    def crash(self) -> None:
        """Let what runs now end in an exception of the processor, which resets at once."""
        # A crash that was due when the power went is no crash: nothing ran any more.
        if self._node.powered:
            self._world.journal.add(self._node.part, CRASH, self._what())
            self._reset(CRASH)

    def hang(self) -> None:
        """Let what runs now stand still; the watchdog bites after its window unless the power goes first.

        What flash and NVM were doing stops where it stood.
        """
        life = self._node.incarnation
        if life is not None:
            self._world.journal.add(self._node.part, HANGS, self._what())
            self._hung = life
            self._node.hang(HANGS)
            self._bites_at_ns = life.now_ns() + self._rules.window_ms * NS_PER_MS
            self._world.clock.call_at_ns(self._bites_at_ns, self._bite, life)

    def _bite(self, life: Incarnation) -> None:
        # The ECU may have been cut and booted within the window: the new life is not the one that stood still.
        if life is self._hung and self._node.hangs:
            self._reset(WATCHDOG)

    def _reset(self, cause: str) -> None:
        self._hung, self._register = None, Bite(cause, self._bank)
        self._node.reset(cause)

    def _what(self) -> str:
        return "bootloader" if self._bank is None else f"application {self._bank}"
