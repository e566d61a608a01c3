"""Packages that are changed after they were signed, or that their maker signed for the wrong hardware."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import FileModel
from bench.core.points import FaultPoint
from bench.faults.kinds import AGENT, FaultKind, FaultTargets, Strike, Unfit
from bench.faults.package import flip_payload_bit, flip_signature_bit
from bench.ports.faults import PACKAGE_PATH, SIGN_FOR_HARDWARE


class PackageParameters(FileModel):
    """How packages are changed after they were signed, and how many of them (every one where `times` is absent).

    `hardware_id` belongs to `wrong_hardware_id` alone.
    """

    change: Literal["payload_byte", "signature", "wrong_hardware_id"]
    ecu: str
    hardware_id: str = Field(default="OTHER-HW-99", min_length=1, max_length=32)
    times: int | None = Field(
        default=None, ge=1, description="how many packages, one after the other; every one if absent"
    )


def _change(strike: Strike) -> None:
    how: PackageParameters = strike.parameters
    path = strike.port(PACKAGE_PATH)
    if how.change == "payload_byte":
        path.set(lambda package: flip_payload_bit(package, how.ecu), how.times)
    elif how.change == "signature":
        path.set(flip_signature_bit, how.times)
    else:
        sign = strike.port(SIGN_FOR_HARDWARE)
        path.set(lambda package: sign(package, how.ecu, how.hardware_id), how.times)


def _refuse_an_ecu_without_image(point: FaultPoint, how: PackageParameters, targets: FaultTargets) -> None:
    for package, ecus in targets.packages.items():  # every package on its way is changed, from the fault on
        if how.ecu not in ecus:
            problem = f"no image of package {package} is for that ECU"
            raise Unfit(problem, key="ecu", found=how.ecu, allowed=", ".join(ecus))


KINDS = (
    FaultKind(
        fault_class="package",
        title="package changed on its way",
        strikes=(AGENT,),
        parameters=PackageParameters,
        inject=_change,
        ports=(PACKAGE_PATH, SIGN_FOR_HARDWARE),
        bounded=False,
        events=("http",),
        refuse_unfit=_refuse_an_ecu_without_image,
    ),
)
