"""Write docs/schemas: JSON Schemas of every file that otabench reads or writes (`make schemas`)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from bench.cli.flash_models import FlashPlan, FlashRead, FlashResultJson
from bench.evidence.schemas import OUTPUT_SCHEMAS, write_schemas
from bench.flasher.recipe import Recipe
from bench.rig.ecu_description import EcuDescription
from bench.rig.files import BenchFile, VehicleFile
from bench.runs.scenario import Scenario
from ecu_sim.personality.personality import Personality

MODELS: Mapping[str, type[BaseModel]] = {
    "bench-file": BenchFile,
    "vehicle-file": VehicleFile,
    "ecu-file": Personality,
    "recipe-file": Recipe,
    "scenario-file": Scenario,
    "ecu-description": EcuDescription,
    "flash": FlashResultJson,
    "flash-plan": FlashPlan,
    "flash-read": FlashRead,
    **OUTPUT_SCHEMAS,
}

if __name__ == "__main__":
    for path in write_schemas(Path(sys.argv[1]), MODELS):
        sys.stdout.write(f"{path}\n")
