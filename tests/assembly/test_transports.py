"""What a transport cannot do is refused, not left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from bench.assembly.transports import diag_link
from bench.core.errors import InputError
from bench.description import addressing
from bench.description.bench_file import Channel
from bench.wire.isotp import IsoTpAddress

NOTHING = cast(Any, None)
"""Neither bus nor port is touched before the refusal."""


@dataclass
class RealLife:
    """A life in real time, of which nothing else is asked here."""

    virtual: bool = False


@pytest.mark.parametrize("transport", ["can-isotp", "kernel"])
@pytest.mark.parametrize(("key", "value"), [("classic_fallback", True), ("extra_gap_ms", 2)])
def test_habit_that_only_our_own_transport_has_is_refused_by_its_key(transport: str, key: str, value: object) -> None:
    channel = Channel(
        name="can0", driver="python-can", interface="socketcan", transport=cast(Any, transport), bitrate_bit_s=500_000
    )
    habits = addressing.TesterHabits.model_validate({key: value})
    with pytest.raises(InputError) as refused:
        diag_link(channel, NOTHING, NOTHING, cast(Any, RealLife()), IsoTpAddress.normal(0x7A0, 0x7A8), habits)
    assert f"isotp.{key}" in str(refused.value)
    assert "transport = 'own'" in str(refused.value)
