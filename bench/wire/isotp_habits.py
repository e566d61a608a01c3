"""ISO-TP habits as keys of a file: what ISO 15765-2 leaves to the maker of a tester or an ECU."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from bench.config import FileModel
from bench.core.records import BRS, FD
from bench.wire.isotp_params import FRAME_BYTES, LONGEST, MAX_LENGTH, IsoTpParams

FrameBytes = Literal[8, 12, 16, 20, 24, 32, 48, 64]
Frames = Literal["classic", "fd", "fd_without_brs"]
_FLAGS: dict[Frames, int] = {"classic": 0, "fd": FD | BRS, "fd_without_brs": FD}


class IsoTpHabits(FileModel):
    """How one side frames its messages and what it asks of the other side's frames."""

    block_size: int = Field(default=0, ge=0, le=255, description="consecutive frames between two flow controls; 0: all")
    st_min: int = Field(default=0, ge=0, le=255, description="gap asked of the other side, as it is encoded")
    tx_dl: FrameBytes = Field(default=8, description="longest frame sent, data bytes; over 8 it is a CAN FD frame")
    frames: Frames | None = Field(
        default=None, validate_default=True, description='default: "fd" with a tx_dl over 8, else "classic"'
    )
    padding: int | Literal["none"] = Field(default=0xCC, description='0 to 255, or "none": frames as short as possible')
    tx_dl_min: FrameBytes = Field(default=8, description="shortest frame sent when there is padding, data bytes")
    extra_gap_ms: int = Field(
        default=0, ge=0, le=900, description="shortest gap before each consecutive frame sent, whatever STmin asks"
    )
    max_length: int = Field(default=MAX_LENGTH, ge=8, le=LONGEST, description="longest message, bytes")

    @field_validator("frames")
    @classmethod
    def _long_frames_are_fd(cls, value: Frames | None, info: ValidationInfo) -> Frames | None:
        longest = info.data.get("tx_dl", FRAME_BYTES)
        if value == "classic" and longest > FRAME_BYTES:
            raise ValueError(f"fd or fd_without_brs: a classic frame carries 8 bytes, tx_dl is {longest}")
        return value or ("fd" if longest > FRAME_BYTES else "classic")

    @field_validator("padding", mode="before")
    @classmethod
    def _is_a_byte_or_none(cls, value: object) -> object:
        if value != "none" and (type(value) is not int or not 0 <= value <= 0xFF):
            raise ValueError('0 to 255, or "none"')
        return value

    @field_validator("tx_dl_min")
    @classmethod
    def _has_padding_and_is_not_the_longest(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("tx_dl", value):
            raise ValueError(f"8 to tx_dl, which is {info.data['tx_dl']}")
        if value > FRAME_BYTES and info.data.get("padding") == "none":
            raise ValueError('8: padding = "none" fills no frame')
        return value

    @property
    def fd(self) -> bool:
        """Whether this side sends CAN FD frames."""
        return self.frames != "classic"

    @property
    def frame_flags(self) -> int:
        """Return FD and BRS as `CanFrame.flags` has them."""
        return _FLAGS[self.frames or "classic"]

    def params(self) -> IsoTpParams:
        """Return the parameters of an ISO-TP endpoint with these habits, timers as in the standard."""
        return IsoTpParams(
            block_size=self.block_size,
            st_min=self.st_min,
            padding=None if isinstance(self.padding, str) else self.padding,
            tx_dl=self.tx_dl,
            tx_dl_min=self.tx_dl_min,
            max_length=self.max_length,
            n_cs_ms=self.extra_gap_ms,
        )
