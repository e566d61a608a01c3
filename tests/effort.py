"""How far tests go whose claim holds for more cases than `make test` has time for.

`make test` takes a part of the cases of each, `make nightly` (OTABENCH_EFFORT=nightly) runs the tests marked `effort`
again and takes all of them.
"""

from __future__ import annotations

import os

NIGHTLY = os.environ.get("OTABENCH_EFFORT") == "nightly"


def effort(usual: int, nightly: int) -> int:
    """Return how many examples, or which step between samples, this run of the tests takes."""
    return nightly if NIGHTLY else usual
