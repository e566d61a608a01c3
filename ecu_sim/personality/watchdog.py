"""When an ECU's watchdog bites, and when the boot manager gives up an image that keeps crashing."""

from __future__ import annotations

from pydantic import Field

from bench.config import FileModel


class WatchdogRules(FileModel):
    """An image whose resets by watchdog or crash reach `resets_max` is not booted any more.

    The count of a bank begins anew once its image ran for `stable_ms` without one, and when the bank is erased.
    """

    window_ms: int = Field(default=100, gt=0, le=60_000, description="a program that stands still for so long is reset")
    resets_max: int = Field(default=3, ge=1, le=200)
    stable_ms: int = Field(default=60_000, gt=0, le=3_600_000)


DEFAULT_WATCHDOG = WatchdogRules()
