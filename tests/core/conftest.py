"""A clock that stands still, for what only writes the time down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.core.loop import VirtualLoop


@pytest.fixture(scope="module")
def clock() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.discard()
