"""Write docs/schemas: JSON Schemas of every file that otabench reads or writes (`make schemas`)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from bench.description.bench_file import BenchFile
from bench.description.ecu_description import EcuDescription
from bench.description.vehicle_file import VehicleFile
from bench.evidence.schemas import OUTPUT_SCHEMAS, write_schemas
from bench.flasher.recipe import Recipe
from bench.flashing.explain import ExplainedRecipe
from bench.flashing.models import FlashPlan, FlashRead, FlashResultJson
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
    "recipe-check": ExplainedRecipe,
    **OUTPUT_SCHEMAS,
}

if __name__ == "__main__":
    for path in write_schemas(Path(sys.argv[1]), MODELS):
        sys.stdout.write(f"{path}\n")
