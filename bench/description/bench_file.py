"""The bench file: channels and their drivers, what is simulated, power, server, the agent's computer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from bench.config import FileModel
from bench.description.names import Name, refuse_repeats

SIM, PYTHON_CAN = "sim", "python-can"
"""The built-in CAN drivers."""
DRIVERS = "drivers"
"""Key of the validation context: the names of the CAN drivers that are installed; without it any name will do."""


class Channel(FileModel):
    """One CAN channel and its driver: `sim`, `python-can`, or one that a package brings (`otabench.can`)."""

    name: Name
    driver: str = Field(min_length=1, max_length=64)
    interface: str = Field(default="", max_length=64, description="python-can's name of the kind of adapter")
    channel: str = Field(default="", max_length=256, description="the adapter's channel; default: the name")
    options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="handed to the adapter's driver as they are"
    )
    transport: Literal["own", "can-isotp", "kernel"] = Field(default="own", description="who does ISO-TP here")
    grain: Literal["auto", "frame"] = Field(
        default="auto", description="simulated bus: runs of frames at once where that is the same, or each alone"
    )
    bitrate_bit_s: int = Field(ge=10_000, le=1_000_000)
    data_bitrate_bit_s: int | None = Field(
        default=None, ge=10_000, le=8_000_000, description="bit rate of the data phase: makes it a CAN FD bus"
    )

    @model_validator(mode="after")
    def _data_phase_is_not_slower(self) -> Channel:
        if self.data_bitrate_bit_s is not None and self.data_bitrate_bit_s < self.bitrate_bit_s:
            raise ValueError(f"data_bitrate_bit_s is below bitrate_bit_s ({self.bitrate_bit_s})")
        return self

    @field_validator("driver")
    @classmethod
    def _driver_is_installed(cls, driver: str, info: ValidationInfo) -> str:
        installed: tuple[str, ...] = (info.context or {}).get(DRIVERS, ())
        if installed and driver not in installed:
            raise ValueError(f"no such CAN driver; installed: {', '.join(installed)}")
        return driver

    @model_validator(mode="after")
    def _driver_and_keys_fit(self) -> Channel:
        if self.driver == SIM and (self.interface or self.channel or self.options or self.transport != "own"):
            raise ValueError("interface, channel, options and transport are for adapters; driver 'sim' has none")
        if self.driver != SIM and self.grain != "auto":
            raise ValueError("grain is for the simulated bus; an adapter carries frames as they come")
        if self.driver == PYTHON_CAN and not self.interface:
            raise ValueError("driver 'python-can' needs interface, for example 'socketcan', 'slcan' or 'pcan'")
        if self.transport == "kernel" and (self.driver, self.interface) != (PYTHON_CAN, "socketcan"):
            raise ValueError(
                "transport 'kernel' is a Linux socket: it needs driver 'python-can', interface 'socketcan'"
            )
        return self


class RealEcus(FileModel):
    """Which ECUs are physically there; the bench simulates the others."""

    real: Literal["all"] | tuple[Name, ...] = Field(default=(), description="ids of ECUs, or 'all'")


class Power(FileModel):
    """Who switches the ECUs' and the agent's supply."""

    driver: Literal["sim"]


class Server(FileModel):
    """The DM server: `sim` is called inline with a modelled network, `tls` serves on loopback with mutual TLS."""

    driver: Literal["sim", "tls"]
    latency_ms: float = Field(default=20.0, ge=0, le=60_000)
    rate_bytes_s: int = Field(default=1_000_000, ge=1, le=10_000_000_000)
    port: int = Field(default=0, ge=0, le=65535)


class AgentEquipment(FileModel):
    """The agent's computer: `sim` has a disk that loses what was not synced, `local` a folder of this machine."""

    driver: Literal["sim", "local"]
    poll_interval_s: float = Field(default=30.0, gt=0, le=86_400)
    disk_bytes: int = Field(default=64 * 1024 * 1024, ge=65_536, le=2**40)
    sync_ms: float = Field(default=2.0, ge=0, le=10_000)
    parallel: bool = Field(default=False, description="ECUs whose recipes allow it are flashed at the same time")


class BenchFile(FileModel):
    """A whole bench file. `clock = "virtual"` simulates time; `"real"` is this machine's."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    vehicle: Name
    clock: Literal["virtual", "real"]
    channels: tuple[Channel, ...] = Field(min_length=1)
    ecus: RealEcus = RealEcus()
    power: Power
    server: Server
    agent: AgentEquipment

    @field_validator("channels")
    @classmethod
    def _names_differ(cls, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
        refuse_repeats("channel", (channel.name for channel in channels))
        return channels

    @model_validator(mode="after")
    def _drivers_fit_the_clock(self) -> BenchFile:
        drivers = [(f"channel {channel.name}", channel.driver) for channel in self.channels]
        drivers += [("server", self.server.driver), ("agent", self.agent.driver)]
        real = [name for name, driver in drivers if driver != SIM]
        if self.clock == "virtual" and real:
            raise ValueError(f"clock = 'virtual' allows driver = 'sim' only; {', '.join(real)} needs clock = 'real'")
        return self

    def simulates(self, ecu: str) -> bool:
        """Return whether the bench simulates that ECU; else it is physically there."""
        return self.ecus.real != "all" and ecu not in self.ecus.real
