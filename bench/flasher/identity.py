"""Who answers on a link, and the confirmation that a new image may stay."""

from __future__ import annotations

from bench.core.clock import NS_PER_MS, Clock
from bench.flasher.checks import check_status
from bench.flasher.client import UdsClient
from bench.flasher.errors import CheckFailed, NegativeResponse, UdsError, VersionMismatch
from bench.flasher.known import Identifier, identifiers, identity_of
from bench.flasher.recipe import Recipe
from bench.flasher.services import read_did, session_control, start_routine
from bench.flasher.tries import Tries
from bench.flasher.values import EcuIdentity, Tally
from bench.ports.diagnostics import DiagLink
from bench.wire.uds import Nrc


async def identify(client: UdsClient, recipe: Recipe, software_id: str = "") -> EcuIdentity:
    """Read every identifier once by which the recipe knows an ECU; works in application and bootloader. UdsError.

    `software_id` is the name for software that has none on the wire.
    """
    values = [await _value(client, each) for each in identifiers(recipe)]
    return identity_of(recipe, software_id, tuple(values))


async def read_identity(ecu: str, link: DiagLink, recipe: Recipe, clock: Clock) -> EcuIdentity:
    """Read who answers; an ECU that boots is given `reboot_wait_ms`, then the last UdsError is raised."""
    client = UdsClient(link, recipe, clock, Tally(ecu, clock))
    deadline_ns = clock.now_ns() + recipe.timing.reboot_wait_ms * NS_PER_MS
    while True:
        try:
            return await identify(client, recipe)
        except UdsError:
            if clock.now_ns() >= deadline_ns:
                raise
        await clock.sleep_ns(recipe.timing.reboot_poll_ms * NS_PER_MS)


async def confirm_ecu(ecu: str, version: str, link: DiagLink, recipe: Recipe, clock: Clock) -> None:
    """Tell the running image that it may stay: the release floor rises, a trial bank becomes the active one.

    Nothing is done unless the ECU runs `version` (VersionMismatch) and keeps its extended session, so does not restart,
    for `timing.confirm_after_ms`. Other failures are tried again with the job's retries and pauses; the last one is
    raised. A recipe without a confirm routine needs no confirmation.
    """
    if recipe.routines.confirm is None:
        return None
    client = UdsClient(link, recipe, clock, Tally(ecu, clock))
    tries = Tries(recipe.retries.job - 1)
    while True:
        try:
            return await _confirm(client, recipe, recipe.routines.confirm, version, clock)
        except (UdsError, CheckFailed) as error:
            tries = tries.after(error)
        except VersionMismatch as mismatch:
            # The bootloader may answer while the ECU is only starting; another version is the old one, come back.
            tries = tries.after(mismatch, worth=not mismatch.found)
        await clock.sleep_ns(recipe.retries.job_pause_ms * NS_PER_MS)


async def _confirm(client: UdsClient, recipe: Recipe, routine_id: int, version: str, clock: Clock) -> None:
    running = await identify(client, recipe)
    if running.version != version:
        raise VersionMismatch(version, running.version)
    # By its own address: other ECUs of the bus are in their default session and shall stay there.
    client.adopt(await client.call(session_control(recipe.sessions.extended)))
    await _watch(client, recipe, clock)
    check_status(routine_id, await client.call(start_routine(routine_id)), recipe.check)
    await client.call(session_control(recipe.sessions.default))


async def _watch(client: UdsClient, recipe: Recipe, clock: Clock) -> None:
    """Give new software time to fail: a restart ends the session, and with it the confirm routine's permission."""
    # Requests keep the extended session open (S3, ISO 14229-2). After a restart the ECU is in its default session,
    # where the confirm routine is not allowed (NRC 0x7F): nobody needs to count boots to notice one.
    deadline_ns = clock.now_ns() + recipe.timing.confirm_after_ms * NS_PER_MS
    while (left_ns := deadline_ns - clock.now_ns()) > 0:
        await clock.sleep_ns(min(left_ns, recipe.timing.tester_present_interval_ms * NS_PER_MS))
        await client.call(read_did(recipe.dids.version))


async def _value(client: UdsClient, known: Identifier) -> str:
    """Read an identifier; one that only the application has is "" where a bootloader answers."""
    try:
        return known.decoded(await client.call(read_did(known.did)))
    except NegativeResponse as refusal:
        # 0x31 alone means "no such identifier here" (ISO 14229-1, 0x22): nothing else tells who answers.
        if refusal.nrc != Nrc.REQUEST_OUT_OF_RANGE or not known.of_application:
            raise
        return ""
