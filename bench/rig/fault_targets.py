"""Do a scenario's faults fit the vehicle: parts, ECUs and addresses that exist."""

from __future__ import annotations

from bench.core.errors import InputError
from bench.core.points import FaultPoint
from bench.description.load import BenchFiles
from bench.faults.catalogue import BitRotParameters, PackageParameters, check_fault
from bench.runs.scenario import Scenario
from bench.wire.image_header import HEADER_BYTES


def check_targets(files: BenchFiles, scenario: Scenario, scenario_file: str) -> None:
    """Raise `InputError` for the first fault that names something this vehicle does not have."""
    for fault in scenario.faults:
        point = FaultPoint.parse(fault.point)
        parameters = check_fault(point, fault.parameters, file=scenario_file)
        _check_part(files, point, scenario_file)
        if isinstance(parameters, PackageParameters):
            for order in scenario.orders:  # every package on its way is changed, from the fault on
                ordered = [image.ecu for image in order.images]
                what = f"no image of package {order.package} is for that ECU"
                _check("parameters.ecu", parameters.ecu, ordered, what, scenario_file)
        if isinstance(parameters, BitRotParameters):
            _check_address(files, point.part, parameters, scenario_file)


def _check_part(files: BenchFiles, point: FaultPoint, scenario_file: str) -> None:
    ecus = [ecu.id for ecu in files.vehicle.ecus]
    anybody = {name: [*ecus, "agent"] for name in ("power.vehicle", "condition", "driver")}
    by_class = {"power.agent": ["agent"], "package": ["agent"], **anybody}
    problem = f"{point.fault_class} cannot strike {point.part!r}"
    _check("point", point.part, by_class.get(point.fault_class, ecus), problem, scenario_file)


def _check_address(files: BenchFiles, ecu: str, rot: BitRotParameters, scenario_file: str) -> None:
    memory = files.recipes[ecu].memory
    first, size_bytes = (0, HEADER_BYTES) if rot.area == "header" else (memory.region_base, memory.region_size)
    if not first <= rot.address < first + size_bytes:
        raise InputError(
            f"ECU {ecu} has no such address in its {rot.area}",
            file=scenario_file,
            key="faults.parameters.address",
            found=f"0x{rot.address:X}",
            allowed=f"0x{first:X} to 0x{first + size_bytes - 1:X}",
        )


def _check(key: str, found: str, allowed: list[str], problem: str, scenario_file: str) -> None:
    if found not in allowed:
        raise InputError(problem, file=scenario_file, key=f"faults.{key}", found=found, allowed=", ".join(allowed))
