"""Snapshots give back bytes and hash after anything; equal states hash equal, whatever torn cells read as."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.loop import VirtualLoop
from bench.core.node import Node
from bench.core.world import World
from ecu_sim.memory.flash import Flash
from ecu_sim.memory.nvm import Nvm, NvmBlock, NvmRecord
from ecu_sim.memory.pages import RegionStore
from ecu_sim.memory.torn import RULES, TornReads
from ecu_sim.personality.region import SectorRun
from tests.ecu_sim.chips import ERASE_NS, PROGRAM_NS, UNIT, Chip, region, run, uneven

REGIONS = (uneven(), region("data", endurance_cycles=50))
UNITS = {"app": 48, "data": 16}
SECTORS = {"app": 4, "data": 4}

names = st.sampled_from(sorted(UNITS))
steps = st.one_of(
    st.tuples(st.just("program"), names, st.integers(0, 15), st.integers(1, 3), st.binary(min_size=1, max_size=1)),
    st.tuples(st.just("erase"), names, st.integers(0, 3), st.just(1), st.just(b"")),
    st.tuples(st.just("tear_program"), names, st.integers(0, 15), st.sampled_from(RULES), st.just(b"\x55")),
    st.tuples(st.just("tear_erase"), names, st.integers(0, 3), st.sampled_from(RULES), st.just(b"")),
    st.tuples(st.just("flip"), names, st.integers(0, 255), st.integers(0, 7), st.just(b"")),
    st.tuples(st.just("boot"), names, st.just(0), st.just(0), st.just(b"")),
)
Step = tuple[str, str, int, Any, bytes]


async def take(chip: Chip, step: Step) -> None:
    """Do one step where the driver allows it."""
    what, name, at, more, fill = step
    if what == "program" and chip.flash.is_erased(name, at * UNIT, more * UNIT if at + more <= 16 else 0):
        if at + more <= 16:
            await chip.flash.program(chip.life, name, at * UNIT, fill * (more * UNIT))
    elif what == "erase":
        await chip.flash.erase(chip.life, name, at, 1)
    elif what == "tear_program" and chip.flash.is_erased(name, at * UNIT, UNIT):
        await cut_in(chip, more, PROGRAM_NS // 2, lambda life: chip.flash.program(life, name, at * UNIT, fill * UNIT))
    elif what == "tear_erase":
        await cut_in(chip, more, ERASE_NS // 2, lambda life: chip.flash.erase(life, name, at, 1))
    elif what == "flip":
        chip.flash.flip_bit(name, at, more)
    elif what == "boot":
        chip.node.reset()


async def cut_in(chip: Chip, reads: TornReads, after_ns: int, work: Callable[[Any], Awaitable[None]]) -> None:
    chip.flash.torn_reads = reads
    chip.start(work)
    await chip.after_ns(after_ns)
    chip.node.cut("test")
    chip.node.power_on()


def everything(flash: Flash) -> object:
    """All that can be asked of a flash."""
    regions = tuple(
        (flash.raw(name, 0, n * UNIT), flash.cells(name, 0, n * UNIT), flash.torn(name)) for name, n in UNITS.items()
    )
    return regions, dict(flash.wear), flash.programs, flash.erases, tuple(flash.driver_faults), flash.state_value()


@settings(max_examples=150, deadline=None)
@given(before=st.lists(steps, max_size=12), after=st.lists(steps, max_size=12))
def test_restored_snapshot_gives_identical_bytes_cells_counts_and_hash(before: list[Step], after: list[Step]) -> None:
    async def story(chip: Chip) -> None:
        for step in before:
            await take(chip, step)
        snapshot, was = chip.flash.snapshot(), everything(chip.flash)
        for step in after:
            await take(chip, step)
        went_on = everything(chip.flash)
        other = Flash(chip.world, "other", REGIONS)
        other.restore(snapshot)
        assert everything(other) == was, "another flash can be made from it"
        assert everything(chip.flash) == went_on, "which changes nothing in the first one"
        for _ in range(2):
            chip.flash.restore(snapshot)
            assert everything(chip.flash) == was
            for step in after:
                await take(chip, step)
            if not after:
                await chip.flash.erase(chip.life, "data", 0, 1)
            chip.flash.state_value()
            chip.flash.flip_bit("app", 3, 1)
        chip.flash.restore(snapshot)
        assert everything(chip.flash) == was, "nothing that came between changed the snapshot"

    run(story, regions=REGIONS)


@settings(max_examples=100, deadline=None)
@given(story_steps=st.lists(steps, max_size=20))
def test_incremental_hash_is_that_of_a_flash_that_is_hashed_once(story_steps: list[Step]) -> None:
    def hashes(*, often: bool) -> int:
        async def story(chip: Chip) -> int:
            for step in story_steps:
                await take(chip, step)
                if often:
                    chip.flash.state_value()
            return chip.flash.state_value()

        found: int = run(story, regions=REGIONS)
        return found

    assert hashes(often=True) == hashes(often=False)


@settings(max_examples=100, deadline=None)
@given(
    writes=st.lists(st.tuples(names, st.integers(0, 15), st.binary(min_size=1, max_size=1)), max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_equal_states_reached_in_different_orders_hash_equal(writes: list[tuple[str, int, bytes]], order: Any) -> None:
    chosen = list({(name, unit): (name, unit, fill) for name, unit, fill in writes}.values())

    def state(of: list[tuple[str, int, bytes]]) -> int:
        async def story(chip: Chip) -> int:
            for name, unit, fill in of:
                await chip.flash.program(chip.life, name, unit * UNIT, fill * UNIT)
            return chip.flash.state_value()

        found: int = run(story, regions=REGIONS)
        return found

    shuffled = chosen.copy()
    order.shuffle(shuffled)
    assert state(chosen) == state(shuffled)
    assert state(chosen) != state([*chosen[1:]]) or not chosen


def torn_state(reads: TornReads, seed: int, *, boots: int = 1) -> tuple[int, bytes]:
    """The hash and the bytes after a cut in a program."""

    async def story(chip: Chip) -> tuple[int, bytes]:
        await cut_in(
            chip, reads, PROGRAM_NS + PROGRAM_NS // 2, lambda life: chip.flash.program(life, "app", 0, bytes(3 * UNIT))
        )
        for _ in range(boots):
            chip.node.reset()
        return chip.flash.state_value(), chip.flash.raw("app", 0, 3 * UNIT)

    found: tuple[int, bytes] = run(story, seed, regions=REGIONS)
    return found


def test_hash_does_not_depend_on_what_a_torn_unit_reads_as() -> None:
    first, other = torn_state(TornReads.MIXED, 1), torn_state(TornReads.MIXED, 2)
    assert first[1] != other[1]
    assert first[0] == other[0]


def test_hash_tells_which_of_two_boots_a_changing_unit_is_in() -> None:
    once, twice, thrice = (torn_state(TornReads.CHANGING, 1, boots=boots) for boots in (1, 2, 3))
    assert once[1] != twice[1]
    assert once[0] != twice[0]
    assert once == thrice


def test_digest_of_what_is_read_tells_torn_units_apart_that_read_differently() -> None:
    """The cache of digests goes by content; a state hash, in which torn units are symbols, does not stand for it."""

    def digest(seed: int) -> str:
        async def story(chip: Chip) -> str:
            program = lambda life: chip.flash.program(life, "app", 0, bytes(3 * UNIT))  # noqa: E731
            await cut_in(chip, TornReads.MIXED, PROGRAM_NS + PROGRAM_NS // 2, program)
            chip.flash.state_value()
            return chip.flash.digest("app", 0, 3 * UNIT)

        found: str = run(story, seed, regions=REGIONS)
        return found

    assert digest(1) != digest(2)


def test_hash_tells_a_torn_unit_from_an_erased_and_from_a_programmed_one() -> None:
    """And its rule: an ECU goes on otherwise when the unit reads otherwise."""

    async def program(chip: Chip) -> int:
        await chip.flash.program(chip.life, "app", 0, bytes(2 * UNIT))
        return chip.flash.state_value()

    async def program_less(chip: Chip) -> int:
        await chip.flash.program(chip.life, "app", 0, bytes(UNIT))
        return chip.flash.state_value()

    states = {torn_state(reads, 1)[0] for reads in RULES}
    assert len(states) == len(RULES)
    assert not states & {run(program, regions=REGIONS), run(program_less, regions=REGIONS)}


def test_erased_flash_costs_nothing_and_hashes_as_new() -> None:
    async def story(chip: Chip) -> None:
        new = chip.flash.state_value()
        await chip.flash.program(chip.life, "app", 0, bytes(4 * UNIT))
        assert chip.flash.snapshot().stores[0].pages
        await chip.flash.erase(chip.life, "app", 0, 2)
        assert not chip.flash.snapshot().stores[0].pages
        assert chip.flash.state_value() == new

    run(story, regions=REGIONS)


def test_wear_counts_for_the_state_where_an_endurance_is_rated_only() -> None:
    async def story(chip: Chip) -> None:
        new = chip.flash.state_value()
        await chip.flash.erase(chip.life, "app", 0, 1)
        assert chip.flash.state_value() == new
        await chip.flash.erase(chip.life, "data", 0, 1)
        assert chip.flash.state_value() != new

    run(story, regions=REGIONS)


def test_snapshot_and_hash_are_refused_while_an_operation_runs() -> None:
    async def story(chip: Chip) -> None:
        chip.start(lambda life: chip.flash.erase(life, "app", 0, 1))
        await chip.after_ns(10)
        for ask in (chip.flash.snapshot, chip.flash.state_value):
            with pytest.raises(ValueError, match="while an operation runs"):
                ask()

    run(story, regions=REGIONS)


def test_pages_are_shared_between_snapshots_but_for_those_that_changed() -> None:
    async def story(chip: Chip) -> None:
        chip.flash.preload("big", 0, bytes(8 * 4096))
        first = chip.flash.snapshot().stores[0]
        assert chip.flash.snapshot().stores[0] is first
        await chip.flash.erase(chip.life, "big", 8, 1)
        await chip.flash.program(chip.life, "big", 8 * 4096, bytes(UNIT))
        second = chip.flash.snapshot().stores[0]
        assert [second.pages[n] is first.pages[n] for n in range(8)] == [True] * 8
        assert (8 in second.pages, 8 in first.pages) == (True, False)

    run(story, regions=[region("big", 16 * 4096, runs=(SectorRun(16, 4096, ERASE_NS),))])


# A whole ECU ----------------------------------------------------------------------------------------


def test_ecu_restored_from_a_snapshot_boots_what_the_first_one_boots(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.confirm()
        snapshot, state = car.memory.snapshot(), car.memory.state_sha256()
        await car.flash(car.image(length=2048))
        assert await car.version() == "2.0.0"
        assert car.memory.state_sha256() != state
        car.node.cut("test")
        car.memory.restore(snapshot)
        assert car.memory.state_sha256() == state
        await car.awake()
        assert await car.version() == "1.0.0"
        await car.flash(car.image(length=2048))
        assert await car.version() == "2.0.0"

    drive(story)


def test_unchanged_image_is_hashed_once_across_boots_restores_and_ecus(drive: Any, monkeypatch: Any) -> None:
    hashed: list[int] = []
    real = RegionStore.pieces

    def counted(store: Any, offset: int, length: int) -> Any:
        if store.region.name == "image:A" and length > 1000:
            hashed.append(length)
        return real(store, offset, length)

    monkeypatch.setattr(RegionStore, "pieces", counted)
    snapshots: list[Any] = []

    async def story(car: Any) -> None:
        image = car.image("1.7.0", 1, length=9000)
        if snapshots:
            car.memory.restore(snapshots[0])
        else:
            car.vehicle.install("ecu", image.header.encode(), image.data)
            snapshots.append(car.memory.snapshot())
        for _ in range(2):
            await car.awake()
            car.node.cut("test")
        assert car.stages()[-1] == ("application", "A")
        snapshots.append(car.memory.snapshot())

    drive(story, cold=True)
    drive(story, cold=True)
    assert hashed == [9000]


# NVM ------------------------------------------------------------------------------------------------

OLD = NvmRecord(active_bank="A", release_floor=7)


def nvm_state(writes: list[int], *, seed: int = 1, torn: TornReads | None = None) -> bytes:
    """The hash of a small memory after some writes, the last one torn in its last record if asked for."""
    loop = VirtualLoop()
    world = World(loop, seed)
    nvm = Nvm(world, "ecu", OLD, 500)
    NvmBlock(nvm.device, bytes(24))
    node = Node(world, "ecu", lambda _life: nvm.device.begin_boot())

    async def main() -> bytes:
        node.power_on()
        life = node.incarnation
        assert life is not None
        for floor in writes:
            await nvm.store(life, replace(OLD, release_floor=floor))
        if torn is not None:
            nvm.device.torn_reads = torn
            life.spawn(nvm.store(life, replace(OLD, release_floor=99)), "store")
            await loop.sleep_ns(1_250_000)
            node.cut("test")
            node.power_on()
        snapshot, state = nvm.device.snapshot(), nvm.device.state_value()
        alive = node.incarnation
        assert alive is not None
        await nvm.store(alive, replace(OLD, release_floor=77))
        assert nvm.device.state_value() != state
        nvm.device.restore(snapshot)
        assert nvm.device.state_value() == state
        return state

    try:
        found: bytes = loop.run(main())
        return found
    finally:
        loop.discard()


def test_nvm_state_is_what_counts_and_what_the_other_copy_holds_not_how_often_it_was_written() -> None:
    assert nvm_state([8, 9]) == nvm_state([1, 2, 3, 8, 9])
    assert nvm_state([8, 9]) != nvm_state([9, 8])


def test_nvm_state_holds_a_torn_record_as_a_symbol() -> None:
    assert nvm_state([8, 9], torn=TornReads.MIXED) == nvm_state([8, 9], seed=2, torn=TornReads.MIXED)
    assert len({nvm_state([8, 9], torn=reads) for reads in RULES}) == len(RULES)
    assert nvm_state([8, 9], torn=TornReads.MIXED) != nvm_state([8, 9])
