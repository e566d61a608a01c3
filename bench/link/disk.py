"""The agent's disk: what was not synced may be lost (D3), and `Storage` written once over it.

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

    def __init__(self) -> None:
        self.cached = bytearray()
        self.durable = b""


class SimDisk:
    """The persistent part: survives power cuts, but only as far as it was synced."""

    def __init__(self, world: World, part: str, *, capacity_bytes: int, sync_ms: float) -> None:
        self.world, self.part = world, part
        self.capacity_bytes, self.sync_ns = capacity_bytes, round(sync_ms * NS_PER_MS)
        self.names: dict[str, _Inode] = {}
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
        """Forget what was not durable: unsynced bytes are gone or torn, unsynced names are the old or the new ones.

        Which of the two is drawn from the run's seed, as a real disk's cache decides it by chance.
        """
        if self.names != self._durable_names and self.world.seeds.draw(self.part, "disk-names", 1)[0] & 1:
            self._durable_names = dict(self.names)
        for name in sorted(self._durable_names):
            inode = self._durable_names[name]
            if inode.durable != bytes(inode.cached):
                torn = self.world.seeds.draw(self.part, "disk-torn", 1)[0] / 256
                count = int(len(inode.cached) * torn)
                inode.durable = bytes(inode.cached[:count]) + inode.durable[count : len(inode.cached)]
            inode.cached = bytearray(inode.durable)
        self.names = dict(self._durable_names)
        self.world.journal.add(self.part, "disk.crash", " ".join(sorted(self.names)))

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
