"""The agent's DM conversations: registration and sessions; what commands do is the handler's affair."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.agent.agent_log import Account
from bench.agent.credentials import is_https, origin_of
from bench.ports.http import DmTransport, HttpResponse
from bench.ports.server import VehicleAccount
from bench.wire import dm
from bench.wire.dm import Command, Commands, DevInfo, DmAcc, Initiation, ManagementObject, MoData, Response, Status
from bench.wire.dm_alert import Alert, AlertType
from bench.wire.dm_json import DmError
from bench.wire.dm_uri import Moid

T = TypeVar("T")

MAX_ROUNDS = 32
"""Packages #2 that one session may have; a server that never sends END is refused."""
SUPPORTED_MOS = tuple(ManagementObject(moid.value) for moid in (Moid.DEVINFO, Moid.DMACC, Moid.SCOMO))


class DmFailed(Exception):
    """The server answered, but not as DM demands; `status` is its HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"HTTP {status}: {reason}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Outcome:
    """What executing one command gave."""

    status: Status
    data: MoData | None = None


Handler = Callable[[Command], Awaitable[Outcome]]


class DmClient:
    """Speaks DM 2.0 for one vehicle over any transport."""

    def __init__(self, transport: DmTransport, vehicle: VehicleAccount) -> None:
        self._transport, self._vehicle = transport, vehicle

    async def register(self, dev_info: DevInfo, encrypted_vin: str) -> DmAcc:
        """Send DevInfo, return the account that the server gives (DmFailed, TransportFailure)."""
        request = dm.Registration(dev_info, self._vehicle.vin, encrypted_vin)
        answer = await self._post(
            self._vehicle.server_url, self._vehicle.factory_token, dm.INITIATION_TYPE, request.encode()
        )
        account = _decoded(answer, DmAcc.decode)
        if not is_https(account.srv_uri):
            raise DmFailed(answer.status, f"the account names {account.srv_uri!r}, a server must be reached over https")
        return account

    async def confirm_registration(self, account: Account) -> None:
        """Send BootstrapComplete; the server answers with END."""
        await self._converse(account, dm.bootstrap_complete(), _no_command)

    async def session(self, account: Account, alerts: Sequence[Alert], handler: Handler) -> None:
        """Open a session with the start alert and `alerts`, execute what the server asks, until END."""
        start = Alert(alert_type=AlertType.CLIENT_INITIATED.value)
        await self._converse(account, Initiation(SUPPORTED_MOS, (start, *alerts)), handler)

    async def _converse(self, account: Account, opening: Initiation, handler: Handler) -> None:
        content_type, body = dm.INITIATION_TYPE, opening.encode()
        for _ in range(MAX_ROUNDS):
            answer = await self._post(account.srv_uri, account.token, content_type, body)
            commands = _decoded(answer, Commands.decode)
            # One after the other, in their order: EXEC relies on the HGET before it (OMA DM 2.0, from memory).
            outcomes = [await handler(command) for command in commands.commands if command.verb is not dm.Verb.END]
            if commands.ends:
                return
            data = tuple(outcome.data for outcome in outcomes if outcome.data is not None)
            content_type, body = dm.RESPONSE_TYPE, Response(tuple(o.status for o in outcomes), data).encode()
        # A server that never ends its session would keep the agent from its order.
        raise DmFailed(200, f"the session had no END within {MAX_ROUNDS} packages")

    async def _post(self, url: str, token: str, content_type: str, body: bytes) -> HttpResponse:
        origin_of(url)  # a token never leaves in the clear, wherever an old account or a factory's file points
        headers = {
            "Content-Type": content_type,
            "Accept": dm.REQUEST_TYPE,
            "OMADM-DevID": self._vehicle.dev_id,
            "VIN": self._vehicle.vin,
            "Token": token,
        }
        answer = await self._transport.post(url, headers, body)
        if answer.status != 200:
            raise DmFailed(answer.status, answer.body[:200].decode("utf-8", "replace"))
        return answer


async def _no_command(command: Command) -> Outcome:
    raise DmFailed(200, f"the server sent {command.verb} where END was due")


def _decoded(answer: HttpResponse, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(answer.body)
    except DmError as error:
        raise DmFailed(answer.status, str(error)) from None
