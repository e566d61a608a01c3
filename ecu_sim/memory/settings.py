"""What the diagnostic server keeps in NVM beside the boot record: failed attempts at the application's lock,
configuration that a tester wrote."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from bench.core.node import Incarnation
from ecu_sim.memory.nvm import NvmBlock, NvmDevice
from ecu_sim.personality.diagnostics import CONFIGURATION_BYTES, Diagnostics

_FIXED = struct.Struct(f">B7x{CONFIGURATION_BYTES}s")


@dataclass(frozen=True, slots=True)
class Settings:
    """`configuration` holds the values of all writable identifiers, one behind the other."""

    application_attempts: int = 0
    configuration: bytes = b""

    def encode(self) -> bytes:
        """Return the block's content."""
        return _FIXED.pack(self.application_attempts, self.configuration)


class SettingsBlock:
    """The settings of one ECU; they outlive power cuts."""

    def __init__(self, device: NvmDevice, rules: Diagnostics) -> None:
        self._entries = rules.configuration
        self._factory = b"".join(bytes.fromhex(entry.default) for entry in rules.configuration)
        self._block = NvmBlock(device, Settings(configuration=self._factory).encode())

    @property
    def value(self) -> Settings:
        """The settings that count."""
        return Settings(*_FIXED.unpack(self._block.content))

    async def store(self, life: Incarnation, settings: Settings) -> None:
        """Write; returns when it counts."""
        await self._block.store(life, settings.encode())

    def configured(self, did: int) -> bytes:
        """Return the value of a configuration identifier; KeyError when there is none."""
        begin, end = self._span(did)
        return self.value.configuration[begin:end]

    async def configure(self, life: Incarnation, did: int, value: bytes) -> None:
        """Write a configuration identifier; KeyError when there is none, ValueError for another length."""
        begin, end = self._span(did)
        if len(value) != end - begin:
            raise ValueError(f"{len(value)} bytes for an identifier of {end - begin}")
        settings = self.value
        changed = settings.configuration[:begin] + value + settings.configuration[end:]
        await self.store(life, replace(settings, configuration=changed))

    async def restore_factory(self, life: Incarnation) -> None:
        """Write the factory's configuration; attempts at the lock stay counted. Twice is as good as once."""
        await self.store(life, replace(self.value, configuration=self._factory))

    def _span(self, did: int) -> tuple[int, int]:
        begin = 0
        for entry in self._entries:
            if entry.did == did:
                return begin, begin + entry.size_bytes
            begin += entry.size_bytes
        raise KeyError(did)
