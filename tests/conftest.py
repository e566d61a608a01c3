"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("otabench", deadline=None)  # how long an example takes says nothing on a shared machine
settings.load_profile("otabench")
