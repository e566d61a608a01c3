"""What the oracle would be handed of a car with one ECU, without agent and server."""

from __future__ import annotations

from typing import Any

from bench.config import data_root
from bench.core.records import EcuLayout, ImageReference, Limits, RunRecord
from bench.description.ecu_facts import EcuFacts, ecu_layout
from bench.flasher.recipe_parts import Routines
from bench.images.signing import SignedImage
from bench.trust.keys import public_key
from tests.ecu_sim.conftest import personality_files
from tests.oracle.oracle_vectors import watched


def layout_of(car: Any) -> EcuLayout:
    """Return what the judge knows of the car's ECU, from its file."""
    facts = EcuFacts.load(personality_files(data_root())[car.personality])
    return ecu_layout(car.vehicle.spec.ecus[0], Routines(erase=0xFF00, check_memory=0x0202), facts)


def record_of(car: Any, *genuine: SignedImage) -> RunRecord:
    """Freeze what was observed of the ECU so far; `genuine` are images that it may run."""
    recorder, world = car.world.recorder, car.world
    return RunRecord(
        vin="ZZZ00TABENCH00001", ended_t_ns=world.clock.now_ns(), limits=Limits(0, 0), expects_update=False,
        layouts=(layout_of(car),),
        references=tuple(
            ImageReference("ecu", "installed", image.header.version, image.header.encode(), image.data)
            for image in genuine
        ),
        image_public_key=public_key("image"), package_public_key=public_key("package"), package_url_suffix=".zip",
        faults=(), power=watched(tuple(recorder.power)), server_events=watched(()), http=watched(()),
        readings=watched(()), flash=watched((car.vehicle.dump("ecu"),)), boots=watched(tuple(recorder.boots)),
        executions=watched(tuple(recorder.executions)), bootloader_runs=watched(tuple(recorder.bootloader_runs)),
        flash_operations=watched(tuple(recorder.flash)),
    )  # fmt: skip
