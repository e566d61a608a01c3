"""The agent's main loop: register, look for orders, carry them out, report; from any state after any power loss."""

from __future__ import annotations

from dataclasses import replace

from bench.agent.agent_log import Account, AgentLog, EcuResult
from bench.agent.commands import CommandHandler
from bench.agent.credentials import Credentials
from bench.agent.dm_client import DmClient, DmFailed
from bench.agent.download import Downloader, DownloadFailed
from bench.agent.install import Installer
from bench.agent.states import Event, State
from bench.agent.vehicle import AgentConfig, Ecus, ProgressSink
from bench.core.clock import NS_PER_S
from bench.core.node import Incarnation
from bench.core.world import World
from bench.ports.http import DmTransport, TransportFailure
from bench.ports.storage import Storage, StorageFull
from bench.trust.session import Freshness, SealError, decrypt_token, encrypt_vin
from bench.wire.dm_scomo import ScomoResult

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2, 60
"""After a failed conversation the agent waits, twice as long each time."""


class Agent:
    """One life of the agent: everything that must outlive it is in the agent log."""

    def __init__(
        self,
        world: World,
        life: Incarnation,
        config: AgentConfig,
        transport: DmTransport,
        storage: Storage,
        ecus: Ecus,
        progress: ProgressSink,
    ) -> None:
        self._world, self._life, self._config, self._storage = world, life, config, storage
        self._log = AgentLog(storage, life, world.points)
        self._client = DmClient(transport, config.account)
        self._downloader = Downloader(transport, storage, life)
        self._installer = Installer(world, life, config, self._log, storage, ecus, progress)
        self._handler = CommandHandler(config, self._log, transport, self._installer.inventory)
        self._failures = 0

    async def run(self) -> None:
        """Work until the power goes."""
        await self._log.load()
        while True:
            try:
                await self._work()
                self._failures = 0
            except (TransportFailure, DmFailed) as error:
                await self._back_off(error)

    async def _work(self) -> None:
        """Do what the stored state asks for."""
        if self._log.account is None or not self._log.account.final:
            await self._register()
        match self._log.order.state:
            case State.IDLE:
                await self._look_for_orders()
            case State.DOWNLOADING:
                await self._download()
            case State.VERIFYING:
                await self._installer.verify()
            case State.INSTALLING:
                await self._installer.install()
            case State.CONFIRMING:
                await self._installer.confirm()
            case State.REPORTING:
                await self._report()

    async def _back_off(self, error: Exception) -> None:
        # The server knows the token no longer (its store was lost, or somebody registered in our name): with it every
        # session would fail for ever.
        if isinstance(error, DmFailed) and error.status == 401:
            await self._log.keep_account(None)  # register anew once; the pause grows when that fails too
        # Exponential, bounded: a fleet that comes back at once from an outage would keep the server down.
        self._failures += 1
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._failures - 1))
        self._life.note("back_off", f"{pause_s} s after {type(error).__name__}")
        await self._life.sleep_ns(pause_s * NS_PER_S)

    # Registration -----------------------------------------------------------------------------------

    async def _register(self) -> None:
        vehicle = self._config.account
        draw = self._world.entropy.draw
        fresh = Freshness(draw(self._life.part, "ephemeral", 32), draw(self._life.part, "nonce", 12))
        sealed = encrypt_vin(vehicle.vin, self._config.server_public_key, dev_id=vehicle.dev_id, fresh=fresh)
        answer = await self._client.register(self._config.dev_info, sealed)
        try:
            token = decrypt_token(answer.secret, self._config.private_key, dev_id=vehicle.dev_id)
        except SealError as error:
            raise DmFailed(200, f"the session token cannot be opened: {error}") from None
        account = Account(answer.srv_uri, token)
        # Stored before BootstrapComplete: whoever loses power in between has a token and needs no second registration,
        # which would void this one.
        await self._log.keep_account(account)
        await self._client.confirm_registration(account)
        await self._log.keep_account(replace(account, final=True))

    # Sessions ---------------------------------------------------------------------------------------

    def _account(self) -> Account:
        account = self._log.account
        assert account is not None, "sessions come after registration"
        return account

    async def _look_for_orders(self) -> None:
        """Poll: one session; an accepted order starts at once, else wait for the next poll."""
        await self._client.session(self._account(), (), self._handler.execute)
        if self._log.order.state is State.IDLE:
            await self._life.sleep_ns(self._config.poll_interval_ns)

    async def _report(self) -> None:
        """Report every ECU's result in a session of its own, then forget the order."""
        # Before the report: once the server has the results it may offer the next package, and the disk must have room.
        await self._storage.delete(self._installer.package_path)
        await self._client.session(self._account(), self._installer.alerts(), self._handler.execute)
        # Only now: a report whose answer is lost is repeated, and the server recognises it by its correlator.
        await self._log.move(Event.REPORTED, self._installer.cleared())
        await self._life.sleep_ns(self._config.poll_interval_ns)

    async def _download(self) -> None:
        url = self._log.order.package_url
        headers = Credentials(self._config.account, self._log.account).headers_for(url)
        try:
            await self._downloader.fetch(url, headers, self._installer.package_path)
        except DownloadFailed as error:
            await self._give_up(EcuResult(ScomoResult.DOWNLOAD_FAILED, "", str(error)))
        except StorageFull as error:
            await self._give_up(EcuResult(ScomoResult.DOWNLOAD_OUT_OF_MEMORY, "", str(error)))
        else:
            await self._log.move(Event.BYTES_COMPLETE)

    async def _give_up(self, result: EcuResult) -> None:
        await self._storage.delete(self._installer.package_path)
        await self._log.move(Event.DOWNLOAD_FAILED, self._installer.failed_whole(result))
