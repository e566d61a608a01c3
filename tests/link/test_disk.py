"""The simulated disk: what was not synced may be lost; the storage above it keeps its promises all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.loop import PowerLost, VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.link.disk import DiskStorage, OsDisk, SimDisk, folder_files
from bench.ports.storage import StorageFull
from bench.wire.disk_loss import CERTAIN_LOSSES, DiskLoss

Work = Callable[[DiskStorage], Awaitable[object]]


class Computer:
    """A node with a disk; each life does one piece of work."""

    def __init__(self, seed: int = 1, capacity_bytes: int = 1_000_000) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed)
        self.disk = SimDisk(self.world, "agent", capacity_bytes=capacity_bytes, sync_ms=2)
        self._work: Work | None = None
        self.result: object = None
        self.node = Node(self.world, "agent", self._boot)

    def _boot(self, life: Incarnation) -> None:
        storage = DiskStorage(self.disk.mount(life))

        async def run() -> None:
            assert self._work is not None
            self.result = await self._work(storage)

        life.spawn(run(), "work")

    def live(self, work: Work, cut_after_ms: float = 1_000) -> object:
        """Boot, work, lose the power after a while; returns what the work returned (None when it was cut)."""
        self._work, self.result = work, None

        async def drive() -> None:
            self.node.power_on()
            await self.loop.sleep_ns(round(cut_after_ms * 1e6))
            if self.node.powered:
                self.node.cut("test")
                self.disk.lose_power()

        self.loop.run(drive())
        if self.world.crash is not None:
            raise self.world.crash.error
        return self.result

    def read(self, path: str) -> bytes | None:
        found = self.live(lambda storage: storage.read(path))
        assert found is None or isinstance(found, bytes)
        return found


def test_replaced_file_survives_a_power_loss() -> None:
    computer = Computer()
    computer.live(lambda s: s.replace("a", b"one"))
    assert computer.read("a") == b"one"


def test_unsynced_write_may_be_lost_and_is_for_some_seed() -> None:
    outcomes = set()
    for seed in range(40):
        computer = Computer(seed)
        computer.live(lambda s: s._disk.write("a", b"0123456789", append=False))
        outcomes.add(computer.read("a"))
    assert None in outcomes
    assert outcomes - {None, b"0123456789"}, "some seed must tear the unsynced bytes"


# What is left, one outcome after the other -----------------------------------------------------------

NEW = b"0123456789"
LEFT = {
    DiskLoss.NOTHING: NEW,
    DiskLoss.BYTES: b"",
    DiskLoss.BYTES_AFTER_FIRST: NEW[:1],
    DiskLoss.BYTES_AFTER_HALF: NEW[:5],
    DiskLoss.LAST_BYTE: NEW[:-1],
    DiskLoss.NAMES: None,
    DiskLoss.NAMES_AND_BYTES_AFTER_FIRST: None,
    DiskLoss.NAMES_AND_BYTES_AFTER_HALF: None,
    DiskLoss.NAMES_AND_LAST_BYTE: None,
    DiskLoss.EVERYTHING: None,
}
"""What a file holds that was written and never synced; None: there is no such file."""


def lost(loss: DiskLoss, work: Work, *before: Work) -> Computer:
    """Do what is before in lives of its own, then the work, and lose power in this way."""
    computer = Computer()
    for earlier in before:
        computer.live(earlier)
    computer.disk.loss = loss
    computer.live(work)
    return computer


def test_every_outcome_is_listed() -> None:
    assert set(LEFT) == set(CERTAIN_LOSSES) == set(DiskLoss) - {DiskLoss.SEEDED}


@pytest.mark.parametrize("loss", CERTAIN_LOSSES)
def test_new_file_that_was_not_synced_is_left_as_the_fault_says(loss: DiskLoss) -> None:
    assert lost(loss, lambda s: s._disk.write("a", NEW, append=False)).read("a") == LEFT[loss]


@pytest.mark.parametrize("loss", CERTAIN_LOSSES)
def test_append_that_was_not_synced_keeps_what_was_synced_and_a_prefix(loss: DiskLoss) -> None:
    computer = lost(loss, lambda s: s._disk.write("a", NEW, append=True), lambda s: s.append("a", b"kept"))
    left = {DiskLoss.NAMES: NEW, DiskLoss.EVERYTHING: b"", DiskLoss.NAMES_AND_BYTES_AFTER_FIRST: NEW[:1],
            DiskLoss.NAMES_AND_BYTES_AFTER_HALF: NEW[:5], DiskLoss.NAMES_AND_LAST_BYTE: NEW[:-1]}  # fmt: skip
    assert computer.read("a") == b"kept" + ({**LEFT, **left}[loss] or b"")


@pytest.mark.parametrize("loss", CERTAIN_LOSSES)
def test_rename_before_its_bytes_shows_less_than_was_written_only_where_bytes_are_lost(loss: DiskLoss) -> None:
    async def careless(storage: DiskStorage) -> None:
        await storage._disk.write("a.new", NEW, append=False)
        await storage._disk.rename("a.new", "a")

    computer = lost(loss, careless, lambda s: s.replace("a", b"old"))
    assert computer.read("a") == (b"old" if LEFT[loss] is None else LEFT[loss])


@pytest.mark.parametrize("loss", CERTAIN_LOSSES)
def test_loss_holds_for_one_cut(loss: DiskLoss) -> None:
    computer = lost(loss, lambda s: s._disk.write("a", NEW, append=False))
    assert computer.disk.loss is DiskLoss.SEEDED


@pytest.mark.parametrize("loss", CERTAIN_LOSSES)
@pytest.mark.parametrize("sync", [1, 2])
@pytest.mark.parametrize("where", ["before", "torn", "after"])
def test_replace_cut_at_any_of_its_syncs_leaves_the_old_or_the_new_file(loss: DiskLoss, sync: int, where: str) -> None:
    computer = Computer()
    computer.live(lambda s: s.replace("a", b"old" * 50))
    syncs = computer.world.points.counter("agent", "sync")
    computer.disk.loss = loss
    syncs.arm(syncs.n + sync, where, 0 if where == "torn" else None, lambda: cut(computer))
    computer.live(lambda s: s.replace("a", b"new" * 70))
    assert computer.read("a") in (b"old" * 50, b"new" * 70)


@settings(max_examples=80, deadline=None)
@given(cut_ms=st.floats(0.1, 9.0), seed=st.integers(0, 30))
def test_replace_cut_at_any_instant_leaves_the_old_or_the_new_file(cut_ms: float, seed: int) -> None:
    computer = Computer(seed)
    computer.live(lambda s: s.replace("a", b"old" * 50))
    computer.live(lambda s: s.replace("a", b"new" * 70), cut_after_ms=cut_ms)
    assert computer.read("a") in (b"old" * 50, b"new" * 70)


@settings(max_examples=80, deadline=None)
@given(cut_ms=st.floats(0.1, 9.0), seed=st.integers(0, 30))
def test_append_cut_at_any_instant_keeps_what_was_synced_and_adds_a_prefix(cut_ms: float, seed: int) -> None:
    computer = Computer(seed)
    computer.live(lambda s: s.append("a", b"kept"))
    computer.live(lambda s: s.append("a", b"0123456789"), cut_after_ms=cut_ms)
    found = computer.read("a")
    assert found is not None
    assert found.startswith(b"kept")
    assert b"0123456789".startswith(found[4:])


@pytest.mark.parametrize(("where", "units", "durable"), [("before", None, None), ("after", None, b"x" * 100)])
def test_cut_armed_at_a_sync_strikes_before_or_after_it(where: str, units: int | None, durable: bytes | None) -> None:
    computer = Computer()
    computer.live(lambda s: s.replace("a", b""))
    syncs = computer.world.points.counter("agent", "sync")
    computer.world.points.counter("agent", "sync").arm(syncs.n + 2, where, units, lambda: cut(computer))
    computer.live(lambda s: s.replace("a", b"x" * 100))
    if durable is not None:
        assert computer.read("a") == durable
    else:
        assert computer.read("a") in (b"", b"x" * 100)


def test_torn_sync_makes_half_of_the_bytes_durable() -> None:
    computer = Computer()
    computer.live(lambda s: s.append("a", b"k"))
    n = computer.world.points.counter("agent", "sync").n + 1
    computer.world.points.counter("agent", "sync").arm(n, "torn", 0, lambda: cut(computer))
    computer.live(lambda s: s.append("a", b"y" * 99))
    found = computer.read("a")
    assert found is not None
    assert 1 <= len(found) <= 100
    assert found == b"k" + b"y" * (len(found) - 1)


def cut(computer: Computer) -> None:
    computer.node.cut("armed")
    computer.disk.lose_power()


def test_deleted_file_stays_deleted() -> None:
    computer = Computer()
    computer.live(lambda s: s.replace("a", b"one"))
    computer.live(lambda s: s.delete("a"))
    assert computer.read("a") is None
    assert computer.disk.files() == ()


def test_full_disk_refuses_and_keeps_what_it_has() -> None:
    computer = Computer(capacity_bytes=100)
    computer.live(lambda s: s.replace("a", b"x" * 60))
    with pytest.raises(StorageFull):
        computer.live(lambda s: s.append("a", b"y" * 60))
    assert [(f.path, f.size_bytes) for f in computer.disk.files()] == [("a", 60)]


def test_disk_of_an_ended_life_refuses_every_effect() -> None:
    computer = Computer()
    mounted = []
    node = Node(computer.world, "agent", lambda life: mounted.append(computer.disk.mount(life)))
    node.power_on()
    node.cut("test")
    disk = mounted[0]
    for effect in (
        disk.read("a"),
        disk.write("a", b"", append=False),
        disk.rename("a", "b"),
        disk.unlink("a"),
        disk.sync(None),
    ):
        with pytest.raises(PowerLost):
            effect.send(None)


def test_os_disk_keeps_the_same_promises_on_a_real_folder(tmp_path: Path) -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)

    async def work() -> bytes | None:
        lives: list[Incarnation] = []
        Node(world, "agent", lives.append).power_on()
        storage = DiskStorage(OsDisk(lives[0], tmp_path))
        await storage.replace("a", b"one")
        await storage.append("a", b"two")
        await storage.replace("b", b"gone")
        await storage.delete("b")
        return await storage.read("a")

    assert loop.run(work()) == b"onetwo"
    assert [(f.path, f.size_bytes) for f in folder_files(tmp_path)] == [("a", 6)]
