"""Frozen records of a run: what each part of the bench observes, and the whole that the oracle judges (D5).

A file for each part that owns the records; all of them are reached from here.
"""

from bench.core.records.bus import BRS, EXTENDED, FD, REMOTE, CanAddress, FrameRecord
from bench.core.records.car import ConditionRecord, PowerRecord, VoltageRecord
from bench.core.records.ecu import (
    BUS_SLEEP,
    BootRecord,
    ExecutionRecord,
    FlashDump,
    FlashOperation,
    MemoryRegion,
    SectorWear,
)
from bench.core.records.lateness import Lateness, Stall
from bench.core.records.layout import BankLayout, Demand, DownloadPacking, EcuLayout, InhibitSignal
from bench.core.records.neighbours import CyclicFrame, Dtc, DtcReading, ExpectedFrame, Surroundings
from bench.core.records.run import (
    SOURCES,
    Crash,
    DidReading,
    EndedBy,
    FaultRecord,
    ImageReference,
    Limits,
    RunRecord,
    StoredFile,
)
from bench.core.records.server import SERVER_EVENTS, HttpRecord, ServerEvent, ServerViewRecord
from bench.core.records.watched import NOBODY, UNWATCHED, Watch, Watched

__all__ = [
    "BRS",
    "BUS_SLEEP",
    "EXTENDED",
    "FD",
    "NOBODY",
    "REMOTE",
    "SERVER_EVENTS",
    "SOURCES",
    "UNWATCHED",
    "BankLayout",
    "BootRecord",
    "CanAddress",
    "ConditionRecord",
    "Crash",
    "CyclicFrame",
    "Demand",
    "DidReading",
    "DownloadPacking",
    "Dtc",
    "DtcReading",
    "EcuLayout",
    "EndedBy",
    "ExecutionRecord",
    "ExpectedFrame",
    "FaultRecord",
    "FlashDump",
    "FlashOperation",
    "FrameRecord",
    "HttpRecord",
    "ImageReference",
    "InhibitSignal",
    "Lateness",
    "Limits",
    "MemoryRegion",
    "PowerRecord",
    "RunRecord",
    "SectorWear",
    "ServerEvent",
    "ServerViewRecord",
    "Stall",
    "StoredFile",
    "Surroundings",
    "VoltageRecord",
    "Watch",
    "Watched",
]
