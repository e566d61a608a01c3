"""What a vehicle is made of, as values: what a vehicle driver (`otabench.vehicle`) is asked to build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.core.car import CarState
from bench.core.records import CanAddress, InhibitSignal


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSpec:
    """A cyclic application frame of an ECU, `length` data bytes, first sent `offset_ms` after the application began.

    Byte 0 is a checksum (CRC-8, SAE J1850) over the identifier and all other bytes, byte 1 counts 0 to 14 in its low
    half. `inhibit_bit` (from bit 0 of byte 0) says that the car must not be started; then the bootloader sends the
    frame too.
    """

    can_id: int
    period_ms: int
    length: int = 8
    offset_ms: int = 0
    id_29_bit: bool = False
    fd: bool = False
    channel: str | None = None
    """None: the ECU's own bus."""
    inhibit_bit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerSpec:
    """A frame that an ECU expects; `timeout_ms` without it set the DTC of a lost communication."""

    can_id: int
    timeout_ms: int
    id_29_bit: bool = False
    channel: str | None = None
    """None: the ECU's own bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementSpec:
    """Network management of an ECU: its alive message is `base_id` + `node`; timers as AUTOSAR names them."""

    base_id: int
    node: int
    cycle_ms: int
    repeat_ms: int
    timeout_ms: int
    wait_bus_sleep_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """What a gateway carries from one bus to another: identifiers `first_id` to `last_id`, sent on from `to_id` on.

    `capacity` frames may be under way at once, further ones are lost; `classic_only` leaves CAN FD frames out.
    `node` is the node behind the gateway that the frames come from or go to: 0x28 with types 0x04 and 0x05 stops and
    resumes them, as application frames or (`management`) as network management; None: nothing stops them.
    """

    source: str
    target: str
    first_id: int
    last_id: int
    to_id: int
    delay_us: int
    capacity: int
    id_29_bit: bool = False
    classic_only: bool = False
    node: int | None = None
    management: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuSpec:
    """One ECU of a vehicle; `personality` names its file under `ecus/` ("": none), identifiers are CAN identifiers.

    `addressing` is a mode of ISO 15765-2 (`normal`, `normal_fixed`, `extended`, `mixed`); the extensions are the
    address bytes in front of the data of requests and responses that the last two modes have. `second_tester` are
    the identifiers (request, response) of another tester's connection to the same server.
    """

    id: str
    personality: str
    channel: str
    request_id: int
    response_id: int
    hardware_id: str
    software_id: str
    addressing: str = "normal"
    id_29_bit: bool = False
    request_extension: int | None = None
    response_extension: int | None = None
    second_tester: tuple[int, int] | None = None
    flow_control: tuple[int, int] | None = None
    """Block size and STmin (as encoded) that it asks of testers; None: those of its personality."""
    reached_on: str | None = None
    """The bus on which a tester reaches it, when that is not its own."""
    frames: tuple[FrameSpec, ...] = ()
    partners: tuple[PartnerSpec, ...] = ()
    management: ManagementSpec | None = None
    """None: it never sleeps."""
    routes: tuple[RouteSpec, ...] = ()

    @property
    def tester_channel(self) -> str:
        """The bus on which a tester reaches it."""
        return self.reached_on or self.channel

    @property
    def inhibit_signal(self) -> InhibitSignal | None:
        """The bit by which the ECU says that the car must not be started; None when it has none."""
        frame = next((frame for frame in self.frames if frame.inhibit_bit is not None), None)
        if frame is None or frame.inhibit_bit is None:
            return None
        return InhibitSignal(frame.channel or self.channel, frame.can_id, frame.id_29_bit, frame.inhibit_bit)

    def alone(self) -> EcuSpec:
        """Return the ECU as it is on its own bus, with no other one: nothing to route, frames of that bus only."""
        here = (None, self.channel)
        return replace(
            self, routes=(), reached_on=None, frames=tuple(f for f in self.frames if f.channel in here),
            partners=tuple(p for p in self.partners if p.channel in here),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleSpec:
    """A vehicle: its VIN, its ECUs, and where functional requests go: `functional` by channel, else `functional_id`."""

    vin: str
    functional_id: int
    ecus: tuple[EcuSpec, ...]
    functional: Mapping[str, CanAddress] = field(default_factory=dict)
    car: CarState = field(default_factory=CarState)
    """The car at the run's beginning."""

    def functional_address(self, channel: str) -> CanAddress:
        """Return where functional requests on a channel go."""
        return self.functional.get(channel) or CanAddress(self.functional_id)
