"""What the agent does with each DM command: GET, HGET of PkgURL, EXEC of DownloadInstall; the rest it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bench.agent.agent_log import AgentLog, OrderState
from bench.agent.credentials import Credentials, is_https
from bench.agent.dm_client import Outcome
from bench.agent.states import Event, State
from bench.agent.vehicle import AgentConfig
from bench.ports.http import DmTransport, TransportFailure
from bench.wire.dm import SC_ACCEPTED, SC_OK, Command, MoData, Status, Verb
from bench.wire.dm_json import DmError
from bench.wire.dm_scomo import CORRELATOR, Inventory, download_install_node, package_of, pkg_url_node
from bench.wire.dm_uri import ClientUri, Moid

SC_BAD_REQUEST, SC_NOT_FOUND, SC_NOT_ALLOWED, SC_UNREACHABLE = 400, 404, 405, 503
DOCUMENT_LIMIT_BYTES = 65_536


class _Document(NamedTuple):
    """What HGET brought for a package: where it is, and which order that is for."""

    url: str
    correlator: str


class CommandHandler:
    """Executes commands one by one; its effects go through the agent log."""

    def __init__(
        self,
        config: AgentConfig,
        log: AgentLog,
        transport: DmTransport,
        inventory: Callable[[], Awaitable[Inventory]],
    ) -> None:
        self._config, self._log, self._transport, self._inventory = config, log, transport, inventory
        self._documents: dict[str, _Document] = {}

    async def execute(self, command: Command) -> Outcome:
        """Execute one command; a wrong one gives a status, never an exception."""
        try:
            if command.verb is Verb.GET and len(command.args) == 1:
                return await self._get(ClientUri.parse(command.args[0]))
            if command.verb is Verb.HGET and len(command.args) == 2:
                return await self._hget(command.args[0], ClientUri.parse(command.args[1]))
            if command.verb is Verb.EXEC and len(command.args) == 1:
                return await self._exec(ClientUri.parse(command.args[0]))
        except DmError:
            return Outcome(Status(SC_BAD_REQUEST))
        return Outcome(Status(SC_NOT_ALLOWED))

    async def _get(self, uri: ClientUri) -> Outcome:
        if uri == ClientUri(Moid.DEVINFO.value):
            return Outcome(Status(SC_OK, (uri,)), MoData(uri, self._config.dev_info.tree()))
        if uri == ClientUri(Moid.SCOMO.value):
            return Outcome(Status(SC_OK, (uri,)), MoData(uri, (await self._inventory()).tree()))
        return Outcome(Status(SC_NOT_FOUND, (uri,)))

    async def _hget(self, server_uri: str, uri: ClientUri) -> Outcome:
        """Fetch a document and store what it holds at PkgURL."""
        if uri != pkg_url_node(package_of(uri)):
            return Outcome(Status(SC_NOT_FOUND, (uri,)))
        # Over http anybody on the way could name another package, and read the token that goes with the request.
        if not is_https(server_uri):
            return Outcome(Status(SC_BAD_REQUEST, (uri,)))
        headers = Credentials(self._config.account, self._log.account).headers_for(server_uri)
        try:
            # Bounded: the document is one URL, and its server is whoever the command names.
            answer = await self._transport.get(server_uri, headers, DOCUMENT_LIMIT_BYTES)
        except TransportFailure:
            return Outcome(Status(SC_UNREACHABLE, (uri,)))
        if answer.status != SC_OK:
            return Outcome(Status(answer.status, (uri,)))
        data = MoData.decode(answer.body).data
        url, correlator = data.get("PkgURL"), data.get(CORRELATOR, "")
        if not isinstance(url, str) or not is_https(url) or not isinstance(correlator, str):
            return Outcome(Status(SC_BAD_REQUEST, (uri,)))
        self._documents[package_of(uri)] = _Document(url, correlator)
        return Outcome(Status(SC_OK, (uri,)))

    async def _exec(self, uri: ClientUri) -> Outcome:
        """Accept DownloadInstall: stored before it is answered, so that a power loss forgets neither.

        An agent at work answers 405: the node allows no EXEC in its present state (`bench.wire.dm.NOT_NOW`).
        """
        package_id = package_of(uri)
        found = self._documents.get(package_id)
        # EXEC without its HGET, or of a life that is gone: nothing says where the package is. 404 has the server offer
        # it anew.
        if uri != download_install_node(package_id) or found is None:
            return Outcome(Status(SC_NOT_FOUND, (uri,)))
        # One order at a time: two would flash the same ECU, and results could not be told apart.
        if self._log.order.state is not State.IDLE:
            return Outcome(Status(SC_NOT_ALLOWED, (uri,)))
        order = OrderState(package_id=package_id, package_url=found.url, correlator=found.correlator)
        await self._log.move(Event.ORDER_ACCEPTED, order)
        return Outcome(Status(SC_ACCEPTED, (uri,)))
