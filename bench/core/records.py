"""Frozen records of a run: what the oracle judges, and nothing else (D5).

`bench/rig` collects them; `bench/oracle` reads them with decoders of its own. A field that a bench cannot
observe is None, and the invariants that need it come out *not observed*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

EXTENDED, FD, BRS, REMOTE = 1, 2, 4, 8
"""Bits of `FrameRecord.flags`."""


class FrameRecord(NamedTuple):
    """A frame that crossed a bus completely; `t_ns` is the instant from which the next one may begin."""

    t_ns: int
    channel: str
    sender: str
    can_id: int
    flags: int
    data: bytes

    def text(self) -> str:
        """Return the frame in candump notation, sender first: `agent 7A0#0322F195`."""
        return f"{self.sender} {self.candump()}"

    def candump(self) -> str:
        """Return `ID#DATA`, `ID#R`, or `ID##<flags>DATA` for FD, as candump -L prints it."""
        can_id = f"{self.can_id:08X}" if self.flags & EXTENDED else f"{self.can_id:03X}"
        if self.flags & FD:
            return f"{can_id}##{1 if self.flags & BRS else 0:X}{self.data.hex().upper()}"
        return f"{can_id}#R" if self.flags & REMOTE else f"{can_id}#{self.data.hex().upper()}"


@dataclass(frozen=True, slots=True)
class CanAddress:
    """Where one direction of a diagnostic connection goes (ISO 15765-2): the identifier, its format, and the address
    byte that stands in front of the data in extended and mixed addressing (None otherwise)."""

    can_id: int
    id_29_bit: bool = False
    extension: int | None = None

    def text(self) -> str:
        """Return it for people: `0x7A0`, `0x18DA21F1`, `0x6F1 with address byte 0x12`."""
        can_id = f"0x{self.can_id:08X}" if self.id_29_bit else f"0x{self.can_id:03X}"
        return can_id if self.extension is None else f"{can_id} with address byte 0x{self.extension:02X}"


@dataclass(frozen=True, slots=True)
class PowerRecord:
    """A part got (`on`) or lost its supply."""

    t_ns: int
    part: str
    on: bool
    cause: str


@dataclass(frozen=True, slots=True)
class BootRecord:
    """An ECU entered a stage: `boot_manager`, `bootloader` or `application`; `bank` is None but for the last."""

    t_ns: int
    ecu: str
    stage: str
    bank: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """An ECU began to execute the image in `bank`; `boot` stands for the bootloader's own place.

    `header` is the 256-byte header slot as flash held it then, `image_sha256` the hash of the bank's bytes over
    the length that header names (empty when the header names no possible length), `release_floor` the ECU's
    anti-rollback floor at that instant. A bootloader that is built in has no header: its hash is over its region.
    From `ended_t_ns` on no byte of it was executed any more, because of `end_cause`; None while it went on.
    """

    t_ns: int
    ecu: str
    bank: str
    entry_address: int
    header: bytes
    image_sha256: str
    release_floor: int
    ended_t_ns: int | None = None
    end_cause: str | None = None


@dataclass(frozen=True, slots=True)
class FlashOperation:
    """A driver call that changed flash, from `t_ns` on: `program` or `erase`; `rot` is a bit that flipped by itself.

    `offset` and `length` are bytes of a region named as in `FlashDump`.
    """

    t_ns: int
    ecu: str
    kind: str
    region: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class ConditionRecord:
    """A value of the car's state from an instant on: the first ones are those of the run's beginning.

    `accepted` is False when the car refused the change and kept its old value (an engine start while inhibited).
    """

    t_ns: int
    key: str
    value: bool | float | str
    accepted: bool
    cause: str


@dataclass(frozen=True, slots=True)
class HttpRecord:
    """One exchange as the network carried it, `part` being the client; bodies complete."""

    t_ns: int
    part: str
    method: str
    url: str
    status: int
    request_body: bytes
    response_body: bytes


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An entry of the DM server's event log (D8). Kinds and data: `SERVER_EVENTS`.

    `t_ns` counts from the start of the server that wrote it, `wall_ns` from 1970 by that server's date.
    """

    seq: int
    t_ns: int
    vin: str
    kind: str
    data: Mapping[str, object]
    wall_ns: int = 0


SERVER_EVENTS: Mapping[str, str] = {
    "vehicle_added": "dev_id",
    "registered": "dev_id, repeated (bool): DmAcc was handed out",
    "bootstrap_complete": "registration is final",
    "package_uploaded": "package_id, sha256, images: [{ecu, version, software_id, release_counter}]",
    "order_placed": "order, package_id, targets: [{ecu, version}]",
    "session_started": "session, alert",
    "session_ended": "session",
    "device_info": "dev_info",
    "inventory": "ecus: {ecu: version}: what the vehicle said its ECUs hold",
    "order_offered": "order, package_id: HGET and EXEC were sent",
    "order_accepted": "order: the vehicle answered 202",
    "order_refused_by_vehicle": "order, sc: the vehicle answered the EXEC with an error",
    "component_result": "order, ecu, result_code, version, text, correlated (bool: it named its order): one component",
    "order_closed": "order, status: success | failed | refused (exactly one per order)",
    "message_refused": "status, reason: a request of the vehicle was answered with an error",
    "stranger_refused": "status, reason, count: the 1st, 2nd, 4th, ... request in its name that proved no identity",
}
"""What the server logs; the oracle folds these."""


@dataclass(frozen=True, slots=True)
class MemoryRegion:
    """Bytes read out of an ECU after the run; `torn` lists (offset, length) of cells that read unstably."""

    name: str
    base_address: int
    data: bytes
    torn: tuple[tuple[int, int], ...] = ()


class SectorWear(NamedTuple):
    """How often a sector was erased; `rated` is the endurance it is made for, None where nobody says."""

    region: str
    sector: int
    erases: int
    rated: int | None


@dataclass(frozen=True, slots=True)
class FlashDump:
    """All readable memory of one ECU after the run, and how often each kind of operation was done on it.

    Region names follow `BankLayout`: `mark:<bank>`, `header:<bank>`, `image:<bank>`.
    """

    ecu: str
    regions: tuple[MemoryRegion, ...]
    erases: int
    programs: int
    driver_faults: tuple[str, ...]
    release_floor: int | None = None
    """The ECU's anti-rollback floor; None where it cannot be read."""
    trial_bank: str | None = None
    """The bank whose image still waits to be confirmed; None when there is none."""
    wear: tuple[SectorWear, ...] = ()
    """Sectors that were erased, staging flash too, in order; empty where nobody counts."""

    def region(self, name: str) -> MemoryRegion | None:
        """Return the region of that name."""
        return next((region for region in self.regions if region.name == name), None)


@dataclass(frozen=True, slots=True)
class BankLayout:
    """One place an image may stand. Addresses are the linked ones, as they stand in a download."""

    name: str
    linked_base: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DownloadPacking:
    """How an ECU's images are packed on their way: what the judge needs to look into such a download.

    `compression` is none or lzma (`.xz`), `encryption` none, aes_ctr or aes_cbc (vector first); compressed first,
    then encrypted. `data_format` is the dataFormatIdentifier of 0x34.
    """

    data_format: int
    compression: str
    encryption: str
    key: bytes = field(repr=False)
    dictionary_bytes: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What an application demands of the car before it lets itself be programmed.

    `relation` is `is`, `at_most` or `at_least`; `condition` is the byte by which routine 0x0207 names it.
    """

    condition: int
    key: str
    relation: str
    value: bool | float | str


@dataclass(frozen=True, slots=True)
class InhibitSignal:
    """The bit by which an ECU says that the car must not be started; `bit` counts from bit 0 of data byte 0."""

    channel: str
    can_id: int
    id_29_bit: bool
    bit: int


@dataclass(frozen=True, slots=True)
class EcuLayout:
    """What the bench knows of an ECU before the run, from the vehicle file.

    `channel` is the bus on which the tester reaches it, behind a gateway another one than that on which it sits.
    """

    ecu: str
    channel: str
    request_id: int
    response_id: int
    hardware_id: str
    header_address: int
    banks: tuple[BankLayout, ...]
    boot_time_limit_ms: int
    erase_routine: int
    check_routine: int = 0x0202
    """Routine that checks a downloaded image; its answer ends with status 00 when the image is good."""
    id_29_bit: bool = False
    """Whether both identifiers have 29 bits."""
    request_extension: int | None = None
    response_extension: int | None = None
    """The address byte in front of the data of requests and responses (extended and mixed addressing)."""
    packing: DownloadPacking | None = None
    """None where images are sent as they are."""
    first_counter: int = 1
    """blockSequenceCounter of a download's first 0x36, and below what follows 0xFF."""
    counter_after_ff: int = 0
    demands: tuple[Demand, ...] = ()
    """What its application wants of the car before programming."""
    inhibit: InhibitSignal | None = None
    """How it says that the car must not be started; None where it says nothing."""
    factory_bootloader: bytes = b""
    """The 256-byte header of the bootloader that the factory put in, which is not signed; empty when it is built in."""

    @property
    def request(self) -> CanAddress:
        """Where physical requests to the ECU go."""
        return CanAddress(self.request_id, self.id_29_bit, self.request_extension)

    @property
    def response(self) -> CanAddress:
        """Where the ECU's responses go."""
        return CanAddress(self.response_id, self.id_29_bit, self.response_extension)


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
    """Everything a verdict is made of."""

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
    power: tuple[PowerRecord, ...]
    server_events: tuple[ServerEvent, ...]
    http: tuple[HttpRecord, ...]
    readings: tuple[DidReading, ...]
    frames: tuple[FrameRecord, ...] | None
    flash: tuple[FlashDump, ...] | None
    boots: tuple[BootRecord, ...] | None
    executions: tuple[ExecutionRecord, ...] | None
    agent_files: tuple[StoredFile, ...] | None
    bootloader_runs: tuple[ExecutionRecord, ...] | None = None
    """When each ECU executed its bootloader; `executions` are those of applications."""
    flash_operations: tuple[FlashOperation, ...] | None = None
    conditions: tuple[ConditionRecord, ...] | None = None
    """The car's state from the beginning on, and what changed; None where it cannot be observed."""
    functional_id: int = 0x7DF
    """The request identifier that all ECUs of the vehicle listen to, on every channel that `functional` leaves out."""
    functional: Mapping[str, CanAddress] = field(default_factory=dict)
    """Where functional requests go, by channel."""

    def functional_address(self, channel: str) -> CanAddress:
        """Return where functional requests on a channel go."""
        return self.functional.get(channel) or CanAddress(self.functional_id)
