"""Which supply profiles the faults of a scenario name, and where they lie."""

from __future__ import annotations

from pathlib import Path

from bench.core.points import FaultPoint
from bench.description.catalogue import Catalogue
from bench.faults.catalogue import SupplyParameters, check_fault
from bench.runs.scenario import Scenario


def profile_paths(scenario: Scenario, scenario_path: Path) -> dict[str, Path]:
    """Return where the profiles lie that a scenario's faults name; `InputError` lists what there is."""
    catalogue = Catalogue.around(scenario_path)
    found = {}
    for fault in scenario.faults:
        parameters = check_fault(FaultPoint.parse(fault.point), fault.parameters, file=str(scenario_path))
        if isinstance(parameters, SupplyParameters):
            found[parameters.profile] = catalogue.path("supply", parameters.profile, named_by=scenario_path)
    return found
