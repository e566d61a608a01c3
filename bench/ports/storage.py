"""Crash-safe files."""

from __future__ import annotations

from typing import Protocol


class StorageFull(Exception):
    """There is no room for these bytes; what was stored before is as it was."""


class Storage(Protocol):
    """Crash-safe files of the agent. Every method that changes something has happened durably when it returns."""

    async def read(self, path: str) -> bytes | None:
        """Return the file's bytes, or None."""

    async def replace(self, path: str, data: bytes) -> None:
        """Write the whole file atomically: after a power loss it is the old or the new one."""

    async def append(self, path: str, data: bytes) -> None:
        """Add bytes and sync: after a power loss a prefix of `data` may have been added."""

    async def delete(self, path: str) -> None:
        """Remove the file if it exists."""
