"""What the judge knows before a run begins: the vehicle, genuine images, keys, limits, and what this bench can see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bench.core.records import CanAddress, EcuLayout, ImageReference, Limits, RunRecord, Surroundings, Watch, Watched


class Source(StrEnum):
    """The sources of a record, named as its fields."""

    FRAMES = "frames"
    HTTP = "http"
    POWER = "power"
    BOOTS = "boots"
    EXECUTIONS = "executions"
    BOOTLOADER_RUNS = "bootloader_runs"
    FLASH = "flash"
    FLASH_OPERATIONS = "flash_operations"
    SERVER_EVENTS = "server_events"
    READINGS = "readings"
    CONDITIONS = "conditions"
    AGENT_FILES = "agent_files"
    DTCS = "dtcs"
    MEMORY_BEFORE = "memory_before"
    VOLTAGES = "voltages"
    SERVER_VIEW = "server_view"


Coverage = Mapping[Source, Watched[object]]
"""How each source was watched, without its items."""


def coverage_of(record: RunRecord) -> Coverage:
    """Return how each source of a record was watched."""
    sources: dict[Source, Watched[object]] = {source: getattr(record, source) for source in Source}
    return {source: Watched((), w.spans_ns, w.lost, w.places) for source, w in sources.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Static facts; a fold gets them when it is made and never changes them."""

    vin: str
    limits: Limits
    expects_update: bool
    layouts: tuple[EcuLayout, ...]
    references: tuple[ImageReference, ...]
    image_public_key: bytes
    package_public_key: bytes
    package_url_suffix: str
    functional: Mapping[str, CanAddress]
    """Where functional requests go, for every bus on which an ECU is reached or sits."""
    coverage: Coverage
    observable: frozenset[Source]
    """What this bench can watch, watched or not."""
    orders_placed: int
    """How many orders the bench places itself."""
    surroundings: Surroundings | None = None
    """The whole vehicle and what the order names of it; None where nobody described it."""

    @classmethod
    def of(cls, record: RunRecord) -> Facts:
        """Return the facts that a record begins with."""
        around = record.surroundings
        buses = () if around is None else (bus for _, bus in around.buses)
        channels = dict.fromkeys([*(layout.channel for layout in record.layouts), *buses])
        return cls(
            vin=record.vin,
            limits=record.limits,
            expects_update=record.expects_update,
            layouts=record.layouts,
            references=record.references,
            image_public_key=record.image_public_key,
            package_public_key=record.package_public_key,
            package_url_suffix=record.package_url_suffix,
            functional={channel: record.functional_address(channel) for channel in channels},
            coverage=coverage_of(record),
            observable=frozenset(Source(name) for name in record.observable),
            orders_placed=record.orders_placed,
            surroundings=around,
        )

    def layout(self, ecu: str) -> EcuLayout | None:
        """Return what is known of an ECU, None when the vehicle has none of that name."""
        return next((layout for layout in self.layouts if layout.ecu == ecu), None)

    def watch(self, source: Source, place: str | None = None) -> Watch:
        """Return how a source (or one channel, ECU or part of it) was watched."""
        return self.coverage[source].watch(place)

    def watches(self, source: Source, place: str | None = None) -> bool:
        """Return whether this bench watches a source at all; without a place, anywhere."""
        return self.coverage[source].watched if place is None else self.watch(source, place).watched

    def images(self, ecu: str, role: str | None = None) -> tuple[ImageReference, ...]:
        """Return the genuine images of an ECU, those of one role (`installed`, `target`) or all."""
        return tuple(r for r in self.references if r.ecu == ecu and role in (None, r.role))
