"""Flash against a model array: programs, erases, faults, and power that goes at any instant."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from ecu_sim.memory.flash import Flash, FlashFault
from ecu_sim.memory.pages import Cell
from ecu_sim.personality.region import FlashRegion, equal_sectors

UNIT, UNITS_PER_SECTOR, SECTORS = 16, 4, 4
SECTOR, UNITS = UNIT * UNITS_PER_SECTOR, UNITS_PER_SECTOR * SECTORS
PROGRAM_NS, ERASE_NS = 1_000, 50_000
BLANK = b"\xff" * UNIT
units, sectors = st.integers(0, UNITS - 1), st.integers(0, SECTORS - 1)
instants = st.integers(0, 4 * ERASE_NS + 10)


def _region(name: str, *, protected: bool = False) -> FlashRegion:
    return FlashRegion(
        name=name, base_address=0, size_bytes=SECTOR * SECTORS, unit_bytes=UNIT, program_ns=PROGRAM_NS,
        runs=equal_sectors(SECTOR * SECTORS, SECTOR, ERASE_NS), protected=protected,
    )  # fmt: skip


class FlashMachine(RuleBasedStateMachine):
    """`held` is what each unit must read as, None where it was torn; `wear` how often each sector was erased."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.world = World(self.loop, 1)
        self.flash = Flash(self.world, "ecu", [_region("app"), _region("boot", protected=True)])
        self.node = Node(self.world, "ecu", lambda _life: None)
        self.held: list[bytes | None] = [BLANK] * UNITS
        self.cells = [Cell.ERASED] * UNITS
        self.wear = [0] * SECTORS
        self.faults = 0

    @initialize()
    def begin(self) -> None:
        self.node.power_on()

    def teardown(self) -> None:
        self.loop.discard()

    @property
    def life(self) -> Incarnation:
        assert self.node.incarnation is not None
        return self.node.incarnation

    def _whole(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do all of it; return whether the driver took it."""
        try:
            self.loop.run(work)
        except FlashFault:
            self.faults += 1
            return False
        return True

    def _cut(self, work: Coroutine[Any, Any, None], after_ns: int, *, reset: bool) -> None:
        """Begin it and take its power (or reset it) after that time; a refusal is as good."""

        async def story() -> None:
            async def task() -> None:
                try:
                    await work
                except FlashFault:
                    self.faults += 1

            self.life.spawn(task(), "driver")
            await self.loop.sleep_ns(after_ns)
            (self.node.reset if reset else lambda: self.node.cut("test"))()
            await self.loop.sleep_ns(4 * ERASE_NS)
            self.node.power_on()

        self.loop.run(story())

    def _may_program(self, first: int, count: int) -> bool:
        return first + count <= UNITS and all(cell is Cell.ERASED for cell in self.cells[first : first + count])

    def _model_program(self, first: int, data: bytes, done: int, *, torn: bool = False) -> None:
        for n in range(done):
            self.held[first + n], self.cells[first + n] = data[n * UNIT : (n + 1) * UNIT], Cell.PROGRAMMED
        if torn:
            self.held[first + done], self.cells[first + done] = None, Cell.TORN

    def _model_erase(self, first: int, done: int, *, torn: bool = False) -> None:
        for unit in range(first * UNITS_PER_SECTOR, (first + done) * UNITS_PER_SECTOR):
            self.held[unit], self.cells[unit] = BLANK, Cell.ERASED
        if torn:
            begin = (first + done) * UNITS_PER_SECTOR
            for unit in range(begin, begin + UNITS_PER_SECTOR):
                self.held[unit], self.cells[unit] = None, Cell.TORN

    # Rules ------------------------------------------------------------------------------------------

    @rule(first=units, data=st.binary(min_size=UNIT, max_size=4 * UNIT).map(lambda raw: raw[: len(raw) // UNIT * UNIT]))
    def program(self, first: int, data: bytes) -> None:
        allowed = self._may_program(first, len(data) // UNIT)
        assert self._whole(self.flash.program(self.life, "app", first * UNIT, data)) is allowed
        if allowed:
            self._model_program(first, data, len(data) // UNIT)

    @rule(
        first=units,
        count=st.integers(1, 4),
        fill=st.binary(min_size=1, max_size=1),
        at_ns=instants,
        reset=st.booleans(),
    )
    def program_cut(self, first: int, count: int, fill: bytes, at_ns: int, reset: bool) -> None:
        at_ns %= count * PROGRAM_NS + 10
        data, allowed = fill * UNIT * count, self._may_program(first, count)
        self._cut(self.flash.program(self.life, "app", first * UNIT, data), at_ns, reset=reset)
        if allowed:
            done, into_ns = min(divmod(at_ns, PROGRAM_NS), (count, 0))
            self._model_program(first, data, done, torn=done < count and into_ns > 0)

    @rule(first=sectors, count=st.integers(1, 2))
    def erase(self, first: int, count: int) -> None:
        allowed = first + count <= SECTORS
        assert self._whole(self.flash.erase(self.life, "app", first, count)) is allowed
        if allowed:
            self._worn(first, count)
            self._model_erase(first, count)

    @rule(first=sectors, count=st.integers(1, 2), at_ns=instants, reset=st.booleans())
    def erase_cut(self, first: int, count: int, at_ns: int, reset: bool) -> None:
        at_ns %= count * ERASE_NS + 10
        self._cut(self.flash.erase(self.life, "app", first, count), at_ns, reset=reset)
        if first + count <= SECTORS:
            self._worn(first, count)
            done, into_ns = min(divmod(at_ns, ERASE_NS), (count, 0))
            self._model_erase(first, done, torn=done < count and into_ns > 0)

    def _worn(self, first: int, count: int) -> None:
        for sector in range(first, first + count):
            self.wear[sector] += 1

    @rule(offset=st.integers(1, UNIT - 1))
    def program_beside_a_unit(self, offset: int) -> None:
        assert not self._whole(self.flash.program(self.life, "app", offset, BLANK))

    @rule(erase=st.booleans())
    def touch_what_is_protected(self, erase: bool) -> None:
        work = self.flash.erase(self.life, "boot", 0, 1) if erase else self.flash.program(self.life, "boot", 0, BLANK)
        assert not self._whole(work)

    # What must hold always --------------------------------------------------------------------------

    @invariant()
    def every_unit_is_what_the_model_says(self) -> None:
        assert list(self.flash.cells("app", 0, UNITS * UNIT)) == self.cells
        for unit, expected in enumerate(self.held):
            if expected is not None:
                assert self.flash.read("app", unit * UNIT, UNIT) == expected, f"unit {unit}"

    @invariant()
    def torn_units_are_told_and_others_are_not(self) -> None:
        told = {at // UNIT + n for at, length in self.flash.torn("app") for n in range(length // UNIT)}
        assert told == {unit for unit, cell in enumerate(self.cells) if cell is Cell.TORN}

    @invariant()
    def faults_and_wear_are_counted_and_the_protected_region_is_blank(self) -> None:
        assert len(self.flash.driver_faults) == self.faults
        assert [self.flash.wear.get(("app", sector), 0) for sector in range(SECTORS)] == self.wear
        assert self.flash.read("boot", 0, SECTOR * SECTORS) == b"\xff" * SECTOR * SECTORS

    @invariant()
    def digest_is_that_of_what_is_read(self) -> None:
        if Cell.TORN not in self.cells:
            twice = [self.flash.digest("app", 0, UNITS * UNIT) for _ in range(2)]
            assert twice[0] == twice[1]


TestFlashMachine = FlashMachine.TestCase
TestFlashMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
