"""Planted defects of simulated ECUs: boot managers that leave out a check, bootloaders and applications that do what
they must not (`docs/contracts.md`, Planted defects)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial, partialmethod

from bench.core.clock import NS_PER_MS
from bench.core.defects import Defect
from bench.core.node import Incarnation
from bench.wire.uds import Session
from ecu_sim.boot import manager
from ecu_sim.boot.manager import Role
from ecu_sim.ecu import SimEcu
from ecu_sim.memory.dtcs import DtcMemory
from ecu_sim.memory.nvm import NvmRecord
from ecu_sim.network.node import ApplicationNetwork
from ecu_sim.personality.geometry import image_region
from ecu_sim.uds.modes import EcuParts, Mode
from ecu_sim.uds.routines import ApplicationRoutines, BootloaderRoutines
from ecu_sim.uds.server import UdsServer
from ecu_sim.uds.sessions import SessionState


def _accept(*_arguments: object) -> bool:
    """Stand for a check that always says yes."""
    return True


@contextmanager
def _without(*checks: str) -> Iterator[None]:
    """Take checks out of `ecu_sim.boot`, and put them back."""
    with ExitStack() as planted:
        for name in checks:
            planted.enter_context(_in_place_of(manager, name, _accept))
        yield


@contextmanager
def _in_place_of(owner: object, name: str, wrong: object) -> Iterator[None]:
    """Put something wrong in an attribute's place, and the genuine one back."""
    genuine = getattr(owner, name)
    try:
        setattr(owner, name, wrong)
        yield
    finally:
        setattr(owner, name, genuine)


def _always_trial(record: NvmRecord, banks: tuple[str, ...], _trial_boots_max: int) -> Iterator[tuple[str, Role]]:
    """Stand for a boot manager that tries an unconfirmed bank for ever."""
    return _candidates(record, banks, record.trial_boots + 1)


async def _activate_and_raise(routines: BootloaderRoutines, option: bytes) -> bytes:
    """Stand for an activation that raises the release floor before anybody confirmed the image."""
    answer = await _activate(routines, option)
    memory = routines._memory
    header = memory.decoded_header(memory.target_bank)
    floor = memory.nvm.record.release_floor if header is None else header.release_counter
    await memory.nvm.store(routines._life, replace(memory.nvm.record, release_floor=floor))
    return answer


async def _confirm_and_wipe(routines: ApplicationRoutines, option: bytes) -> bytes:
    """Stand for an application that tidies up its own bank while it runs from there."""
    answer = await _confirm(routines, option)
    flash, region = routines._memory.flash, image_region(routines._bank)
    await flash.erase(routines._life, region, flash.region(region).sector_count - 1, 1)
    return answer


Misdeed = Callable[[SimEcu, Incarnation], None]


def _listen_and(ecu: SimEcu, misdeed: Misdeed, parts: EcuParts, mode: Mode, *, bootloader: bool) -> UdsServer:
    """Stand for an ECU that does something when the tester's session ends, as a neighbour of an update does."""
    server = _listen(ecu, parts, mode, bootloader=bootloader)
    mode.state.on_change(partial(_session_begins, ecu, misdeed, parts.life, mode.state))
    return server


def _session_begins(ecu: SimEcu, misdeed: Misdeed, life: Incarnation, state: SessionState) -> None:
    """Do it once a session other than the default one is over; the state remembers that there was one."""
    if state.session is Session.DEFAULT and getattr(state, "was_left", False):
        misdeed(ecu, life)
    state.was_left = state.session is not Session.DEFAULT  # type: ignore[attr-defined]


def _be_reset(ecu: SimEcu, life: Incarnation) -> None:
    life.call_at_ns(life.now_ns() + NS_PER_MS, ecu.node.reset, "lost its way")


def _write_nvm(ecu: SimEcu, life: Incarnation) -> None:
    nvm = ecu.memory.nvm
    noted = replace(nvm.record, fingerprint=b"\x01" + nvm.record.fingerprint[1:])
    life.spawn(nvm.store(life, noted), "defect")


def _silent_for_ever(network: ApplicationNetwork) -> bool:
    """Stand for an application whose cyclic frames never come back once 0x28 stopped them."""
    network.muted = getattr(network, "muted", False) or not network._state.sends_normal  # type: ignore[attr-defined]
    return not network.muted and _sends_frames(network)  # type: ignore[attr-defined]


async def _clear_nothing(_memory: DtcMemory, _code: int | None = None) -> None:
    """Stand for a 0x14 that is answered and clears nothing."""


_listen, _sends_frames = SimEcu._listen, ApplicationNetwork._sends_frames
_candidates = manager.candidates
_activate, _confirm = BootloaderRoutines.activate, ApplicationRoutines.confirm


@contextmanager
def _never_gives_up() -> Iterator[None]:
    with _without("may_run_again"), _in_place_of(manager, "candidates", _always_trial):
        yield


DEFECTS: list[Defect] = [
    Defect(
        id="ecu-boot-no-verification",
        title="the boot manager verifies neither hash nor signature",
        part="bootloader",
        breaks="authentic",
        apply=partial(_without, "signature_ok", "hash_ok"),
    ),
    Defect(
        id="ecu-boot-no-signature",
        title="the boot manager does not verify the signature",
        part="bootloader",
        breaks="authentic",
        apply=partial(_without, "signature_ok"),
    ),
    Defect(
        id="ecu-boot-no-hardware-check",
        title="the boot manager does not compare the hardware id",
        part="bootloader",
        breaks="authentic",
        apply=partial(_without, "hardware_ok"),
    ),
    Defect(
        id="ecu-boot-no-release-floor",
        title="the boot manager runs images below the release floor",
        part="bootloader",
        breaks="authentic",
        apply=partial(_without, "release_ok"),
    ),
    Defect(
        id="ecu-boot-crash-loop",
        title="the boot manager boots an image however often it crashed, and never gives a trial up",
        part="bootloader",
        breaks="bootable",
        apply=_never_gives_up,
    ),
    Defect(
        id="ecu-floor-on-activation",
        title="the release floor rises when an image is activated, not when it is confirmed",
        part="bootloader",
        breaks="bootable",
        apply=partial(_in_place_of, BootloaderRoutines, "activate", _activate_and_raise),
    ),
    Defect(
        id="ecu-erases-what-runs",
        title="the application erases a sector of the bank it runs from",
        part="ecu",
        breaks="whole",
        apply=partial(_in_place_of, ApplicationRoutines, "confirm", _confirm_and_wipe),
    ),
    Defect(
        id="ecu-neighbour-resets",
        title="an ECU that the order does not name is reset when the tester's session ends",
        part="ecu",
        breaks="neighbours",
        apply=partial(_in_place_of, SimEcu, "_listen", partialmethod(_listen_and, _be_reset)),
    ),
    Defect(
        id="ecu-neighbour-writes-nvm",
        title="an ECU that the order does not name notes the tester's session in its NVM",
        part="ecu",
        breaks="neighbours",
        apply=partial(_in_place_of, SimEcu, "_listen", partialmethod(_listen_and, _write_nvm)),
    ),
    Defect(
        id="ecu-neighbour-stays-silent",
        title="cyclic frames never come back once 0x28 stopped them",
        part="ecu",
        breaks="neighbours",
        apply=partial(_in_place_of, ApplicationNetwork, "_sends_frames", _silent_for_ever),
    ),
    Defect(
        id="ecu-clears-no-dtc",
        title="0x14 is answered and clears nothing, so that the update's own DTCs stay",
        part="ecu",
        breaks="neighbours",
        apply=partial(_in_place_of, DtcMemory, "clear", _clear_nothing),
    ),
]
