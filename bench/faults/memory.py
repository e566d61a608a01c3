"""Bit rot: flash that forgets what was programmed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import FileModel
from bench.core.points import FaultPoint
from bench.faults.kinds import ECU, FaultKind, FaultTargets, Strike, Unfit
from bench.ports.faults import STORED_BITS


class BitRotParameters(FileModel):
    """Which bit flips: in the image (linked address) or in its header slot (offset)."""

    area: Literal["image", "header"] = "image"
    address: int = Field(ge=0, lt=2**32)
    bit: int = Field(ge=0, le=7)


def _rot(strike: Strike) -> None:
    bit: BitRotParameters = strike.parameters
    strike.port(STORED_BITS).flip_bit(bit.area, bit.address, bit.bit)


def _refuse_an_address_outside(point: FaultPoint, rot: BitRotParameters, targets: FaultTargets) -> None:
    addresses = targets.areas[point.part, rot.area]
    if rot.address not in addresses:
        raise Unfit(
            f"ECU {point.part} has no such address in its {rot.area}",
            key="address",
            found=f"0x{rot.address:X}",
            allowed=f"0x{addresses.start:X} to 0x{addresses.stop - 1:X}",
        )


KINDS = (
    FaultKind(
        fault_class="storage",
        title="a bit of flash flipped",
        strikes=(ECU,),
        parameters=BitRotParameters,
        inject=_rot,
        ports=(STORED_BITS,),
        bounded=False,
        events=("boot",),
        refuse_unfit=_refuse_an_address_outside,
    ),
)
