"""The agent's disk: what was not synced may be lost (D3), and `Storage` written once over it.

POSIX promises of an `fsync` that it made the bytes of that file durable, and of one on the folder that it made the
names durable. Of what stands in between a disk keeps what it likes, bytes and names each by themselves: a rename may be
there before the bytes that it should show, and bytes may be there as far as the cache had come. `DiskLoss` lists what
can be left, so that a run can ask for each of them instead of hoping that a seed draws it.

`Disk` is the little of a file system that crash safety is made of. `SimDisk` loses what was not synced when the
power goes; `OsDisk` is a folder of this machine. `DiskStorage` gives both the same atomic replace.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bench.core.clock import NS_PER_MS
from bench.core.node import Incarnation
from bench.core.records import StoredFile
from bench.core.world import World
from bench.ports.storage import StorageFull
from bench.wire.disk_loss import LOSES_NAMES, DiskLoss, surviving_bytes


class Disk(Protocol):
    """Files in one flat folder, with the durability of POSIX: nothing more is promised."""

    async def read(self, name: str) -> bytes | None:
        """Return what a running program sees, synced or not."""

    async def write(self, name: str, data: bytes, *, append: bool) -> None:
        """Create, overwrite or extend a file in the cache."""

    async def rename(self, old: str, new: str) -> None:
        """Put `old` in the place of `new`, in the cache."""

    async def unlink(self, name: str) -> None:
        """Remove a name, in the cache."""

    async def sync(self, name: str | None) -> None:
        """Make a file's bytes durable, or with None the folder's names."""


class DiskStorage:
    """`bench.ports.storage.Storage` over a disk: write aside, sync, rename, sync the folder."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    async def read(self, path: str) -> bytes | None:
        """Return the file's bytes, or None."""
        return await self._disk.read(path)

    async def replace(self, path: str, data: bytes) -> None:
        """Write the whole file atomically."""
        aside = f"{path}.new"
        await self._disk.write(aside, data, append=False)
        await self._disk.sync(aside)
        await self._disk.rename(aside, path)
        await self._disk.sync(None)

    async def append(self, path: str, data: bytes) -> None:
        """Add bytes and sync them; the name too when the file is new."""
        new = await self._disk.read(path) is None
        await self._disk.write(path, data, append=True)
        await self._disk.sync(path)
        if new:
            await self._disk.sync(None)

    async def delete(self, path: str) -> None:
        """Remove the file if it exists."""
        if await self._disk.read(path) is not None:
            await self._disk.unlink(path)
            await self._disk.sync(None)


class _Inode:
    """A file's bytes as programs see them and as they would survive."""

    __slots__ = ("cached", "durable")

    def __init__(self, durable: bytes = b"") -> None:
        self.cached, self.durable = bytearray(durable), durable

    @property
    def synced_bytes(self) -> int:
        """How many bytes from the begin are durable as they are seen: behind an append all that was there before."""
        return len(self.durable) if self.cached.startswith(self.durable) else 0

    def with_first(self, count: int) -> bytes:
        """Return the first `count` bytes as they are seen, and what is durable behind them, no longer than the file."""
        return bytes(self.cached[:count]) + self.durable[count : len(self.cached)]


class SimDisk:
    """The persistent part: survives power cuts, but only as far as it was synced."""

    def __init__(self, world: World, part: str, *, capacity_bytes: int, sync_ms: float) -> None:
        self.world, self.part = world, part
        self.capacity_bytes, self.sync_ns = capacity_bytes, round(sync_ms * NS_PER_MS)
        self.names: dict[str, _Inode] = {}
        self.loss = DiskLoss.SEEDED
        """What the next power cut leaves; the one after it is drawn again."""
        self._durable_names: dict[str, _Inode] = {}

    def mount(self, life: Incarnation) -> MountedDisk:
        """Return the disk as this life sees it."""
        return MountedDisk(self, life)

    def sync_file(self, name: str, share: float = 1.0) -> None:
        """Make a share of a file's bytes durable."""
        inode = self.names[name]
        count = int(len(inode.cached) * share)
        inode.durable = bytes(inode.cached[:count]) + inode.durable[count:] if share < 1 else bytes(inode.cached)

    def sync_names(self) -> None:
        """Make the folder's names durable."""
        self._durable_names = dict(self.names)

    def lose_power(self) -> None:
        """Forget of what was not durable as much as `loss` says: bytes, and names, which are the old or the new."""
        left = self.left_by(self.loss)
        self.names, self.loss = {name: _Inode(data) for name, data in left.items()}, DiskLoss.SEEDED
        self.sync_names()
        self.world.journal.add(self.part, "disk.crash", " ".join(sorted(self.names)))

    def left_by(self, loss: DiskLoss) -> dict[str, bytes]:
        """Return the files that a cut at this instant leaves; `seeded` draws them anew at each call."""
        names = self.names
        if names != self._durable_names and not self._keeps_names(loss):
            names = self._durable_names
        return {name: self._left_of(names[name], loss) for name in sorted(names)}

    def _keeps_names(self, loss: DiskLoss) -> bool:
        if loss is DiskLoss.SEEDED:
            return bool(self.world.seeds.draw(self.part, "disk-names", 1)[0] & 1)
        return loss not in LOSES_NAMES

    def _left_of(self, inode: _Inode, loss: DiskLoss) -> bytes:
        if inode.durable == inode.cached:
            return inode.durable
        if loss is DiskLoss.SEEDED:
            torn = self.world.seeds.draw(self.part, "disk-torn", 1)[0] / 256
            return inode.with_first(int(len(inode.cached) * torn))
        synced = inode.synced_bytes
        return inode.with_first(synced + surviving_bytes(loss, len(inode.cached) - synced))

    def files(self) -> tuple[StoredFile, ...]:
        """Return what lies on the disk now."""
        return tuple(StoredFile(name, len(self.names[name].cached)) for name in sorted(self.names))

    def used_bytes(self) -> int:
        """Return how many bytes the files take."""
        return sum(len(inode.cached) for inode in self.names.values())


class MountedDisk:
    """One life's access to a simulated disk; refuses everything after that life."""

    def __init__(self, disk: SimDisk, life: Incarnation) -> None:
        self._disk, self._life = disk, life

    async def read(self, name: str) -> bytes | None:
        """Return the cached bytes."""
        self._life.check()
        inode = self._disk.names.get(name)
        return None if inode is None else bytes(inode.cached)

    async def write(self, name: str, data: bytes, *, append: bool) -> None:
        """Write to the cache; StorageFull when it does not fit."""
        self._life.check()
        if self._disk.used_bytes() + len(data) > self._disk.capacity_bytes:
            raise StorageFull(f"{name}: {len(data)} bytes do not fit {self._disk.capacity_bytes}")
        inode = self._disk.names.setdefault(name, _Inode())
        if append:
            inode.cached += data
        else:
            inode.cached = bytearray(data)

    async def rename(self, old: str, new: str) -> None:
        """Rename in the cache."""
        self._life.check()
        self._disk.names[new] = self._disk.names.pop(old)

    async def unlink(self, name: str) -> None:
        """Unlink in the cache."""
        self._life.check()
        self._disk.names.pop(name, None)

    async def sync(self, name: str | None) -> None:
        """Sync; a fault point with `before`, `torn=0` (half of the bytes durable) and `after`."""
        with self._life.effect("sync", units=1) as effect:
            await self._life.sleep_ns(self._disk.sync_ns)
            if effect.torn_at is not None and name is not None:
                self._disk.sync_file(name, share=0.5)
            effect.inside(0)
            if name is None:
                self._disk.sync_names()
            else:
                self._disk.sync_file(name)
            self._life.note("disk.sync", name or "(names)")


class OsDisk:
    """A folder of this machine, for an agent in real time. Blocking calls, each a few milliseconds."""

    def __init__(self, life: Incarnation, folder: Path) -> None:
        self._life, self._folder = life, folder

    async def read(self, name: str) -> bytes | None:
        """Return the file's bytes."""
        self._life.check()
        path = self._folder / name
        return path.read_bytes() if path.exists() else None

    async def write(self, name: str, data: bytes, *, append: bool) -> None:
        """Write through the page cache; StorageFull when the file system has no room."""
        self._life.check()
        try:
            with (self._folder / name).open("ab" if append else "wb") as file:
                file.write(data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StorageFull(f"{name}: {error.strerror}") from None
            raise

    async def rename(self, old: str, new: str) -> None:
        """Rename."""
        self._life.check()
        (self._folder / old).replace(self._folder / new)

    async def unlink(self, name: str) -> None:
        """Unlink."""
        self._life.check()
        (self._folder / name).unlink(missing_ok=True)

    async def sync(self, name: str | None) -> None:
        """Call fsync on the file or the folder."""
        with self._life.effect("sync", units=1):
            descriptor = os.open(self._folder if name is None else self._folder / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._life.note("disk.sync", name or "(names)")


def folder_files(folder: Path) -> tuple[StoredFile, ...]:
    """Return the files of a folder, as `SimDisk.files` does."""
    sizes: Mapping[str, int] = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    return tuple(StoredFile(name, size_bytes) for name, size_bytes in sizes.items())
