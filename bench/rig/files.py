"""Bench file (equipment) and vehicle file (ECUs), and where the names in them are found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from bench.config import MAX_FILE_BYTES, FileModel, data_root, load_toml, read_bytes
from bench.core.errors import InputError
from bench.core.specs import EcuSpec, VehicleSpec
from bench.flasher.recipe import Recipe
from bench.rig.addressing import (
    AddressedEcu,
    FunctionalEntry,
    FunctionalHabitKeys,
    HabitKeys,
    TesterHabits,
    destinations,
    merged,
    refuse_collisions,
    refuse_contradictions,
    refuse_fd_on_classic,
)
from bench.rig.can_drivers import PYTHON_CAN, SIM, driver_names
from bench.rig.identifier_clashes import refuse_clashing_frames
from bench.rig.network_files import CarEntry, FrameEntry, ManagementEntry, PartnerEntry, RouteEntry, refuse_unfit_routes
from bench.rig.recipe_fit import refuse_unfit_recipe
from bench.wire.isotp import IsoTpAddress

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Label = Annotated[str, Field(pattern=r"^[ -~]{1,32}$")]
"""What an image header can carry: 1 to 32 printable ASCII characters."""
RESERVED_PARTS = ("agent", "car", "server", "tester", "vehicle")


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
    def _driver_is_installed(cls, driver: str) -> str:
        if driver not in driver_names():
            raise ValueError(f"no such CAN driver; installed: {', '.join(driver_names())}")
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

    def simulates(self, ecu: str) -> bool:
        """Return whether the bench simulates that ECU; else it is physically there."""
        return self.ecus.real != "all" and ecu not in self.ecus.real


class InstalledImage(FileModel):
    """The software that an ECU runs before the update."""

    version: Label
    release_counter: int = Field(ge=0, lt=2**32)
    size_bytes: int = Field(ge=1, le=64 * 1024 * 1024)


class EcuEntry(AddressedEcu):
    """One ECU of a vehicle: its place on the bus, its personality (how it behaves), its recipe (how it is flashed)."""

    id: Name
    personality: Name
    recipe: Name
    channel: Name
    hardware_id: Label
    software_id: Label
    installed: InstalledImage
    reached_on: Name | None = Field(
        default=None, description="channel on which the tester reaches it through a gateway; default: its own"
    )
    frames: tuple[FrameEntry, ...] = Field(default=(), description="what its application sends, cyclically")
    partners: tuple[PartnerEntry, ...] = Field(
        default=(), description="frames that it expects of others", max_length=16
    )
    nm_node: int | None = Field(default=None, ge=0, le=63, description="its node in the vehicle's [network]")
    routes: tuple[RouteEntry, ...] = Field(default=(), description="of a gateway: what it carries between the buses")

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


class VehicleFile(FileModel):
    """A whole vehicle file."""

    schema_: Literal[1] = Field(alias="schema")
    name: Name
    vin: str = Field(pattern=r"^[A-HJ-NPR-Z0-9]{17}$")
    dev_id: str = Field(pattern=r"^[A-Z]+:[A-Za-z0-9-]{1,64}$")
    manufacturer: str = Field(default="Example Cars", max_length=64)
    model: str = Field(default="Example", max_length=64)
    functional_id: int = Field(
        default=0x7DF, ge=0, le=0x7FF, description="of channels that `functional` does not name: normal, 11 bits"
    )
    functional: dict[Name, FunctionalEntry] = Field(default_factory=dict, description="functional address by channel")
    isotp: HabitKeys = Field(default=HabitKeys(), description="of the tester, towards every ECU")
    car: CarEntry = Field(default=CarEntry(), description="the car at a run's beginning")
    network: ManagementEntry | None = Field(default=None, description="network management; without it nobody sleeps")
    ecus: tuple[EcuEntry, ...] = Field(min_length=1)

    def spec(self) -> VehicleSpec:
        """Return the vehicle as its driver is asked to build it."""
        ecus = tuple(
            EcuSpec(
                id=ecu.id,
                personality=ecu.personality,
                channel=ecu.channel,
                hardware_id=ecu.hardware_id,
                software_id=ecu.software_id,
                reached_on=ecu.reached_on,
                frames=tuple(frame.spec() for frame in ecu.frames),
                partners=tuple(partner.spec() for partner in ecu.partners),
                management=None if self.network is None or ecu.nm_node is None else self.network.spec(ecu.nm_node),
                routes=tuple(route.spec() for route in ecu.routes),
                **ecu.spec_keys(),
            )
            for ecu in self.ecus
        )
        functional = {channel: destinations(entry.address())[0] for channel, entry in self.functional.items()}
        return VehicleSpec(
            vin=self.vin, functional_id=self.functional_id, ecus=ecus, functional=functional, car=self.car.state()
        )

    def functional_address(self, channel: str) -> IsoTpAddress:
        """Return where functional requests on a channel go."""
        entry = self.functional.get(channel)
        return entry.address() if entry else IsoTpAddress.normal(self.functional_id, self.functional_id)

    def functional_habits(self, channel: str) -> TesterHabits:
        """Return how functional requests on a channel are framed."""
        own = self.functional[channel].isotp if channel in self.functional else FunctionalHabitKeys()
        return merged(self.isotp, own)

    def habits(self, ecu: EcuEntry) -> TesterHabits:
        """Return the tester's habits towards an ECU."""
        return merged(self.isotp, ecu.isotp)

    @field_validator("ecus")
    @classmethod
    def _ids_differ(cls, ecus: tuple[EcuEntry, ...]) -> tuple[EcuEntry, ...]:
        _refuse_repeats("ECU", (ecu.id for ecu in ecus))
        for channel in dict.fromkeys(name for ecu in ecus for name in (ecu.channel, ecu.tester_channel)):
            places = (ecu.places() for ecu in ecus if channel in (ecu.channel, ecu.tester_channel))
            refuse_collisions(channel, chain.from_iterable(places))
        return ecus

    @model_validator(mode="after")
    def _functional_addresses_are_nobodys_own(self) -> VehicleFile:
        for ecu in self.ecus:
            for channel in dict.fromkeys((ecu.channel, ecu.tester_channel)):
                functional = destinations(self.functional_address(channel))[0]
                try:
                    for place in ecu.places():
                        refuse_collisions(channel, (place, functional))
                except ValueError:
                    key = f"functional.{channel}" if channel in self.functional else "functional_id"
                    raise ValueError(f"{key} {functional.text()} is an ECU's own identifier") from None
        return self

    @model_validator(mode="after")
    def _nodes_of_the_network_differ(self) -> VehicleFile:
        nodes = [(ecu.channel, ecu.nm_node) for ecu in self.ecus if ecu.nm_node is not None]
        _refuse_repeats("nm_node", (f"{node} on {channel}" for channel, node in nodes))
        if nodes and self.network is None:
            raise ValueError("[network] must be there when an ECU has nm_node; an empty table takes the defaults")
        return self

    @model_validator(mode="after")
    def _frames_have_identifiers_of_their_own(self) -> VehicleFile:
        refuse_clashing_frames(self)
        return self

    @model_validator(mode="after")
    def _habits_fit_together(self) -> VehicleFile:
        refuse_contradictions(self.isotp, FunctionalHabitKeys(), ("isotp",))
        for number, ecu in enumerate(self.ecus):
            refuse_contradictions(self.isotp, ecu.isotp, ("ecus", number, "isotp"))
        for channel, entry in self.functional.items():
            refuse_contradictions(self.isotp, entry.isotp, ("functional", channel, "isotp"))
        return self


def _refuse_repeats(what: str, values: Iterable[str]) -> None:
    seen: list[str] = []
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} stands twice")
        seen.append(value)


NAMED_BY = {
    "vehicles": "vehicle", "recipes": "ecus.recipe", "ecus": "ecus.personality", "supply": "faults.parameters.profile",
}  # fmt: skip
"""Folder: key that names a file of it."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Folders `benches/ vehicles/ ecus/ recipes/ scenarios/ supply/` that names are looked up in, first match wins."""

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
            f"there is no {name}.toml in {kind}/",
            file=str(named_by),
            key=NAMED_BY.get(kind, kind),
            found=f'"{name}"',
            allowed=", ".join(have) or "nothing",
            hint=f"name one of these, or put {name}.toml into {self.roots[0] / kind}",
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
        return tuple(ecu for ecu in self.vehicle.ecus if self.bench.simulates(ecu.id))


def load_bench(path: Path, vehicle_name: str | None = None) -> BenchFiles:
    """Read a bench file and what it names, and check that they fit each other.

    `vehicle_name` takes the place of the bench's own vehicle: a name, or the path of a file.
    """
    bench = load_toml(path, BenchFile, "bench")
    catalogue = Catalogue.around(path)
    vehicle_path = Path(vehicle_name or "")
    if vehicle_path.suffix == ".toml":
        catalogue = Catalogue.around(vehicle_path)
    else:
        vehicle_path = catalogue.path("vehicles", vehicle_name or bench.vehicle, named_by=path)
    vehicle = load_toml(vehicle_path, VehicleFile, "vehicle")
    channels = [channel.name for channel in bench.channels]
    fd_channels = [channel.name for channel in bench.channels if channel.data_bitrate_bit_s is not None]
    inputs = {f"benches/{path.name}": path.read_bytes(), f"vehicles/{vehicle_path.name}": vehicle_path.read_bytes()}
    recipes = {}
    personality_files = {}
    _check_real_ecus(bench, vehicle, path)
    for ecu in vehicle.ecus:
        _check_channels(ecu, channels, path, vehicle_path)
        refuse_unfit_routes(ecu.id, ecu.routes, fd_channels, str(vehicle_path))
        recipe_path = catalogue.path("recipes", ecu.recipe, named_by=vehicle_path)
        ecu_path = catalogue.path("ecus", ecu.personality, named_by=vehicle_path)
        recipes[ecu.id] = load_toml(recipe_path, Recipe, "recipe")
        _check_habits(bench, vehicle, ecu, recipes[ecu.id], (vehicle_path, recipe_path))
        if bench.simulates(ecu.id):
            refuse_unfit_recipe(ecu.id, recipes[ecu.id], recipe_path, ecu_path)
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


def _check_channels(ecu: EcuEntry, channels: list[str], path: Path, vehicle_path: Path) -> None:
    """Every channel that an ECU's entry names is one of the bench's."""
    named = [("channel", ecu.channel), ("reached_on", ecu.tester_channel)]
    named += [("routes", name) for route in ecu.routes for name in (route.from_, route.to)]
    for key, name in named:
        if name not in channels:
            raise InputError(
                f"ECU {ecu.id} {'sits on' if key == 'channel' else 'names'} a channel that the bench lacks",
                file=str(vehicle_path),
                key=f"ecus.{ecu.id}.{key}",
                found=f'"{name}"',
                allowed=", ".join(channels),
                hint=f"name a channel of {path.name}, or add [[channels]] with the name {name} there",
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
        if known[ecu_id].tester_channel not in adapters:
            raise InputError(
                f"ECU {ecu_id} is said to be real, but its channel is simulated",
                file=str(path),
                key="ecus.real",
                found=known[ecu_id].tester_channel,
                allowed=", ".join(adapters) or "a channel whose driver is an adapter",
            )


def _check_habits(
    bench: BenchFile, vehicle: VehicleFile, ecu: EcuEntry, recipe: Recipe, paths: tuple[Path, Path]
) -> None:
    """Refuse habits of the tester that the bus cannot carry or the recipe's blocks do not fit (paths of both files)."""
    fd = any(
        channel.name == ecu.tester_channel and channel.data_bitrate_bit_s is not None for channel in bench.channels
    )
    habits = vehicle.habits(ecu)
    refuse_fd_on_classic(ecu.tester_channel, fd, habits, str(paths[0]), f"ecus.{ecu.id}.isotp")
    functional = vehicle.functional_habits(ecu.tester_channel)
    refuse_fd_on_classic(ecu.tester_channel, fd, functional, str(paths[0]), f"functional.{ecu.tester_channel}.isotp")
    if recipe.memory.block_limit_bytes > habits.max_length:
        raise InputError(
            f"blocks of ECU {ecu.id}'s recipe are longer than the tester's messages",
            file=str(paths[1]),
            key="memory.block_limit_bytes",
            found=recipe.memory.block_limit_bytes,
            allowed=f"up to {habits.max_length}: ecus.{ecu.id}.isotp.max_length in {paths[0].name}",
        )
