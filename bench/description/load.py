"""A bench file with all that it names, read and compared with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.config import MAX_FILE_BYTES, load_toml, read_bytes
from bench.core.errors import InputError
from bench.description.addressing import (
    refuse_fd_on_classic,
)
from bench.description.bench_file import DRIVERS, SIM, BenchFile
from bench.description.catalogue import Catalogue
from bench.description.ecu_description import EcuDescription
from bench.description.ecu_entry import EcuEntry
from bench.description.network_files import (
    refuse_unfit_routes,
)
from bench.description.recipe_fit import refuse_unfit_recipe
from bench.description.vehicle_file import VehicleFile
from bench.flasher.recipe import Recipe


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
    def software_ids(self) -> dict[str, str]:
        """By ECU id."""
        return {ecu.id: ecu.software_id for ecu in self.vehicle.ecus}

    @property
    def simulated(self) -> tuple[EcuEntry, ...]:
        """The ECUs that the bench simulates; the others are physically there."""
        return tuple(ecu for ecu in self.vehicle.ecus if self.bench.simulates(ecu.id))


def read_bench(
    path: Path, vehicle_name: str | None, *, drivers: Sequence[str], describe: Callable[[Path], EcuDescription]
) -> BenchFiles:
    """Read a bench file and what it names, and check that they fit each other.

    `vehicle_name` takes the place of the bench's own vehicle: a name, or the path of a file. `drivers` are the CAN
    drivers that are installed; `describe` says what a personality file's ECU is.
    """
    bench = load_toml(path, BenchFile, "bench", {DRIVERS: tuple(drivers)})
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
        recipes[ecu.id] = load_toml(recipe_path, Recipe, "recipe")
        _check_habits(bench, vehicle, ecu, recipes[ecu.id], (vehicle_path, recipe_path))
        inputs[f"recipes/{recipe_path.name}"] = read_bytes(recipe_path, limit_bytes=MAX_FILE_BYTES, what="recipe")
        if bench.simulates(ecu.id) and ecu.missing is not None:
            raise ecu.without(ecu.missing, str(vehicle_path))
        if ecu.personality is None:
            continue
        ecu_path = catalogue.path("ecus", ecu.personality, named_by=vehicle_path)
        if bench.simulates(ecu.id):
            refuse_unfit_recipe(ecu.id, recipes[ecu.id], recipe_path, ecu_path, describe(ecu_path))
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
    named += [("affects", name) for name in ecu.affects or ()]
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
