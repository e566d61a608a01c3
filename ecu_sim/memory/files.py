"""A small directory of files in NVM (0x38): a file is there whole or not at all, whatever the power does."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.node import Incarnation
from ecu_sim.memory.nvm import NvmBlock, NvmDevice

NAME_BYTES_MAX = 64
_LENGTH_BYTES = 2


def _decode(content: bytes) -> dict[bytes, bytes]:
    files: dict[bytes, bytes] = {}
    at = 0
    while at < len(content) and content[at]:
        name_end = at + 1 + content[at]
        data_begin = name_end + _LENGTH_BYTES
        data_end = data_begin + int.from_bytes(content[name_end:data_begin], "big")
        files[content[at + 1 : name_end]] = content[data_begin:data_end]
        at = data_end
    return files


def _encode(files: Mapping[bytes, bytes]) -> bytes:
    return b"".join(
        bytes((len(name),)) + name + len(data).to_bytes(_LENGTH_BYTES, "big") + data for name, data in files.items()
    )


class FileArea:
    """The directory of one ECU; it outlives power cuts. Names are bytes, as they come from the tester."""

    def __init__(self, device: NvmDevice, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._block = NvmBlock(device, bytes(size_bytes))

    @property
    def files(self) -> Mapping[bytes, bytes]:
        """Names and contents, in the order in which they came."""
        return _decode(self._block.content)

    def fits(self, name: bytes, size_bytes: int) -> bool:
        """Return whether a file of that name and size can be stored (in place of one of that name)."""
        if not 0 < len(name) <= NAME_BYTES_MAX or 0 in name:
            return False
        others = {known: data for known, data in self.files.items() if known != name}
        return len(_encode(others)) + 1 + len(name) + _LENGTH_BYTES + size_bytes <= self._size_bytes

    async def put(self, life: Incarnation, name: bytes, data: bytes) -> None:
        """Store a file; ValueError unless it fits."""
        if not self.fits(name, len(data)):
            raise ValueError(f"a file of {len(data)} bytes does not fit")
        await self._write(life, {**self.files, name: data})

    async def delete(self, life: Incarnation, name: bytes) -> None:
        """Delete a file; KeyError when there is none of that name."""
        files = dict(self.files)
        del files[name]
        await self._write(life, files)

    async def _write(self, life: Incarnation, files: Mapping[bytes, bytes]) -> None:
        await self._block.store(life, _encode(files).ljust(self._size_bytes, b"\x00"))
