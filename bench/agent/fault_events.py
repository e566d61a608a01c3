"""Kinds of event that the agent announces (`bench.core.points`)."""

from __future__ import annotations

from bench.core.points import EventKind

EVENTS = (EventKind("transition", "a change of the agent's state, written to its journal", ("agent",)),)
