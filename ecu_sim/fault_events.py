"""Kinds of event that a simulated ECU announces (`bench.core.points`)."""

from __future__ import annotations

from bench.core.points import EventKind

EVENTS = (
    EventKind("program", "a block written to flash", ("ecu",)),
    EventKind("erase", "sectors of flash erased", ("ecu",)),
    EventKind("request", "a diagnostic request that the server begins to serve", ("ecu",)),
    EventKind("boot", "a stage of the boot manager", ("ecu",)),
)
