"""Supply profiles: files of `supply/` that say how the voltage at an ECU moves."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from pydantic import Field, model_validator

from bench.config import FileModel, load_toml
from bench.core.clock import NS_PER_MS
from bench.core.waveform import NOMINAL_MV, Waveform

MAX_MS = 3_600_000


class ProfilePoint(FileModel):
    """A corner of the profile; two at one time are a step."""

    t_ms: float = Field(ge=0, le=MAX_MS)
    mv: int = Field(ge=0, le=60_000)


class SupplyProfile(FileModel):
    """A profile file: a shape in the manner of a test of a standard, with values of our own choosing."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    title: str = Field(min_length=1, max_length=200)
    iso_16750_2: str = Field(default="", description="clause of ISO 16750-2:2023 whose shape it has")
    lv_124: str = Field(default="", description="test of LV 124 whose shape it has")
    points: tuple[ProfilePoint, ...] = Field(min_length=2, max_length=10_000)

    @model_validator(mode="after")
    def _begins_and_ends_at_rest(self) -> SupplyProfile:
        first, last = self.points[0], self.points[-1]
        if first.t_ms != 0 or first.mv != NOMINAL_MV or last.mv != NOMINAL_MV:
            raise ValueError(f"a profile begins at t_ms = 0, and begins and ends with mv = {NOMINAL_MV}")
        if any(later.t_ms < earlier.t_ms for earlier, later in pairwise(self.points)):
            raise ValueError("points must be in order of t_ms")
        return self

    def waveform(self) -> Waveform:
        """Return it as a value."""
        return Waveform(tuple((round(point.t_ms * NS_PER_MS), point.mv) for point in self.points))


def load_profile(path: Path) -> SupplyProfile:
    """Read a profile file; `InputError` names file, key, found and allowed."""
    return load_toml(path, SupplyProfile, "supply profile")
