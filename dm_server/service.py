"""The server's work on requests and orders: one transaction each, around the session engine that decides."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bench.core.canonical import sha256_hex
from bench.core.clock import Clock, instant
from bench.core.entropy import Entropy
from bench.core.records import ServerEvent
from bench.trust.session import (
    EPHEMERAL_BYTES,
    NONCE_BYTES,
    TOKEN_BYTES,
    Freshness,
    SealError,
    decrypt_vin,
    encrypt_token,
    token_text,
)
from bench.wire.dm import DmAcc, Initiation, MoData, Registration, Response, decode_client_message
from bench.wire.dm_alert import AlertType, readable_alerts
from bench.wire.dm_json import DmError, parse_object
from bench.wire.dm_scomo import CORRELATOR, pkg_url_node
from dm_server.caller import Caller, same_token, token_sha256
from dm_server.refusal import Refused
from dm_server.results import take_results
from dm_server.session import normalised_dev_id, on_bootstrap_complete, on_initiation, on_response
from dm_server.store import SERVER_LOG, LastTurn, PackageRow, Store, Unit, VehicleRow
from dm_server.turn import Event, Outcome, Turn

LOG = logging.getLogger("dm_server")
PART = "server"
SERVER_ID = "otabench"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSetup:
    """What a server is given once; `base_url` has no slash at its end."""

    clock: Clock
    entropy: Entropy
    base_url: str
    key: X25519PrivateKey
    certificate_pem: str
    on_event: Callable[[ServerEvent], None]


class DmService:
    """Answers vehicles. Events reach `on_event` after their transaction, on the thread that served the request."""

    def __init__(self, setup: ServerSetup, store: Store) -> None:
        self._setup, self._store = setup, store

    def post(self, caller: Caller, body: bytes) -> bytes:
        """Answer a POST to the DM endpoint; raises `Refused`."""
        with self._store.writing(instant(self._setup.clock)) as unit:
            vehicle = _authenticated(unit, caller)
            reply = self._answer(unit, vehicle, caller, body)
        self._announce(unit)
        if isinstance(reply, Refused):  # only now: what the message truly reported is stored
            raise reply
        return reply

    def package_url(self, caller: Caller, package_id: str, order: str | None) -> bytes:
        """Return the document that HGET fetches: where the package is, and the correlator of the order that it is for.

        Without an order it has none; raises `Refused`.
        """
        self._ordered(caller, package_id, order)
        url = f"{self._setup.base_url}/packages/{package_id}.zip"
        correlator = {} if order is None else {CORRELATOR: order}
        return MoData(pkg_url_node(package_id), {"PkgURL": url, **correlator}).encode()

    def package(self, caller: Caller, package_id: str) -> PackageRow:
        """Return what is known of a package ordered for the caller; raises `Refused`."""
        return self._ordered(caller, package_id)

    def package_bytes(self, package_id: str, first: int, length: int) -> bytes:
        """Return a part of a package."""
        with self._store.reading() as unit:
            return unit.package_bytes(package_id, first, length)

    def note_refusal(self, caller: Caller | None, dev_id: str, refusal: Refused) -> None:
        """Log a refused request: with its vehicle when `caller` proves to be that, else as one of a stranger.

        Strangers are counted for each device that they claim to be, and together for all that nobody knows.
        """
        with self._store.writing(instant(self._setup.clock)) as unit:
            vehicle = unit.vehicle_of_device(normalised_dev_id(dev_id))
            data: dict[str, object] = {"status": refusal.status, "reason": refusal.reason}
            if vehicle is not None and caller is not None and _proves_to_be(vehicle, caller):
                _log(unit, vehicle, [Event("message_refused", data)])
            else:
                vin = SERVER_LOG if vehicle is None else vehicle.vin
                _append_seldom(unit, vin, Event("stranger_refused", data), f"strangers {vin}")
        self._announce(unit)

    def _announce(self, unit: Unit) -> None:
        for event in unit.events:
            self._setup.on_event(event)

    def _ordered(self, caller: Caller, package_id: str, order_id: str | None = None) -> PackageRow:
        with self._store.reading() as unit:
            vehicle = _authenticated(unit, caller)
            if not same_token(caller.token, vehicle.session_token_sha256):
                raise Refused(401, "the token is not this device's session token")
            package = unit.package(package_id)
            orders = [order for order in unit.orders(vehicle.vin).values() if order.package_id == package_id]
            ordered = any(order_id in (None, order.order) for order in orders)
        if package is None or not ordered:
            raise Refused(404, "no such package is ordered for this vehicle")
        return package

    def _answer(self, unit: Unit, vehicle: VehicleRow, caller: Caller, body: bytes) -> bytes | Refused:
        try:
            message = decode_client_message(body)
        except DmError as error:
            return self._salvage(unit, vehicle, caller, body, Refused(400, str(error)))
        for lint in message.lints:
            LOG.info("tolerated vin=%s lint=%s t_ns=%d", vehicle.vin, lint, unit.at.t_ns)
        if isinstance(message, Registration):
            return self._register(unit, vehicle, caller, message)
        if not same_token(caller.token, vehicle.session_token_sha256):
            raise Refused(401, "the token is not this device's session token: a registration is due")
        return self._converse(unit, vehicle, message, sha256_hex(body))

    def _salvage(self, unit: Unit, vehicle: VehicleRow, caller: Caller, body: bytes, refusal: Refused) -> Refused:
        """Take the readable results of a message that is refused: a vehicle would repeat it as it is, for ever."""
        try:
            alerts = readable_alerts(parse_object(body))
        except DmError:
            return refusal
        if same_token(caller.token, vehicle.session_token_sha256):
            turn = self._turn(unit, vehicle)
            take_results(turn, alerts)
            _log(unit, vehicle, turn.events)
        return refusal

    def _register(self, unit: Unit, vehicle: VehicleRow, caller: Caller, message: Registration) -> bytes:
        """Hand out a new session token; the one before it is void from now on."""
        # The session token does not do: whoever stole one could bind the vehicle to itself for good.
        if not same_token(caller.token, vehicle.factory_token_sha256):
            raise Refused(401, "a registration needs the factory token")
        if normalised_dev_id(message.dev_info.dev_id) != vehicle.dev_id or message.vin != vehicle.vin:
            raise Refused(403, "DevID or VIN of the body is not that of the headers")
        try:
            sealed_vin = decrypt_vin(message.encrypted_vin, self._setup.key, dev_id=vehicle.dev_id)
        except SealError as error:
            raise Refused(403, f"EncryptedVIN: {error}") from None
        # A sealed text of another vehicle, replayed under a known header, must not register.
        if sealed_vin != vehicle.vin:
            raise Refused(403, "EncryptedVIN is not the VIN of the headers")
        number = vehicle.registrations + 1
        # The number is in the store: a simulated server that restarts draws from the same seed as before, and must
        # neither issue a revoked token nor seal two texts with one ephemeral key and nonce (AES-GCM would leak both).
        draw, which = self._setup.entropy.draw, f"{vehicle.vin} {number}"
        token = token_text(draw(PART, f"session token {which}", TOKEN_BYTES))
        fresh = Freshness(
            draw(PART, f"ephemeral key {which}", EPHEMERAL_BYTES), draw(PART, f"nonce {which}", NONCE_BYTES)
        )
        repeated = vehicle.session_token_sha256 is not None
        unit.update_vehicle(
            vehicle.vin, session_token_sha256=token_sha256(token), registration_final=False, registrations=number
        )
        unit.append(vehicle.vin, "registered", {"dev_id": vehicle.dev_id, "repeated": repeated})
        secret = encrypt_token(token, vehicle.public_key, dev_id=vehicle.dev_id, fresh=fresh)
        return DmAcc(SERVER_ID, f"{self._setup.base_url}/dm", self._setup.certificate_pem, secret).encode()

    def _turn(self, unit: Unit, vehicle: VehicleRow) -> Turn:
        return Turn(vehicle.dev_id, unit.orders(vehicle.vin), self._setup.base_url)

    def _converse(
        self, unit: Unit, vehicle: VehicleRow, message: Initiation | Response, request_sha256: str
    ) -> bytes | Refused:
        """Give a message to the engine and keep what comes of it; a package #3 sent twice gets the same answer."""
        last = unit.last_turn(vehicle.vin)
        # The answer was lost and the vehicle repeats itself: taken twice, a second set of statuses would meet a session
        # that has moved on (409 for ever).
        if isinstance(message, Response) and last is not None and last.request_sha256 == request_sha256:
            return last.answer
        outcome = self._decide(unit, vehicle, message, self._turn(unit, vehicle), last)
        _log(unit, vehicle, outcome.events)
        if isinstance(outcome.reply, Refused):
            return outcome.reply
        answer = outcome.reply.encode()
        if outcome.session is not None:
            unit.keep_turn(vehicle.vin, LastTurn(outcome.session, request_sha256, answer))
        return answer

    def _decide(
        self, unit: Unit, vehicle: VehicleRow, message: Initiation | Response, turn: Turn, last: LastTurn | None
    ) -> Outcome:
        if isinstance(message, Response):
            return on_response(turn, message, last.session if last else None)
        if message.start_alert is AlertType.BOOTSTRAP_COMPLETE:
            outcome = on_bootstrap_complete(turn, message, final=vehicle.registration_final)
            # Final only with the answer: a refused BootstrapComplete has to come again.
            if not isinstance(outcome.reply, Refused):
                unit.update_vehicle(vehicle.vin, registration_final=True)
            return outcome
        number = vehicle.sessions + 1
        outcome = on_initiation(turn, message, f"session-{number}")
        if outcome.session is not None:
            unit.update_vehicle(vehicle.vin, sessions=number)
        return outcome


def new_vehicle(dev_id: str, vin: str, factory_token: str, public_key: bytes) -> VehicleRow:
    """Return the row of a vehicle that has not registered yet."""
    return VehicleRow(vin, normalised_dev_id(dev_id), public_key, token_sha256(factory_token), None, False, 0, 0)


def _log(unit: Unit, vehicle: VehicleRow, events: Iterable[Event]) -> None:
    for event in events:
        if event.kind == "message_refused":
            # By status: a first refusal of another kind is always seen, however many there were before it.
            _append_seldom(unit, vehicle.vin, event, f"refused {event.data['status']} {vehicle.vin}")
        else:
            unit.append(vehicle.vin, event.kind, event.data)


def _append_seldom(unit: Unit, vin: str, event: Event, sequence: str) -> None:
    """Append the first, second, fourth, eighth ... event of a sequence, with its `count`.

    Whoever sends what is refused decides how often: a stranger on purpose, a proven vehicle by repeating a message that
    it cannot get rid of, with each poll of its life. Neither may fill the store.
    """
    count = unit.next_of(sequence)
    if count & (count - 1) == 0:
        unit.append(vin, event.kind, {**event.data, "count": count})


def _authenticated(unit: Unit, caller: Caller) -> VehicleRow:
    """Return the caller's vehicle. Whatever does not fit, the answer is the same: it tells no one what there is."""
    vehicle = unit.vehicle_of_device(caller.dev_id)
    proven = _proves_to_be(vehicle, caller)
    if vehicle is None or not proven:
        raise Refused(401, "device, VIN and token are not those of a vehicle that is known here")
    return vehicle


def _proves_to_be(vehicle: VehicleRow | None, caller: Caller) -> bool:
    """Return whether VIN and one of the tokens are right; both tokens are compared, known device or not (timing)."""
    kept = (vehicle.session_token_sha256, vehicle.factory_token_sha256) if vehicle is not None else (None, None)
    right = [same_token(caller.token, token) for token in kept]
    return vehicle is not None and vehicle.vin == caller.vin and any(right)
