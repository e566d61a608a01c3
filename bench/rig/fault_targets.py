"""Do a scenario's faults fit the vehicle: parts, ECUs and addresses that exist; and which files they name."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import InputError
from bench.core.points import FaultPoint
from bench.description.catalogue import Catalogue
from bench.description.load import BenchFiles
from bench.faults.catalogue import check_fault, fault_kinds
from bench.faults.kinds import AGENT, ECU, FaultTargets, Unfit
from bench.runs.scenario import Scenario
from bench.wire.image_header import HEADER_BYTES


def check_targets(files: BenchFiles, scenario: Scenario, scenario_file: str) -> None:
    """Raise `InputError` for the first fault that names something this vehicle does not have."""
    targets = _targets(files, scenario)
    for fault in scenario.faults:
        point = FaultPoint.parse(fault.point)
        parameters = check_fault(point, fault.parameters, file=scenario_file)
        kind = fault_kinds()[point.fault_class]
        allowed = targets.of_kinds(kind.strikes)
        if point.part not in allowed:
            problem = f"{point.fault_class} cannot strike {point.part!r}"
            raise InputError(
                problem, file=scenario_file, key="faults.point", found=point.part, allowed=", ".join(allowed)
            )
        try:
            kind.refuse_unfit(point, parameters, targets)
        except Unfit as unfit:
            key = f"faults.parameters.{unfit.key}"
            raise InputError(
                unfit.problem, file=scenario_file, key=key, found=unfit.found, allowed=unfit.allowed
            ) from None


def files_of_faults(scenario: Scenario, scenario_path: Path) -> dict[tuple[str, str], Path]:
    """Return where the data files lie that a scenario's faults name, by folder and name.

    `InputError` lists what there is.
    """
    catalogue = Catalogue.around(scenario_path)
    found = {}
    for fault in scenario.faults:
        point = FaultPoint.parse(fault.point)
        parameters = check_fault(point, fault.parameters, file=str(scenario_path))
        for folder, key in fault_kinds()[point.fault_class].files:
            name = str(getattr(parameters, key))
            found[folder, name] = catalogue.path(folder, name, named_by=scenario_path)
    return found


def _targets(files: BenchFiles, scenario: Scenario) -> FaultTargets:
    areas = {}
    for ecu in files.vehicle.ecus:
        memory = files.recipes[ecu.id].memory
        areas[ecu.id, "header"] = range(HEADER_BYTES)
        areas[ecu.id, "image"] = range(memory.region_base, memory.region_base + memory.region_size)
    return FaultTargets(
        parts={**{ecu.id: ECU for ecu in files.vehicle.ecus}, "agent": AGENT},
        packages={order.package: [image.ecu for image in order.images] for order in scenario.orders},
        areas=areas,
    )
