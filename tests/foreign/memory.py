"""Flash and notes of a foreign ECU in two files, so that what was programmed survives `kill -9`."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ERASED = 0xFF


class NotErased(Exception):
    """Flash can only be programmed where it was erased."""


class Flash:
    """Regions of flash by their first address; programming needs erased cells, as in NOR flash."""

    def __init__(self, path: Path, regions: Mapping[int, int]) -> None:
        """Open it, or make it erased; `regions` gives the size in bytes of each."""
        size = sum(regions.values())
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes(bytes((ERASED,)) * size)
        with path.open("r+b") as file:
            self._cells = mmap.mmap(file.fileno(), size)
        self._offsets: dict[int, int] = {}
        self._sizes, offset = dict(regions), 0
        for base, length in regions.items():
            self._offsets[base] = offset
            offset += length

    def _place(self, address: int, length: int) -> int:
        """Return the offset of a range in the file; KeyError when it lies in no region."""
        for base, size in self._sizes.items():
            if base <= address and address + length <= base + size:
                return self._offsets[base] + address - base
        raise KeyError(address)

    def holds(self, address: int, length: int) -> bool:
        """Return whether the range lies in one region."""
        try:
            self._place(address, length)
        except KeyError:
            return False
        return True

    def read(self, address: int, length: int) -> bytes:
        """Return bytes of a region."""
        at = self._place(address, length)
        return self._cells[at : at + length]

    def erase(self, address: int, length: int) -> None:
        """Set all bits of a range."""
        at = self._place(address, length)
        self._cells[at : at + length] = bytes((ERASED,)) * length

    def is_erased(self, address: int, length: int) -> bool:
        """Return whether a range can be programmed."""
        return self.read(address, length).count(ERASED) == length

    def program(self, address: int, data: bytes) -> None:
        """Program a range; `NotErased` where it was not."""
        if not self.is_erased(address, len(data)):
            raise NotErased(address)
        at = self._place(address, len(data))
        self._cells[at : at + len(data)] = data


class Notes:
    """What an ECU keeps beside its flash: small values by name, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or `default`."""
        return self._values.get(name, default)

    def put(self, **values: Any) -> None:
        """Keep values; a process killed in the middle has the old ones or the new ones."""
        self._values |= values
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(self._values))
        os.replace(beside, self._path)
