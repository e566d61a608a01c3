"""The rest of the vehicle as keys of the vehicle file: the car, network management, frames, partners, routes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from bench.config import FileModel
from bench.core.car import CarState
from bench.core.errors import InputError
from bench.core.specs import FrameSpec, ManagementSpec, PartnerSpec, RouteSpec
from bench.wire.can import FD_LENGTHS, MAX_BASE_ID, MAX_EXTENDED_ID

CanId = Annotated[int, Field(ge=0, le=MAX_EXTENDED_ID)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
MAX_SPAN = 2048
"""Identifiers of one route."""
FIRST_FREE_BIT = 16
"""Bytes 0 and 1 of a frame are its checksum and counter."""


class CarEntry(FileModel):
    """The car at a run's beginning; what is left out is parked, awake and ready to be programmed."""

    ignition: bool = Field(default=True, description="terminal 15")
    engine: bool = False
    speed_km_h: float = Field(default=0, ge=0, le=400)
    gear: Literal["P", "R", "N", "D"] = "P"
    parking_brake: bool = True
    soc_percent: float = Field(default=80, ge=0, le=100, description="state of charge of the battery")
    battery_v: float = Field(default=12.6, ge=0, le=60)
    high_voltage: bool = False
    driver: Literal["none", "accept", "postpone", "reject", "cancel"] = Field(
        default="none", description="the driver's last answer"
    )

    def state(self) -> CarState:
        """Return it as a value."""
        return CarState(**self.model_dump())


class Identified(FileModel):
    """A frame's identifier and its format."""

    id: CanId
    id_29_bit: bool = False

    @model_validator(mode="after")
    def _identifier_fits(self) -> Identified:
        if self.id > MAX_BASE_ID and not self.id_29_bit:
            raise ValueError(f"id up to {MAX_BASE_ID} (0x{MAX_BASE_ID:X}), or id_29_bit = true")
        return self


class FrameEntry(Identified):
    """A cyclic application frame: byte 0 is a checksum, byte 1 counts in its low half."""

    period_ms: int = Field(ge=1, le=60_000)
    length: int = Field(default=8, ge=3, le=64, description="data bytes")
    offset_ms: int = Field(default=0, ge=0, le=60_000, description="from the application's start to the first one")
    fd: bool = Field(default=False, validate_default=True)
    channel: Name | None = Field(default=None, description="of a gateway: on which bus; default: its own")
    tolerance_ms: int | None = Field(
        default=None, ge=0, le=60_000,
        description="what may be added to the period between two frames; default: half a period, at least 10",
    )  # fmt: skip
    inhibit_bit: int | None = Field(
        default=None, ge=FIRST_FREE_BIT, lt=64 * 8,
        description="bit (from bit 0 of byte 0) that says the car must not be started; the bootloader sends it too",
    )  # fmt: skip

    @field_validator("fd")
    @classmethod
    def _length_has_a_code(cls, fd: bool, info: ValidationInfo) -> bool:
        length = info.data.get("length", 8)
        if not fd and length > 8:
            raise ValueError(f"true: a classic frame carries 8 bytes, length is {length}")
        if length not in FD_LENGTHS:
            raise ValueError(f"a length of {', '.join(str(n) for n in FD_LENGTHS[9:])} above 8; found {length}")
        return fd

    @model_validator(mode="after")
    def _bit_lies_in_the_frame(self) -> FrameEntry:
        if self.inhibit_bit is not None and self.inhibit_bit >= 8 * self.length:
            raise ValueError(f"inhibit_bit from {FIRST_FREE_BIT} to {8 * self.length - 1}: length is {self.length}")
        return self

    def spec(self) -> FrameSpec:
        """Return it as a value."""
        return FrameSpec(can_id=self.id, **self.model_dump(exclude={"id", "tolerance_ms"}))

    @property
    def tolerated_ms(self) -> int:
        """What may be added to the period between two frames."""
        return max(self.period_ms // 2, 10) if self.tolerance_ms is None else self.tolerance_ms


class PartnerEntry(Identified):
    """A frame that the ECU expects; the n-th one's absence is DTC C10087 + (n - 1) * 0x100."""

    timeout_ms: int = Field(ge=10, le=600_000)
    channel: Name | None = Field(default=None, description="of a gateway: on which bus; default: its own")

    def spec(self) -> PartnerSpec:
        """Return it as a value."""
        return PartnerSpec(can_id=self.id, **self.model_dump(exclude={"id"}))


class ManagementEntry(FileModel):
    """Network management of the vehicle (AUTOSAR CanNm): alive messages at `base_id` + node, and its timers."""

    base_id: int = Field(default=0x500, ge=0, le=MAX_BASE_ID - 63)
    cycle_ms: int = Field(default=500, ge=10, le=60_000)
    repeat_ms: int = Field(default=1500, ge=10, le=60_000, description="how long a node that wakes shows itself")
    timeout_ms: int = Field(default=2000, ge=10, le=600_000, description="nobody needed the network for so long")
    wait_bus_sleep_ms: int = Field(default=1500, ge=10, le=60_000, description="from the last frame to sleep")

    @model_validator(mode="after")
    def _alive_before_time_out(self) -> ManagementEntry:
        if self.cycle_ms >= self.timeout_ms:
            raise ValueError(f"cycle_ms below timeout_ms ({self.timeout_ms}): else the network falls asleep in use")
        return self

    def spec(self, node: int) -> ManagementSpec:
        """Return it as a value, for one node."""
        return ManagementSpec(node=node, **self.model_dump())


class RouteEntry(FileModel):
    """What a gateway carries from one bus to another; `to_id` renumbers, from `id` on."""

    from_: Name = Field(alias="from", description="channel")
    to: Name = Field(description="channel")
    id: CanId
    last_id: CanId | None = Field(default=None, description="of a range; default: `id` alone")
    to_id: CanId | None = Field(default=None, description="what `id` becomes; default: the same")
    id_29_bit: bool = False
    frames: Literal["all", "classic"] = Field(default="all", description='"classic": CAN FD frames are left out')
    delay_ms: float = Field(default=0.1, ge=0, le=10_000)
    capacity: int = Field(default=64, ge=1, le=4000, description="frames under way; further ones are lost")
    node: int | None = Field(
        default=None, ge=1, le=0xFFFF, description="node whose frames these are: 28 04 stops them, 28 05 resumes them"
    )
    messages: Literal["normal", "network_management"] = Field(
        default="normal", description="which of communicationType's bits counts for a `node`"
    )

    @model_validator(mode="after")
    def _range_is_one(self) -> RouteEntry:
        if self.from_ == self.to:
            raise ValueError("from and to must be different channels")
        last = self.id if self.last_id is None else self.last_id
        if not self.id <= last < self.id + MAX_SPAN:
            raise ValueError(f"last_id from id to {MAX_SPAN - 1} above it")
        highest = max(last, last - self.id + (self.id if self.to_id is None else self.to_id))
        limit = MAX_EXTENDED_ID if self.id_29_bit else MAX_BASE_ID
        if highest > limit:
            raise ValueError(f"identifiers up to 0x{limit:X}{'' if self.id_29_bit else ', or id_29_bit = true'}")
        return self

    def takes(self, channel: str, can_id: int, *, id_29_bit: bool, fd: bool) -> bool:
        """Return whether it carries such a frame of a channel on."""
        last = self.id if self.last_id is None else self.last_id
        fits = self.from_ == channel and self.id <= can_id <= last and self.id_29_bit == id_29_bit
        return fits and not (fd and self.frames == "classic")

    def carried_as(self, can_id: int) -> int:
        """Return the identifier that a frame has where it is carried to."""
        return can_id - self.id + (self.id if self.to_id is None else self.to_id)

    def spec(self) -> RouteSpec:
        """Return it as a value."""
        return RouteSpec(
            source=self.from_, target=self.to, first_id=self.id,
            last_id=self.id if self.last_id is None else self.last_id,
            to_id=self.id if self.to_id is None else self.to_id, id_29_bit=self.id_29_bit,
            classic_only=self.frames == "classic", delay_us=round(self.delay_ms * 1000), capacity=self.capacity,
            node=self.node, management=self.messages == "network_management",
        )  # fmt: skip


def refuse_unfit_routes(ecu: str, routes: tuple[RouteEntry, ...], fd_channels: list[str], file: str) -> None:
    """Raise `InputError` for a route that would put CAN FD frames on a classic bus."""
    for number, route in enumerate(routes):
        if route.from_ in fd_channels and route.to not in fd_channels and route.frames == "all":
            raise InputError(
                f"gateway {ecu} routes from {route.from_}, a CAN FD bus, to {route.to}, which is a classic one",
                file=file,
                key=f"ecus.{ecu}.routes.{number}",
                found=f'from = "{route.from_}", to = "{route.to}"',
                allowed='frames = "classic" for that route, or data_bitrate_bit_s for the channel it leads to',
            )
