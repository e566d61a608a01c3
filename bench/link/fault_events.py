"""Kinds of event that carriers announce for the part whose frames, messages and files they carry."""

from __future__ import annotations

from bench.core.points import EventKind

EVENTS = (
    EventKind("frame", "a CAN frame of the part that begins on the bus", ("ecu", "agent")),
    EventKind("sync", "a sync of the agent's disk", ("agent",)),
    EventKind("http", "an HTTP exchange of the agent", ("agent",)),
)
