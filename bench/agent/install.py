"""Verifying a package, installing its images ECU by ECU, confirming them once the whole order is good."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bench.agent.agent_log import WHOLE_PACKAGE, AgentLog, EcuResult, OrderState
from bench.agent.states import Event
from bench.agent.vehicle import AgentConfig, Ecus, ProgressSink
from bench.core.clock import NS_PER_S
from bench.core.node import Incarnation
from bench.core.world import World
from bench.flasher.access import EcuAccess
from bench.flasher.affected import AffectedBuses, BusGroups
from bench.flasher.errors import FlasherError, FlashFailed, TransportError
from bench.flasher.functional import restore_normal_operation
from bench.flasher.identity import confirm_ecu, read_identity
from bench.flasher.sequence import flash_ecu
from bench.flasher.signed_image import FlashJob
from bench.flasher.state import FRESH, DurableState, JobState, Stage
from bench.flasher.together import batches
from bench.flasher.tries import Tries
from bench.ports.storage import Storage, StorageFull
from bench.trust.package import EcuIdentity, PackageRefused, Refusal, VerifiedImage, verify_package
from bench.wire.dm_alert import Alert, OperationComplete
from bench.wire.dm_scomo import Component, DeployedState, Inventory, ScomoResult

PACKAGE_SUFFIX = ".zip"
IDENTITY_TRIES, IDENTITY_PAUSE_S = 20, 1
JOB_TRIES = 3
PATIENCE_TRIES, PATIENCE_PAUSE_S = 240, 10
"""An ECU without power is waited for: at least 40 minutes, then the order has failed."""
_REFUSAL_CODES = {
    Refusal.HARDWARE: ScomoResult.DEVICE_OR_VERSION_MISMATCH,
    Refusal.UNKNOWN_ECU: ScomoResult.DEVICE_OR_VERSION_MISMATCH,
}


class Installer:
    """The part of the agent that touches ECUs."""

    def __init__(
        self,
        world: World,
        life: Incarnation,
        config: AgentConfig,
        log: AgentLog,
        storage: Storage,
        ecus: Ecus,
        progress: ProgressSink,
    ) -> None:
        self._world, self._life, self._config = world, life, config
        self._log, self._storage, self._ecus, self._progress = log, storage, ecus, progress
        self._keeping = asyncio.Lock()

    @property
    def package_path(self) -> str:
        """Return where the current order's package lies on the disk."""
        return f"{self._log.order.package_id}{PACKAGE_SUFFIX}"

    async def inventory(self) -> Inventory:
        """Ask every ECU what it runs; one that does not answer is left out."""
        components = []
        for access in self._ecus.values():
            try:
                found = await read_identity(access.ecu, access.link, access.recipe, self._life)
            except FlasherError:
                continue
            state = DeployedState.INACTIVE if found.in_bootloader else DeployedState.ACTIVE
            components.append(Component(access.ecu, access.software_id, found.version, state))
        return Inventory(tuple(components))

    async def verify(self) -> None:
        """Verify the downloaded package against the vehicle, before any ECU is touched."""
        _, refused = await self._verified()
        if refused is None:
            await self._log.move(Event.PACKAGE_GOOD)
        else:
            await self._log.move(Event.PACKAGE_REFUSED, self.failed_whole(refused))

    async def _verified(self) -> tuple[tuple[VerifiedImage, ...], EcuResult | None]:
        """Return the images that may be installed, or none and the result that says why."""
        package = await self._storage.read(self.package_path)
        if package is None:
            return (), EcuResult(ScomoResult.VALIDATION_FAILED, "", "the downloaded package is gone")
        keys = (self._config.package_public_key, self._config.image_public_key)
        try:
            identities = [await self._identity(access) for access in self._ecus.values()]
            return verify_package(package, *keys, identities).images, None
        except PackageRefused as refused:
            code = _REFUSAL_CODES.get(refused.reason, ScomoResult.VALIDATION_FAILED)
            return (), EcuResult(code, "", refused.sentence)
        except FlasherError as error:
            return (), EcuResult(ScomoResult.INSTALL_FAILED, "", f"an ECU does not say its hardware: {error}")

    async def _identity(self, access: EcuAccess) -> EcuIdentity:
        """Ask an ECU for its hardware; one that is just booting gets its time (FlasherError when it stays silent)."""
        for _ in range(IDENTITY_TRIES - 1):
            try:
                return await self._read_identity(access)
            except FlasherError:
                await self._life.sleep_ns(IDENTITY_PAUSE_S * NS_PER_S)
        return await self._read_identity(access)

    async def _read_identity(self, access: EcuAccess) -> EcuIdentity:
        found = await read_identity(access.ecu, access.link, access.recipe, self._life)
        counter = self._log.installed.get(access.ecu, self._config.factory_counters.get(access.ecu, 0))
        return EcuIdentity(ecu=access.ecu, hardware_id=found.hardware_id, release_counter=counter)

    async def install(self) -> None:
        """Flash every image that has no result yet; each result is stored before it counts."""
        images, refused = await self._verified()
        if refused is not None:  # the disk or an ECU changed its mind after a power loss
            await self._log.keep(self.failed_whole(replace(refused, result_code=ScomoResult.INSTALL_FAILED)))
        else:
            await self._install_all([image for image in images if image.entry.ecu not in self._log.order.results])
        # One ECU that failed does not undo another: what is reported as installed must be confirmed, or its boot
        # manager gives the trial up later and the server believes what is no longer true.
        await self._log.move(Event.INSTALLED if self._installed() else Event.INSTALL_FAILED)

    def _installed(self) -> list[str]:
        """Return the ECUs of which the order says that they run what they were given."""
        return [ecu for ecu, result in self._log.order.results.items() if result.result_code == ScomoResult.OK]

    async def _install_all(self, images: Sequence[VerifiedImage]) -> None:
        """Flash one ECU after the other, or together those that the bench and their recipes let be flashed together."""
        if not self._config.parallel:
            for image in images:
                if not await self._found_done(image):
                    await self._flash_and_keep(image, self._buses(image, BusGroups()))
            return
        missing = [image for image in images if not await self._found_done(image)]
        by_ecu, groups = {image.entry.ecu: image for image in missing}, BusGroups()
        for batch in batches(list(by_ecu), lambda ecu: self._ecus[ecu].recipe.parallel):
            async with asyncio.TaskGroup() as tasks:
                for ecu in batch:
                    flashing = self._flash_and_keep(by_ecu[ecu], self._buses(by_ecu[ecu], groups))
                    tasks.create_task(flashing, name=f"{self._life.part}.flash {ecu}")

    def _buses(self, image: VerifiedImage, groups: BusGroups) -> AffectedBuses:
        """Return the buses that are disturbed while an image's ECU is flashed."""
        access = self._ecus[image.entry.ecu]
        return groups.affected(access.functional, tuple(access.elsewhere.values()))

    async def _flash_and_keep(self, image: VerifiedImage, buses: AffectedBuses) -> None:
        """Flash one ECU; the result is stored before this returns."""
        await self._keep_result(image.entry.ecu, await self._flash(image, buses))

    async def _found_done(self, image: VerifiedImage) -> bool:
        """Store the result of an ECU that an earlier life flashed and lost power before it could note so."""
        access = self._ecus[image.entry.ecu]
        if self._job_state(access.ecu).stage >= Stage.COMMITTED:
            return False  # the job goes on from there: it alone knows which DTCs are its own
        if not await self._runs(access, image.entry.version):
            return False
        await restore_normal_operation((access.functional, *access.elsewhere.values()), access.recipe, self._life)
        found = _installed_as(image, "already runs this version")
        await self._keep_result(image.entry.ecu, found)
        return True

    async def _flash(self, image: VerifiedImage, buses: AffectedBuses) -> EcuResult:
        """Flash one ECU, with patience for one that falls silent."""
        access = self._ecus[image.entry.ecu]
        job = FlashJob(
            ecu=access.ecu,
            image=image.image,
            header=image.header.encode(),
            version=image.entry.version,
            software_id=image.entry.software_id,
        )
        parts = (access.link, access.functional, access.recipe, self._life, self._world.points, self._progress)
        keep = partial(self._keep_job, access.ecu)
        tries, state = Tries(JOB_TRIES - 1), self._job_state(access.ecu)
        while True:
            try:
                report = await flash_ecu(job, *parts, buses, state=state, keep=keep)
            except FlasherError as error:
                if await self._answers_again(access, error) and await self._runs(access, image.entry.version):
                    return _installed_as(image, f"runs it, although {error}")
                if not tries.left or not _was_silent(error):
                    return EcuResult(ScomoResult.INSTALL_FAILED, "", str(error))
                # What the job before had checked is in the ECU: the next one does not send it again.
                tries, state = Tries(tries.left - 1), error.state if isinstance(error, FlashFailed) else state
            else:
                return _installed_as(image, f"{report.downloads} download(s), {report.sent_bytes} bytes")

    def _job_state(self, ecu: str) -> JobState:
        """Return what an earlier life left of an ECU's job: an image that crashed is not sent again for a reboot."""
        stored = self._log.order.jobs.get(ecu)
        return FRESH if stored is None else stored.resumed()

    async def _keep_job(self, ecu: str, state: DurableState) -> None:
        async with self._keeping:
            # Read under the lock: another ECU's result may have been stored since.
            order = self._log.order
            try:
                await self._log.keep(replace(order, jobs={**order.jobs, ecu: state}))
            except StorageFull as error:
                # The ECU may be erased just now: it is finished without that note rather than left where it is.
                self._life.note("job_state_not_kept", f"{ecu}: {error}")

    async def _answers_again(self, access: EcuAccess, error: FlasherError) -> bool:
        """Wait for an ECU that fell silent, as long as a vehicle may stand without power; whether it answers."""
        for _ in range(PATIENCE_TRIES if _was_silent(error) else 1):
            try:
                await read_identity(access.ecu, access.link, access.recipe, self._life)
            except FlasherError:
                # A vehicle may stand for a while with one ECU unpowered (ignition off, fuse): given up at once, an
                # order would end as failed for an ECU that is only asleep.
                await self._life.sleep_ns(PATIENCE_PAUSE_S * NS_PER_S)
            else:
                return True
        return False

    async def _runs(self, access: EcuAccess, version: str) -> bool:
        try:
            return (await read_identity(access.ecu, access.link, access.recipe, self._life)).version == version
        except FlasherError:
            return False  # dead for the moment: the flasher has the patience for that

    async def _keep_result(self, ecu: str, result: EcuResult) -> None:
        async with self._keeping:  # two results at once must not overwrite each other
            order = self._log.order
            jobs = {other: job for other, job in order.jobs.items() if other != ecu}
            await self._log.keep(replace(order, results={**order.results, ecu: result}, jobs=jobs))

    async def confirm(self) -> None:
        """Confirm every image that was installed: from now on the ECUs refuse older ones.

        Each ECU for itself, from its own result: the package was verified before it was installed and the ECU has
        checked its image, so neither a package that is gone by now nor another ECU that is dead has a say in it.
        """
        for ecu in self._installed():
            if ecu not in self._log.order.confirmed:
                await self._confirm_one(self._ecus[ecu], self._log.order.results[ecu])
        await self._log.move(Event.CONFIRMED)

    async def _confirm_one(self, access: EcuAccess, installed: EcuResult) -> None:
        problem = await self._confirmation_problem(access, installed.version)
        if problem:
            await self._keep_result(access.ecu, EcuResult(ScomoResult.ACTIVATE_FAILED, "", problem))
            return
        await self._log.keep_installed(access.ecu, installed.release_counter)
        await self._log.keep(replace(self._log.order, confirmed=(*self._log.order.confirmed, access.ecu)))

    async def _confirmation_problem(self, access: EcuAccess, version: str) -> str:
        """Confirm what an ECU runs, with patience for one that falls silent; returns why it stays so, or ""."""
        tries = Tries(JOB_TRIES - 1)
        while True:
            try:
                await confirm_ecu(access.ecu, version, access.link, access.recipe, self._life)
            except FlasherError as error:
                if not tries.left or not _was_silent(error) or not await self._answers_again(access, error):
                    return str(error)
                tries = Tries(tries.left - 1)
            else:
                return ""

    # Results ----------------------------------------------------------------------------------------

    def failed_whole(self, result: EcuResult) -> OrderState:
        """Return the order with a result for every component that has none: which they are, only the server knows now.

        What an ECU that is done already reported stays: it runs its new software whatever became of the package.
        """
        return replace(self._log.order, results={**self._log.order.results, WHOLE_PACKAGE: result})

    def cleared(self) -> OrderState:
        """Return the order once it was reported: nothing."""
        return OrderState()

    def alerts(self) -> tuple[Alert, ...]:
        """Return one OperationComplete alert per ECU, and one for the rest of the package where it failed whole."""
        order = self._log.order
        return tuple(
            OperationComplete(
                package_id=order.package_id,
                ecu=ecu,
                result_code=result.result_code,
                state=str(
                    int(DeployedState.ACTIVE if result.result_code == ScomoResult.OK else DeployedState.INACTIVE)
                ),
                version=result.version,
                text=result.text,
                correlator=order.correlator,
            ).alert()
            for ecu, result in order.results.items()
        )


def _installed_as(image: VerifiedImage, text: str) -> EcuResult:
    """Return the result of an ECU that runs an image: all that its confirmation will need."""
    return EcuResult(ScomoResult.OK, image.entry.version, text, image.entry.release_counter)


def _was_silent(error: FlasherError) -> bool:
    """Return whether the job failed because nobody answered: power may come back, another try makes sense."""
    return isinstance(error.cause if isinstance(error, FlashFailed) else error, TransportError)
