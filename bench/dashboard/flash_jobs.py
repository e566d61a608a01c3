"""What the dashboard shows of a `result.json` that `otabench flash` wrote; everything else in it is passed over."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

RESULT = "result.json"
PREFIX = "flash-"
Outcome = Literal["flashed", "failed", "interrupted"]


class JobEcu(BaseModel):
    """One ECU of a job."""

    model_config = ConfigDict(frozen=True)
    ecu: str
    outcome: Outcome
    error: str | None


class FlashJob(BaseModel):
    """One job: how it ended on which bench, and how long it took in seconds of the bench's clock."""

    model_config = ConfigDict(frozen=True)
    bench: str
    outcome: Outcome
    duration_s: float
    ecus: tuple[JobEcu, ...]
