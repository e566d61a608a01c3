"""What the agent knows of its vehicle: the ECUs it can reach and who it is itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bench.flasher.access import EcuAccess
from bench.flasher.values import Progress
from bench.ports.server import VehicleAccount
from bench.wire.dm import DevInfo

ProgressSink = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What an agent is built with at the factory; keys are never shown."""

    account: VehicleAccount
    dev_info: DevInfo
    server_public_key: bytes
    package_public_key: bytes
    image_public_key: bytes
    poll_interval_ns: int
    factory_counters: Mapping[str, int]
    """Release counters of the software that each ECU left the factory with."""
    parallel: bool = False
    """Whether ECUs whose recipes allow it are flashed at the same time."""
    private_key: X25519PrivateKey = field(repr=False)


Ecus = Mapping[str, EcuAccess]
