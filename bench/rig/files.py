"""Bench file (equipment) and vehicle file (ECUs), and where the names in them are found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from bench.config import MAX_FILE_BYTES, FileModel, data_root, load_toml, read_bytes
from bench.core.errors import InputError
from bench.core.specs import EcuSpec, VehicleSpec
from bench.flasher.recipe import Recipe
from bench.rig.can_drivers import PYTHON_CAN, SIM, driver_names

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
BaseId = Annotated[int, Field(ge=0, le=0x7FF)]
Label = Annotated[str, Field(pattern=r"^[ -~]{1,32}$")]
"""What an image header can carry: 1 to 32 printable ASCII characters."""
RESERVED_PARTS = ("agent", "server", "tester", "vehicle")


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
    def _driver_is_installed(cls, driver: str) -> str:
        if driver not in driver_names():
            raise ValueError(f"no such CAN driver; installed: {', '.join(driver_names())}")
        return driver

    @model_validator(mode="after")
    def _driver_and_keys_fit(self) -> Channel:
        if self.driver == SIM and (self.interface or self.channel or self.options or self.transport != "own"):
            raise ValueError("interface, channel, options and transport are for adapters; driver 'sim' has none")
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
    disk_bytes: int = Field(default=64 * 1024 * 1024, ge=65_536)
    sync_ms: float = Field(default=2.0, ge=0, le=10_000)


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
        _refuse_repeats("channel", (channel.name for channel in channels))
        return channels

    @model_validator(mode="after")
    def _drivers_fit_the_clock(self) -> BenchFile:
        drivers = [(f"channel {channel.name}", channel.driver) for channel in self.channels]
        drivers += [("server", self.server.driver), ("agent", self.agent.driver)]
        real = [name for name, driver in drivers if driver != SIM]
        if self.clock == "virtual" and real:
            raise ValueError(f"clock = 'virtual' allows driver = 'sim' only; {', '.join(real)} needs clock = 'real'")
        return self


class InstalledImage(FileModel):
    """The software that an ECU runs before the update."""

    version: Label
    release_counter: int = Field(ge=0, lt=2**32)
    size_bytes: int = Field(ge=1, le=16 * 1024 * 1024)


class EcuEntry(FileModel):
    """One ECU of a vehicle: its place on the bus, its personality (how it behaves), its recipe (how it is flashed)."""

    id: Name
    personality: Name
    recipe: Name
    channel: Name
    request_id: BaseId
    response_id: BaseId
    hardware_id: Label
    software_id: Label
    installed: InstalledImage

    @field_validator("id")
    @classmethod
    def _is_no_part_of_the_bench(cls, value: str) -> str:
        if value in RESERVED_PARTS:
            raise ValueError(f"the names {', '.join(RESERVED_PARTS)} belong to the bench")
        return value


class VehicleFile(FileModel):
    """A whole vehicle file."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    vin: str = Field(pattern=r"^[A-HJ-NPR-Z0-9]{17}$")
    dev_id: str = Field(pattern=r"^[A-Z]+:[A-Za-z0-9-]{1,64}$")
    manufacturer: str = Field(default="Example Cars", max_length=64)
    model: str = Field(default="Example", max_length=64)
    functional_id: BaseId
    ecus: tuple[EcuEntry, ...] = Field(min_length=1)

    def spec(self) -> VehicleSpec:
        """Return the vehicle as its driver is asked to build it."""
        ecus = tuple(
            EcuSpec(
                id=ecu.id,
                personality=ecu.personality,
                channel=ecu.channel,
                request_id=ecu.request_id,
                response_id=ecu.response_id,
                hardware_id=ecu.hardware_id,
                software_id=ecu.software_id,
            )
            for ecu in self.ecus
        )
        return VehicleSpec(vin=self.vin, functional_id=self.functional_id, ecus=ecus)

    @field_validator("ecus")
    @classmethod
    def _ids_differ(cls, ecus: tuple[EcuEntry, ...]) -> tuple[EcuEntry, ...]:
        _refuse_repeats("ECU", (ecu.id for ecu in ecus))
        pairs = [f"{ecu.channel} 0x{can_id:03X}" for ecu in ecus for can_id in (ecu.request_id, ecu.response_id)]
        _refuse_repeats("CAN identifier", pairs)
        return ecus

    @model_validator(mode="after")
    def _functional_id_is_nobodys_own(self) -> VehicleFile:
        if any(self.functional_id in (ecu.request_id, ecu.response_id) for ecu in self.ecus):
            raise ValueError(f"functional_id 0x{self.functional_id:03X} is an ECU's own identifier")
        return self


def _refuse_repeats(what: str, values: Iterable[str]) -> None:
    seen: list[str] = []
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} stands twice")
        seen.append(value)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Folders `benches/ vehicles/ ecus/ recipes/ scenarios/` that names are looked up in, first match wins."""

    roots: tuple[Path, ...]

    @classmethod
    def around(cls, file: Path) -> Catalogue:
        """Return the folders around a user's file, then the built-in ones."""
        around = file.resolve().parent.parent
        return cls(tuple(dict.fromkeys((around, data_root().resolve()))))

    def path(self, kind: str, name: str, *, named_by: Path) -> Path:
        """Return where `<kind>/<name>.toml` lies; `InputError` lists what there is."""
        for root in self.roots:
            path = root / kind / f"{name}.toml"
            if path.is_file():
                return path
        have = sorted({path.stem for root in self.roots for path in (root / kind).glob("*.toml")})
        raise InputError(
            f"there is no {name}.toml in {kind}/", file=str(named_by), found=name, allowed=", ".join(have) or "nothing"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchFiles:
    """A bench with everything its files name, and the bytes of these files for the run's record."""

    bench: BenchFile
    vehicle: VehicleFile
    recipes: dict[str, Recipe]
    """By ECU id."""
    personality_files: dict[str, Path]
    """By personality name."""
    vehicle_path: Path
    inputs: dict[str, bytes]

    @property
    def simulated(self) -> tuple[EcuEntry, ...]:
        """The ECUs that the bench simulates; the others are physically there."""
        real = self.bench.ecus.real
        return tuple(ecu for ecu in self.vehicle.ecus if real != "all" and ecu.id not in real)


def load_bench(path: Path) -> BenchFiles:
    """Read a bench file and what it names, and check that they fit each other."""
    bench = load_toml(path, BenchFile, "bench")
    catalogue = Catalogue.around(path)
    vehicle_path = catalogue.path("vehicles", bench.vehicle, named_by=path)
    vehicle = load_toml(vehicle_path, VehicleFile, "vehicle")
    channels = [channel.name for channel in bench.channels]
    inputs = {f"benches/{path.name}": path.read_bytes(), f"vehicles/{vehicle_path.name}": vehicle_path.read_bytes()}
    recipes = {}
    personality_files = {}
    _check_real_ecus(bench, vehicle, path)
    for ecu in vehicle.ecus:
        if ecu.channel not in channels:
            raise InputError(
                f"ECU {ecu.id} sits on a channel that the bench lacks",
                file=str(vehicle_path),
                key=f"ecus.{ecu.id}.channel",
                found=ecu.channel,
                allowed=", ".join(channels),
            )
        recipe_path = catalogue.path("recipes", ecu.recipe, named_by=vehicle_path)
        ecu_path = catalogue.path("ecus", ecu.personality, named_by=vehicle_path)
        recipes[ecu.id] = load_toml(recipe_path, Recipe, "recipe")
        inputs[f"recipes/{recipe_path.name}"] = read_bytes(recipe_path, limit_bytes=MAX_FILE_BYTES, what="recipe")
        inputs[f"ecus/{ecu_path.name}"] = read_bytes(ecu_path, limit_bytes=MAX_FILE_BYTES, what="personality")
        personality_files[ecu.personality] = ecu_path
    return BenchFiles(
        bench=bench,
        vehicle=vehicle,
        recipes=recipes,
        personality_files=personality_files,
        vehicle_path=vehicle_path,
        inputs=dict(sorted(inputs.items())),
    )


def _check_real_ecus(bench: BenchFile, vehicle: VehicleFile, path: Path) -> None:
    """Every ECU said to be physically there is one of the vehicle's, on a channel with an adapter."""
    known = {ecu.id: ecu for ecu in vehicle.ecus}
    adapters = [channel.name for channel in bench.channels if channel.driver != SIM]
    for ecu_id in known if bench.ecus.real == "all" else bench.ecus.real:
        if ecu_id not in known:
            raise InputError(
                "an ECU is said to be real that the vehicle lacks",
                file=str(path),
                key="ecus.real",
                found=ecu_id,
                allowed=", ".join(known),
            )
        if known[ecu_id].channel not in adapters:
            raise InputError(
                f"ECU {ecu_id} is said to be real, but its channel is simulated",
                file=str(path),
                key="ecus.real",
                found=known[ecu_id].channel,
                allowed=", ".join(adapters) or "a channel whose driver is an adapter",
            )
