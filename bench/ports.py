"""The ports (D6): what parts ask of each other, as small Protocols that speak values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from bench.core.car import CarValue
from bench.core.node import Incarnation
from bench.core.records import ServerEvent
from bench.core.world import World
from bench.wire.can import CanFrame
from bench.wire.ecu_misbehave import EcuMisbehaviour
from bench.wire.frame_run import FrameRun, RunTaker
from bench.wire.isotp_misbehave import Misbehaviour

FrameCallback = Callable[[CanFrame, int], None]
"""Called with a received frame and the instant of its end in nanoseconds."""
SentCallback = Callable[[int], None]
"""Called with the instant at which a frame of ours was completely sent."""


class CanPort(Protocol):
    """One node's access to one CAN bus."""

    def send(self, frame: CanFrame, sent: SentCallback | None = None, run: FrameRun | None = None) -> None:
        """Queue a frame; `sent` is called once it crossed the bus and somebody acknowledged it.

        `run` offers what would follow; a port that carries frame by frame leaves it alone.
        """

    def cancel(self, can_id: int, flags: int = 0, prefix: bytes = b"") -> None:
        """Drop what was not sent yet (a transmission that timed out): frames with this identifier, of the format that
        `flags` has (EXTENDED or not), whose data begin with `prefix` (the address byte, where links share an
        identifier)."""

    def subscribe(
        self, callback: FrameCallback, identifiers: Sequence[int] | None = None, taker: RunTaker | None = None
    ) -> None:
        """Call `callback` for frames of other nodes: every one, or those with an identifier that is named.

        Identifiers have their format, as `bench.wire.can.identifier` gives it.

        Who also gives a `taker` does not insist on single frames.
        """

    def on_bus_off(self, callback: Callable[[], None]) -> None:
        """Call `callback` when this controller has left the bus after too many errors; what waited is lost."""


@runtime_checkable
class PacedCanPort(CanPort, Protocol):
    """A port that keeps gaps shorter than an event loop's timers can (STmin under a millisecond)."""

    def send_at(self, frame: CanFrame, not_before_ns: int, sent: SentCallback | None = None) -> None:
        """Queue a frame that must not begin before that instant of the run's clock; never early, a little late."""


class CanBus(Protocol):
    """A bus that nodes attach to; an attachment lives as long as the incarnation it was made for (D3)."""

    @property
    def fd(self) -> bool:
        """Whether the bus carries CAN FD frames."""

    def attach(self, life: Incarnation) -> CanPort:
        """Return the port of this life; frames sent carry `life.part` as their sender."""


class CanAdapterBus(CanBus, Protocol):
    """A bus behind an adapter of this machine; what an `otabench.can` driver returns."""

    def close(self) -> None:
        """Give the adapter back; no thread and no socket is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """What an `otabench.can` driver is asked to open; `options` are the driver's own."""

    name: str
    interface: str
    channel: str
    bitrate_bit_s: int
    data_bitrate_bit_s: int | None
    options: Mapping[str, str | int | float | bool]
    named_by: str = "channels"
    """What the user named it with: a key of the bench file, or an option."""

    @property
    def fd(self) -> bool:
        """Whether the channel carries CAN FD frames."""
        return self.data_bitrate_bit_s is not None


SenderOf = Callable[[CanFrame], str]
"""Who sends such a frame, by its identifier: the part that the journal names for a frame of another node."""
OpenCanBus = Callable[[World, ChannelSpec, SenderOf], CanAdapterBus]
"""A driver of the entry point group `otabench.can`; EquipmentError when the adapter cannot be opened."""


class LinkError(Exception):
    """A diagnostic transport failed; `name` is the standard's (N_TIMEOUT_BS, N_WRONG_SN, ...)."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(f"{name}{': ' if detail else ''}{detail}")
        self.name = name


class AnswerTimeout(LinkError):
    """No answer began in time."""

    def __init__(self, detail: str) -> None:
        super().__init__("ANSWER_TIMEOUT", detail)


class DiagLink(Protocol):
    """A diagnostic connection to one ECU (ISO-TP today, DoIP can follow)."""

    async def send(self, payload: bytes) -> None:
        """Send one message; returns when its last frame is on the bus. Raises LinkError."""

    async def receive(self, start_within_ns: int) -> bytes:
        """Return the next message; AnswerTimeout when none *began* within that time, LinkError when one broke off."""

    def discard(self) -> int:
        """Drop messages received so far (late answers); returns how many."""


class SupplySwitch(Protocol):
    """What a bench can do with the supply of an ECU under its tester."""

    async def power_cycle(self, ecu: str, off_ms: int) -> None:
        """Switch the ECU's supply off, and on again after `off_ms`; returns when it is on. EquipmentError."""


class FunctionalLink(Protocol):
    """Functional addressing: one message to every ECU of a bus."""

    async def send(self, payload: bytes) -> None:
        """Send one single-frame message; nobody need answer."""


class StorageFull(Exception):
    """There is no room for these bytes; what was stored before is as it was."""


class Storage(Protocol):
    """Crash-safe files of the agent. Every method that changes something has happened durably when it returns."""

    async def read(self, path: str) -> bytes | None:
        """Return the file's bytes, or None."""

    async def replace(self, path: str, data: bytes) -> None:
        """Write the whole file atomically: after a power loss it is the old or the new one."""

    async def append(self, path: str, data: bytes) -> None:
        """Add bytes and sync: after a power loss a prefix of `data` may have been added."""

    async def delete(self, path: str) -> None:
        """Remove the file if it exists."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class DmTransport(Protocol):
    """The agent's HTTP, over a network that may fail in every way (`TransportFailure`)."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """POST and return the whole answer."""

    async def get(self, url: str, headers: Mapping[str, str], limit_bytes: int) -> HttpResponse:
        """GET and return the whole answer; TransportFailure when it is longer than `limit_bytes`."""

    async def stream(
        self, url: str, headers: Mapping[str, str], sink: Callable[[bytes], Awaitable[None]]
    ) -> HttpResponse:
        """GET and hand the body to `sink` piece by piece; the answer returned has an empty body.

        Only the body that was asked for is handed over: status 206 with a Range header, else 200.
        """


class TransportFailure(Exception):
    """The network or TLS failed; no HTTP answer that could be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleAccount:
    """What a vehicle is given at the factory to talk to its server."""

    server_url: str
    dev_id: str
    vin: str
    factory_token: str


@dataclass(frozen=True, slots=True)
class Target:
    """One ECU of an order and the version it shall run."""

    ecu: str
    version: str


class ServerAdmin(Protocol):
    """What an operator does on a DM server."""

    async def add_vehicle(self, account: VehicleAccount, vehicle_public_key: bytes) -> None:
        """Make the server know a vehicle and its X25519 public key (32 bytes)."""

    async def upload_package(self, package: bytes) -> str:
        """Check and store a signed package; returns its package id. ValueError names why it was refused."""

    async def place_order(self, vin: str, package_id: str) -> str:
        """Order the package for the vehicle; returns the order id."""


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the server sees it; `status` is open, offered, accepted, success, failed or refused."""

    order: str
    package_id: str
    status: str
    targets: Sequence[Target]


@dataclass(frozen=True, slots=True)
class Twin:
    """What the server believes of a vehicle: a fold over its event log."""

    vin: str
    registered: bool
    ecus: Mapping[str, str]
    orders: Sequence[OrderView]


class ServerView(Protocol):
    """What anybody may read of a DM server."""

    async def events(self, vin: str) -> Sequence[ServerEvent]:
        """Return the vehicle's event log in order."""

    async def twin(self, vin: str) -> Twin:
        """Return what the server believes of the vehicle."""


WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Any]


@dataclass(frozen=True, slots=True)
class ServerPorts:
    """What an `otabench.server` factory returns."""

    wsgi_app: WsgiApp
    admin: ServerAdmin
    view: ServerView
    close: Callable[[], None]


class FaultTarget(Protocol):
    """What an injector can do to a bench; parts are named, never imported."""

    def cut_power(self, part: str, cause: str) -> None:
        """Take a part's power away now (`vehicle` is the agent and every ECU)."""

    def tear_as(self, part: str, reads: str) -> None:
        """Say how the cells read that the next cut of a part's ECUs tears: `mixed`, `valid`, `invalid`, `changing`
        or `ecc_error`. An ECU without power keeps what was said for the cut that took it."""

    def lose_as(self, part: str, loss: str) -> str:
        """Say what the next cut of a part leaves of what its disk has not synced (`bench.wire.disk_loss.DiskLoss`).

        Returns what of that this bench cannot do, "" when it does all of it."""

    def restore_power(self, part: str, cause: str) -> None:
        """Give it back."""

    def vary_supply(self, part: str, profile: str, time_scale: float, depth_scale: float, torn_reads: str) -> int:
        """Let the voltage at an ECU (`vehicle`: at each) follow a profile from now on; returns its duration in ns.

        What its brown-outs tear reads as `torn_reads` says (see `tear_as`), however many there are."""

    def flip_bit(self, ecu: str, area: str, address: int, bit: int) -> None:
        """Flip one bit of what the ECU would boot next: `image` (linked address) or `header` (offset)."""

    def change_car(self, key: str, value: CarValue, cause: str) -> CarValue:
        """Change a value of the car (`bench.core.car`); returns what it was. The car may refuse, and records that."""

    def change_packages(self, change: Callable[[bytes], bytes]) -> None:
        """Change every package on its way to the vehicle from now on."""

    def sign_for_hardware(self, package: bytes, ecu: str, hardware_id: str) -> bytes:
        """Return the package as its maker would have signed it for other hardware (a maker's mistake)."""

    def misbehave(self, ecu: str, how: EcuMisbehaviour | Misbehaviour) -> None:
        """Have an ECU break the rules of UDS or of ISO-TP from now on, as often as the order says."""
