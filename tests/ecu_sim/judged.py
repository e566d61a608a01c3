"""What the oracle would be handed of a car with one ECU, without agent and server."""

from __future__ import annotations

from typing import Any

from bench.core.records import ImageReference, Limits, RunRecord
from bench.images.signing import SignedImage
from bench.trust.keys import public_key
from tests.oracle.oracle_vectors import watched


def record_of(car: Any, *genuine: SignedImage) -> RunRecord:
    """Freeze what was observed of the ECU so far; `genuine` are images that it may run."""
    recorder, world = car.world.recorder, car.world
    return RunRecord(
        vin="ZZZ00TABENCH00001", ended_t_ns=world.clock.now_ns(), limits=Limits(0, 0), expects_update=False,
        layouts=(car.vehicle.layout("ecu"),),
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
