"""From files to a job: bench, scenario and firmware become something that can be run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.assembly.images import OwnFirmware, read_firmware
from bench.assembly.load import load_bench
from bench.core.clock import NS_PER_S
from bench.core.errors import InputError
from bench.core.world import World
from bench.description.load import BenchFiles
from bench.description.supply import load_profile
from bench.faults.inject import ArmedFault
from bench.flasher.values import Progress
from bench.rig.fault_targets import check_targets, files_of_faults
from bench.rig.rig import BenchRig
from bench.rig.run_images import make_images
from bench.runs.job import Job
from bench.runs.scenario import load_scenario


def _silent(_progress: Progress) -> None:
    """Nobody watches."""


def make_job(
    scenario_path: Path,
    bench_path: Path,
    *,
    seed: int = 1,
    images: Mapping[str, Path] | None = None,
    crop: bool = False,
    binary_base: int | None = None,
    progress: Callable[[Progress], None] = _silent,
) -> Job:
    """Read all files and return the job; everything wrong with them is an `InputError` here, before anything runs."""
    files = load_bench(bench_path)
    _refuse_real_ecus(files, bench_path)
    scenario = load_scenario(scenario_path)
    own = read_firmware(files, images or {}, crop=crop, base=binary_base)
    check_targets(files, scenario, str(scenario_path))
    run_images = make_images(files, scenario, scenario_path, seed, own)
    named = files_of_faults(scenario, scenario_path)
    supplies = {name: load_profile(path) for (folder, name), path in named.items() if folder == "supply"}
    inputs = {**files.inputs, f"scenarios/{scenario_path.name}": scenario_path.read_bytes()}
    inputs |= {f"{folder}/{path.name}": path.read_bytes() for (folder, _), path in named.items()}
    for ecu in own:
        inputs[f"images/{ecu}.header"] = run_images.target[ecu].header.encode()

    def build(world: World, faults: Sequence[ArmedFault]) -> BenchRig:
        return BenchRig(world, files, scenario, run_images, faults, progress, supplies)

    return Job(
        scenario=scenario,
        scenario_file=str(scenario_path),
        bench=files.bench.name,
        seed=seed,
        virtual=files.bench.clock == "virtual",
        poll_interval_ns=round(files.bench.agent.poll_interval_s * NS_PER_S),
        inputs=dict(sorted(inputs.items())),
        build=build,
        notes=tuple(_left_out(ecu, firmware) for ecu, firmware in own.items() if firmware.left_out),
        firmware_options=_firmware_options(images or {}, crop, binary_base),
    )


def _firmware_options(images: Mapping[str, Path], crop: bool, base: int | None) -> tuple[str, ...]:
    words = [word for ecu, path in images.items() for word in ("--image", f"{ecu}={path}")]
    words += ["--crop"] if crop else []
    return (*words, *(("--base", f"0x{base:X}") if base is not None else ()))


def _left_out(ecu: str, firmware: OwnFirmware) -> str:
    return f"{ecu}: left out of {firmware.file.name} by --crop: {', '.join(firmware.left_out)}"


def _refuse_real_ecus(files: BenchFiles, bench_path: Path) -> None:
    """A run is judged by what the bench sees of every ECU; one that is physically there shows too little yet."""
    simulated = [ecu.id for ecu in files.simulated]
    real = [ecu.id for ecu in files.vehicle.ecus if ecu.id not in simulated]
    if real:
        raise InputError(
            "a run needs every ECU simulated", file=str(bench_path), key="ecus.real", found=", ".join(real),
            allowed="no ECU", hint="leave the table [ecus] out to have the bench simulate them on the adapter",
        )  # fmt: skip
