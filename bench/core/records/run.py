"""One run, frozen: what the oracle judges, and nothing else (D5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.core.records.bus import CanAddress, FrameRecord
from bench.core.records.car import ConditionRecord, PowerRecord, VoltageRecord
from bench.core.records.ecu import BootRecord, ExecutionRecord, FlashDump, FlashOperation
from bench.core.records.lateness import Lateness
from bench.core.records.layout import EcuLayout
from bench.core.records.server import HttpRecord, ServerEvent, ServerViewRecord
from bench.core.records.watched import UNWATCHED, Watched


@dataclass(frozen=True, slots=True)
class DidReading:
    """A data identifier read after the run by a tester of its own; `value` is None when nothing answered."""

    t_ns: int
    ecu: str
    did: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A genuine image as its maker signed it; `role` is `installed` (before the run) or `target`."""

    ecu: str
    role: str
    version: str
    header: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file on the agent's disk after the run."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """A fault as it was injected; `t_ns` is None when its point was never reached."""

    fault_class: str
    point: str
    parameters: Mapping[str, object]
    t_ns: int | None
    restored_t_ns: int | None
    limits: str = ""
    """What of the fault this bench could not do; empty where it did all of it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds the scenario or the golden run give."""

    live_within_ns: int
    poll_interval_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """Everything a verdict is made of: what is known beforehand, and each source with how it was watched.

    `bench/rig` collects it; `bench/oracle` reads it with decoders of its own. Where a source was not watched, the
    invariants that need it come out *not observed*; an empty source that was watched is a statement.
    """

    vin: str
    ended_t_ns: int
    limits: Limits
    expects_update: bool
    """Whether the scenario expects the vehicle to reach the target (else: a documented refusal)."""
    layouts: tuple[EcuLayout, ...]
    references: tuple[ImageReference, ...]
    image_public_key: bytes
    package_public_key: bytes
    package_url_suffix: str
    """How the URL of the package ends: the oracle finds the delivered bytes among `http`."""
    faults: tuple[FaultRecord, ...]
    """What the bench itself injected: it needs nobody to watch."""
    power: Watched[PowerRecord] = UNWATCHED
    server_events: Watched[ServerEvent] = UNWATCHED
    http: Watched[HttpRecord] = UNWATCHED
    readings: Watched[DidReading] = UNWATCHED
    frames: Watched[FrameRecord] = UNWATCHED
    """Places are channels."""
    flash: Watched[FlashDump] = UNWATCHED
    boots: Watched[BootRecord] = UNWATCHED
    executions: Watched[ExecutionRecord] = UNWATCHED
    agent_files: Watched[StoredFile] = UNWATCHED
    bootloader_runs: Watched[ExecutionRecord] = UNWATCHED
    """When each ECU executed its bootloader; `executions` are those of applications."""
    flash_operations: Watched[FlashOperation] = UNWATCHED
    conditions: Watched[ConditionRecord] = UNWATCHED
    """The car's state from the beginning on, and what changed."""
    lateness: Lateness | None = None
    """How late the bench itself was; None in virtual time, where nothing is, and where nobody measured it."""
    voltages: Watched[VoltageRecord] = UNWATCHED
    """What the bench's supplies did to the voltage at parts."""
    server_view: Watched[ServerViewRecord] = UNWATCHED
    """One item: what the server told after the run, when it was asked for its view."""
    functional_id: int = 0x7DF
    """The request identifier that all ECUs of the vehicle listen to, on every channel that `functional` leaves out."""
    functional: Mapping[str, CanAddress] = field(default_factory=dict)
    """Where functional requests go, by channel."""

    def functional_address(self, channel: str) -> CanAddress:
        """Return where functional requests on a channel go."""
        return self.functional.get(channel) or CanAddress(self.functional_id)
