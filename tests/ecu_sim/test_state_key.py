"""Equal hashes go on equally: all short stories of cuts, in every reading, and what is read in later boots."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from bench.core.loop import VirtualLoop
from bench.core.node import Node
from bench.core.world import World
from ecu_sim.memory.flash import EccError, Flash
from ecu_sim.memory.nvm import NvmBlock, NvmDevice
from ecu_sim.memory.torn import RULES, TornReads
from tests.ecu_sim.chips import ERASE_NS, PROGRAM_NS, UNIT, Chip, region, run

LONGEST = 3
BOOTS = 3
Step = tuple[str, bytes, TornReads]
Seen = tuple[Any, ...]


def stories(steps: list[Step]) -> list[tuple[Step, ...]]:
    return [story for length in range(LONGEST + 1) for story in product(steps, repeat=length)]


def each_hash_means_one_thing(seen: dict[tuple[Step, ...], tuple[object, Seen]], at_least: int) -> None:
    """Stories with equal hashes are seen alike; and enough of them have equal hashes for that to say something."""
    first: dict[object, tuple[tuple[Step, ...], Seen]] = {}
    for story, (state, what) in seen.items():
        told, known = first.setdefault(state, (story, what))
        assert what == known, f"{story} and {told} have one hash and go on differently"
    assert len(seen) - len(first) >= at_least


# Flash ----------------------------------------------------------------------------------------------

FLASH_STEPS: list[Step] = [
    *(("tear", fill, reads) for fill in (b"\x00", b"\x55") for reads in RULES),
    *(("tear_erase", b"", reads) for reads in RULES),
    ("erase", b"", TornReads.MIXED),
    ("flip", b"", TornReads.MIXED),
    ("boot", b"", TornReads.MIXED),
]


async def change_flash(chip: Chip, step: Step) -> None:
    what, fill, reads = step
    flash = chip.flash
    if what == "boot":
        chip.node.reset()
    elif what == "flip":
        flash.flip_bit("app", 1, 0)
    elif what == "erase":
        await flash.erase(chip.life, "app", 0, 1)
    elif what == "tear_erase" or flash.is_erased("app", 0, UNIT):
        flash.torn_reads = reads
        half_ns = (PROGRAM_NS if what == "tear" else ERASE_NS) // 2
        chip.start(
            lambda life: (
                flash.program(life, "app", 0, fill * UNIT) if what == "tear" else flash.erase(life, "app", 0, 1)
            )
        )
        await chip.after_ns(half_ns)
        chip.node.cut("test")
        chip.node.power_on()


def readings(flash: Flash, boots: int) -> Seen:
    """What is read now and in the boots that follow."""
    found: list[object] = [flash.cells("app", 0, 64), flash.torn("app")]
    for _ in range(boots):
        try:
            found.append(flash.read("app", 0, 64))
        except EccError:
            found.append("error")
        found.append(flash.raw("app", 0, 64))
        flash.begin_boot()
    return tuple(found)


def test_flash_states_with_equal_hashes_read_alike_in_every_boot_that_follows() -> None:
    def told(story: tuple[Step, ...]) -> tuple[object, Seen]:
        async def tell(chip: Chip) -> tuple[object, Seen]:
            for step in story:
                await change_flash(chip, step)
            state, snapshot = chip.flash.state_value(), chip.flash.snapshot()
            other = Flash(chip.world, "ecu", [region("app", 64)])
            other.restore(snapshot)
            other.begin_boot()
            chip.node.reset()
            seen = readings(chip.flash, BOOTS)
            assert readings(other, BOOTS) == seen, f"{story}: a restored flash goes on differently"
            return state, seen

        found: tuple[object, Seen] = run(tell, regions=[region("app", 64)])
        return found

    each_hash_means_one_thing({story: told(story) for story in stories(FLASH_STEPS)}, 1000)


# NVM ------------------------------------------------------------------------------------------------

RECORD_US, BLOCK_BYTES = 500, 24
RECORDS = (BLOCK_BYTES + 8) // 16
NVM_STEPS: list[Step] = [
    *(("cut_last", fill, reads) for fill in (b"\x01", b"\x02") for reads in RULES),
    *(("cut_first", b"\x01", reads) for reads in (TornReads.MIXED, TornReads.VALID)),
    ("write", b"\x01", TornReads.MIXED),
    ("write", b"\x02", TornReads.MIXED),
    ("boot", b"", TornReads.MIXED),
]


class Chips:
    """A small memory with one block, and the node that writes to it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.device = NvmDevice(world, "ecu", RECORD_US)
        self.block = NvmBlock(self.device, bytes(BLOCK_BYTES))
        self.node = Node(world, "ecu", lambda _life: self.device.begin_boot())
        self.node.power_on()

    async def change(self, step: Step) -> None:
        what, fill, reads = step
        life, content = self.node.incarnation, fill * BLOCK_BYTES
        assert life is not None
        if what == "boot":
            self.node.reset()
        elif what == "write":
            await self.block.store(life, content)
        else:
            self.device.torn_reads = reads
            life.spawn(self.block.store(life, content), "store")
            records = RECORDS if what == "cut_last" else 1
            await self.world.clock.sleep_ns(records * RECORD_US * 1_000 - 1_000)
            self.node.cut("test")
            self.node.power_on()

    async def seen(self) -> Seen:
        """What counts in the boots that follow, also after one more write that is cut, and after one that is not."""
        found: list[object] = []
        for step in (("boot", b"", TornReads.MIXED),) * 2 + (("cut_last", b"\x03", TornReads.MIXED),):
            await self.change(step)
            found += [self.block.content, self.device.unreadable]
        await self.change(("write", b"\x04", TornReads.MIXED))
        return (*found, self.block.content, self.device.unreadable)


def test_nvm_states_with_equal_hashes_count_alike_in_every_boot_that_follows() -> None:
    def told(story: tuple[Step, ...]) -> tuple[object, Seen]:
        loop = VirtualLoop()
        world = World(loop, 1)

        async def tell() -> tuple[object, Seen]:
            chips, other = Chips(world), Chips(world)
            for step in story:
                await chips.change(step)
            state = chips.device.state_value()
            other.device.restore(chips.device.snapshot())
            seen = await chips.seen()
            assert await other.seen() == seen, f"{story}: a restored memory goes on differently"
            return state, seen

        try:
            found: tuple[object, Seen] = loop.run(tell())
            return found
        finally:
            loop.discard()

    each_hash_means_one_thing({story: told(story) for story in stories(NVM_STEPS)}, 1000)


@pytest.mark.parametrize("reads", [TornReads.VALID, TornReads.CHANGING, TornReads.INVALID, TornReads.MIXED])
def test_torn_cell_with_a_flipped_bit_reads_and_hashes_otherwise(reads: TornReads) -> None:
    def told(*more: Step) -> tuple[int, bytes]:
        async def tell(chip: Chip) -> tuple[int, bytes]:
            for step in (("tear", b"\x00", reads), *more):
                await change_flash(chip, step)
            return chip.flash.state_value(), chip.flash.read("app", 0, UNIT)

        found: tuple[int, bytes] = run(tell, regions=[region("app", 64)])
        return found

    plain, flipped = told(), told(("flip", b"", TornReads.MIXED))
    assert plain[0] != flipped[0]
    assert plain[1] != flipped[1]
