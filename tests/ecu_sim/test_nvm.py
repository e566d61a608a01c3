"""The ECU's small memory keeps the old value through a cut in the middle of a write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.loop import VirtualLoop
from bench.core.node import Node
from bench.core.world import World
from ecu_sim.memory.nvm import COPY_BYTES, Nvm, NvmBlock, NvmRecord, decode_copy, encode_copy

RECORD_US = 500
WRITE_NS = COPY_BYTES // 16 * RECORD_US * 1_000
OLD = NvmRecord(active_bank="A", release_floor=7)

records = st.builds(
    NvmRecord,
    active_bank=st.sampled_from("AB"), trial_bank=st.sampled_from([None, "A", "B"]), trial_boots=st.integers(0, 255),
    release_floor=st.integers(0, 2**32 - 1), security_attempts=st.integers(0, 255),
    fingerprint=st.binary(min_size=10, max_size=10),
)  # fmt: skip


@given(record=records, sequence=st.integers(0, 2**32 - 1))
def test_record_survives_encoding(record: NvmRecord, sequence: int) -> None:
    found = decode_copy(encode_copy(sequence, record.encode()))
    assert found is not None
    assert (found[0], NvmRecord.decode(found[1])) == (sequence, record)


@given(record=records, at=st.integers(0, COPY_BYTES * 8 - 1))
def test_copy_with_one_wrong_bit_does_not_count(record: NvmRecord, at: int) -> None:
    raw = bytearray(encode_copy(1, record.encode()))
    raw[at // 8] ^= 1 << at % 8
    assert decode_copy(bytes(raw)) is None


def run_writes(cut_ns: int | None) -> tuple[NvmRecord, int]:
    """Store twice, the second write cut after `cut_ns`; what is then read, and the time it took."""
    loop = VirtualLoop()
    world = World(loop, 1)
    nvm = Nvm(world, "ecu", OLD, RECORD_US)
    node = Node(world, "ecu", lambda _life: None)

    async def main() -> Any:
        node.power_on()
        life = node.incarnation
        assert life is not None
        await nvm.store(life, replace(nvm.record, trial_bank="B"))
        begun_ns = loop.now_ns()
        life.spawn(nvm.store(life, replace(nvm.record, release_floor=9)), "store")
        await loop.sleep_ns(WRITE_NS + 1 if cut_ns is None else cut_ns)
        node.cut("test")
        await loop.sleep_ns(1_000_000_000)
        return nvm.record, begun_ns

    try:
        found: tuple[NvmRecord, int] = loop.run(main())
        return found
    finally:
        loop.discard()


def test_stored_record_is_read_back_and_takes_time() -> None:
    record, first_ns = run_writes(None)
    assert record == replace(OLD, trial_bank="B", release_floor=9)
    assert first_ns == WRITE_NS


@pytest.mark.parametrize("cut_ns", [0, 1, 250_000, 500_000, 700_000, 1_000_000, 1_499_999])
def test_cut_in_the_middle_of_a_write_keeps_the_old_value(cut_ns: int) -> None:
    record, _ = run_writes(cut_ns)
    assert record == replace(OLD, trial_bank="B")


def test_write_after_a_torn_one_counts() -> None:
    loop = VirtualLoop()
    world = World(loop, 1)
    nvm = Nvm(world, "ecu", OLD, RECORD_US)
    node = Node(world, "ecu", lambda _life: None)

    async def main() -> None:
        for floor in range(8, 14):
            node.power_on()
            life = node.incarnation
            assert life is not None
            life.spawn(nvm.store(life, replace(nvm.record, release_floor=99)), "torn")
            await loop.sleep_ns(700_000)
            node.cut("test")
            node.power_on()
            life = node.incarnation
            assert life is not None
            await nvm.store(life, replace(nvm.record, release_floor=floor))
            assert nvm.record.release_floor == floor

    loop.run(main())
    loop.discard()


def test_two_blocks_that_are_written_at_once_take_turns() -> None:
    loop = VirtualLoop()
    world = World(loop, 1)
    nvm = Nvm(world, "ecu", OLD, RECORD_US)
    other = NvmBlock(nvm.device, bytes(24))
    node = Node(world, "ecu", lambda _life: None)

    async def main() -> list[bool]:
        node.power_on()
        life = node.incarnation
        assert life is not None
        life.spawn(nvm.store(life, replace(nvm.record, trial_bank="B")), "record")
        life.spawn(other.store(life, b"x" * 24), "block")
        await loop.sleep_ns(WRITE_NS + 1)
        first = [nvm.record.trial_bank == "B", other.content == bytes(24)]
        await loop.sleep_ns(2 * RECORD_US * 1_000)
        return [*first, other.content == b"x" * 24]

    try:
        assert loop.run(main()) == [True, True, True]
    finally:
        loop.discard()
