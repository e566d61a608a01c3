"""NVM: whatever is written, however often power goes in between, each block reads as an old value or the new one."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from ecu_sim.memory.nvm import NvmBlock, NvmDevice
from ecu_sim.memory.torn import RULES, TornReads

RECORD_US, BLOCK_BYTES = 500, (24, 8, 56)
LONGEST_NS = 8 * RECORD_US * 1_000
readings = st.sampled_from(RULES)
blocks, fills, instants = st.integers(0, 2), st.integers(0, 255), st.integers(0, LONGEST_NS)


class NvmMachine(RuleBasedStateMachine):
    """`allowed` holds, for each block, what it may read as: one value, or the old and the new ones of cut writes.

    A torn copy that may read well is weak: the block may go to and fro (`flaps`) until a write comes to its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.world = World(self.loop, 1)
        device = self.device = NvmDevice(self.world, "ecu", RECORD_US)
        self.blocks = [NvmBlock(device, bytes(length)) for length in BLOCK_BYTES]
        self.flaps = [False] * len(self.blocks)
        self.allowed = [{bytes(length)} for length in BLOCK_BYTES]
        self.node = Node(self.world, "ecu", lambda _life: device.begin_boot())
        self.loop.run(self._on())

    async def _on(self) -> None:
        self.node.power_on()

    def teardown(self) -> None:
        self.loop.discard()

    @property
    def life(self) -> Incarnation:
        assert self.node.incarnation is not None
        return self.node.incarnation

    @rule(block=blocks, fill=fills)
    def write(self, block: int, fill: int) -> None:
        content = bytes((fill,)) * BLOCK_BYTES[block]
        self.loop.run(self.blocks[block].store(self.life, content))
        self.allowed[block], self.flaps[block] = {content}, False

    @rule(block=blocks, fill=fills, at_ns=instants, reset=st.booleans(), reads=readings)
    def write_and_cut(self, block: int, fill: int, at_ns: int, reset: bool, reads: TornReads) -> None:
        self._begun_and_cut([(block, fill)], at_ns, reset=reset, reads=reads)

    @rule(block=blocks, fill=fills, reads=readings)
    def write_and_cut_in_its_last_record(self, block: int, fill: int, reads: TornReads) -> None:
        records = (BLOCK_BYTES[block] + 8) // 16
        self._begun_and_cut([(block, fill)], records * RECORD_US * 1_000 - 1, reset=False, reads=reads)

    @rule()
    def boot_again(self) -> None:
        self.node.reset()

    @rule(first=st.tuples(blocks, fills), second=st.tuples(blocks, fills), at_ns=instants, reads=readings)
    def two_writes_at_once_and_cut(
        self, first: tuple[int, int], second: tuple[int, int], at_ns: int, reads: TornReads
    ) -> None:
        if first[0] != second[0]:
            self._begun_and_cut([first, second], at_ns, reset=False, reads=reads)

    def _begun_and_cut(self, writes: list[tuple[int, int]], at_ns: int, *, reset: bool, reads: TornReads) -> None:
        async def story() -> None:
            for block, fill in writes:
                content = bytes((fill,)) * BLOCK_BYTES[block]
                self.life.spawn(self.blocks[block].store(self.life, content), "write")
                self.allowed[block].add(content)
                self.flaps[block] |= reads in (TornReads.VALID, TornReads.CHANGING)
            await self.loop.sleep_ns(at_ns)
            self.device.torn_reads = reads
            (self.node.reset if reset else lambda: self.node.cut("test"))()
            await self.loop.sleep_ns(LONGEST_NS)
            self.node.power_on()

        self.loop.run(story())

    @invariant()
    def block_reads_as_old_or_new_and_stays_so(self) -> None:
        for block, allowed, flaps in zip(self.blocks, self.allowed, self.flaps, strict=True):
            content = block.content
            assert content in allowed, f"{content.hex()} was never written"
            assert block.content == content
            if not flaps:
                allowed.intersection_update({content})


TestNvmMachine = NvmMachine.TestCase
TestNvmMachine.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
