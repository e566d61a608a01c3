"""One ECU of a vehicle file: where it is, how it behaves, how it is flashed, what it runs and sends."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from bench.config import FileModel
from bench.core.errors import InputError
from bench.description.addressing import (
    AddressedEcu,
)
from bench.description.names import RESERVED_PARTS, Label, Name
from bench.description.network_files import (
    FrameEntry,
    PartnerEntry,
    RouteEntry,
)


class InstalledImage(FileModel):
    """The software that an ECU runs before the update."""

    version: Label
    release_counter: int = Field(ge=0, lt=2**32)
    size_bytes: int = Field(ge=1, le=64 * 1024 * 1024)


class FlowControl(FileModel):
    """What an ECU asks of whoever sends it a long message (ISO 15765-2, flow control)."""

    bs: int = Field(default=0, ge=0, le=255, description="consecutive frames between two flow controls; 0: all")
    st_min: int = Field(
        default=0, ge=0, le=255, description="gap between them as it is encoded: milliseconds to 0x7F, 0xF1 to 0xF9"
    )


class EcuEntry(AddressedEcu):
    """One ECU of a vehicle: its place on the bus, its personality (how it behaves), its recipe (how it is flashed).

    What only simulating it needs (`personality`, `installed`) may be missing of an ECU that is physically there; so may
    `hardware_id`, where no image is signed for it.
    """

    id: Name
    personality: Name | None = Field(default=None, description="its ECU file; needed where the bench simulates it")
    recipe: Name
    channel: Name
    hardware_id: Label = Field(default="", description="needed where the bench simulates it or signs an image for it")
    software_id: Label
    installed: InstalledImage | None = Field(default=None, description="needed where the bench simulates it")
    reached_on: Name | None = Field(
        default=None, description="channel on which the tester reaches it through a gateway; default: its own"
    )
    flow_control: FlowControl | None = Field(
        default=None, description="what the simulated ECU asks of testers; default: as its personality says"
    )
    frames: tuple[FrameEntry, ...] = Field(default=(), description="what its application sends, cyclically")
    partners: tuple[PartnerEntry, ...] = Field(
        default=(), description="frames that it expects of others", max_length=16
    )
    nm_node: int | None = Field(default=None, ge=0, le=63, description="its node in the vehicle's [network]")
    routes: tuple[RouteEntry, ...] = Field(default=(), description="of a gateway: what it carries between the buses")
    affects: tuple[Name, ...] | None = Field(
        default=None,
        description="channels on which frames go missing while it is updated; default: derived from all ECUs' frames, "
        "routes and partners",
    )

    @property
    def kind(self) -> str:
        """Return the name of its ECU file; `InputError` where the vehicle file names none."""
        if self.personality is None:
            raise self.without("personality")
        return self.personality

    @property
    def factory(self) -> InstalledImage:
        """Return what it runs before the update; `InputError` where the vehicle file does not say it."""
        if self.installed is None:
            raise self.without("installed")
        return self.installed

    @property
    def missing(self) -> str | None:
        """Return the first key that is missing for simulating it or running campaigns on it."""
        wanted = {"personality": self.personality, "hardware_id": self.hardware_id, "installed": self.installed}
        return next((name for name, value in wanted.items() if not value), None)

    def without(self, key: str, file: str | None = None) -> InputError:
        """Return what is raised where a key is needed that the vehicle file does not have."""
        return InputError(
            f"ECU {self.id} has no {key}", file=file, key=f"ecus.{self.id}.{key}", found="nothing",
            allowed="what an ECU that is simulated, signed for or judged must have",
            hint=f"add {key}; only an ECU that is physically there and takes its maker's files as they are needs none",
        )  # fmt: skip

    @property
    def tester_channel(self) -> str:
        """The channel on which the tester reaches it."""
        return self.reached_on or self.channel

    @model_validator(mode="after")
    def _frames_are_on_its_own_buses(self) -> EcuEntry:
        own = {self.channel, *(name for route in self.routes for name in (route.from_, route.to))}
        named = [("frames", frame.channel) for frame in self.frames]
        for key, channel in (*named, *(("partners", partner.channel) for partner in self.partners)):
            if channel not in (None, *own):
                raise ValueError(f"{key}.channel: {', '.join(sorted(own))}; found {channel!r}")
        return self

    @field_validator("id")
    @classmethod
    def _is_no_part_of_the_bench(cls, value: str) -> str:
        if value in RESERVED_PARTS:
            raise ValueError(f"the names {', '.join(RESERVED_PARTS)} belong to the bench")
        return value
