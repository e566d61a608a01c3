"""One run, frozen: what the oracle judges, and nothing else (D5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.core.records.bus import CanAddress, FrameRecord
from bench.core.records.car import ConditionRecord, PowerRecord, VoltageRecord
from bench.core.records.ecu import BootRecord, ExecutionRecord, FlashDump, FlashOperation
from bench.core.records.lateness import Lateness
from bench.core.records.layout import EcuLayout
from bench.core.records.neighbours import DtcReading, Surroundings
from bench.core.records.server import HttpRecord, ServerEvent, ServerViewRecord
from bench.core.records.watched import UNWATCHED, Span, Watched


@dataclass(frozen=True, slots=True)
class DidReading:
    """A data identifier read after the run by a tester of its own.

    `value` is None when no positive answer came; `nrc` is then the code of the negative response (ISO 14229-1, 0x7F),
    None when nothing answered at all.
    """

    t_ns: int
    ecu: str
    did: int
    value: bytes | None
    nrc: int | None = None

    @property
    def answered(self) -> bool:
        """Whether the ECU said anything: a refusal proves that it lives."""
        return self.value is not None or self.nrc is not None


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


@dataclass(frozen=True, slots=True)
class Crash:
    """A part's code ended with an exception of its own; `error` is its type and text."""

    t_ns: int
    part: str
    error: str


SOURCES = frozenset(
    {
        "power", "server_events", "http", "readings", "frames", "flash", "boots", "executions",
        "agent_files", "bootloader_runs", "flash_operations", "conditions", "voltages", "server_view", "dtcs",
        "memory_before",
    }
)  # fmt: skip
"""The fields of a `RunRecord` that are `Watched`. A simulated vehicle shows all of them."""

EndedBy = Literal["quiet", "limit", "crash"]
"""How a run came to its end: everything had come to rest, its time was over, or a part crashed."""


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
    ended_by: EndedBy = "limit"
    crash: Crash | None = None
    orders_placed: int = 0
    """How many orders the bench itself has placed: the server's log must know them all."""
    observable: frozenset[str] = frozenset()
    """Sources, by their names here, that this bench can watch even where nobody did in this run."""
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

    surroundings: Surroundings | None = None
    """The whole vehicle and what the order names of it; None where nobody described it."""
    dtcs: Watched[DtcReading] = UNWATCHED
    """Read once before the story and once after it; places are ECUs."""
    memory_before: Watched[FlashDump] = UNWATCHED
    """The memory of each ECU that the order does not name, as it was before the story."""
    drive_after_ns: Span | None = None
    """From when to when the vehicle was driven after the story; None where it was not."""

    def functional_address(self, channel: str) -> CanAddress:
        """Return where functional requests on a channel go."""
        return self.functional.get(channel) or CanAddress(self.functional_id)
