"""The steps that a recipe names, each the task that it begins with (`bench.flasher.task`)."""

from __future__ import annotations

from collections.abc import Mapping

from bench.flasher.recipe import Step
from bench.flasher.steps.access import Fingerprint, ProgrammingSession, SecurityAccess
from bench.flasher.steps.authentication import Authenticate
from bench.flasher.steps.blocks import ProgramBlocks
from bench.flasher.steps.checking import Activate, CheckDependencies, CheckMemory
from bench.flasher.steps.conditions import CheckPreconditions
from bench.flasher.steps.dtcs import ClearDtcs
from bench.flasher.steps.functional import SwitchOff, SwitchOn
from bench.flasher.steps.parts import LoadBootloader, ProgramParts, StartBootloader
from bench.flasher.steps.proofs import CheckSoftware
from bench.flasher.steps.reading import ReadBack, VerifyVersion
from bench.flasher.steps.resetting import Reset
from bench.flasher.steps.resuming import Erase
from bench.flasher.steps.transfer import DownloadHeader, DownloadImage
from bench.flasher.task import Task

STEPS: Mapping[Step, Task] = {
    Step.EXTENDED_SESSION: SwitchOff(Step.EXTENDED_SESSION),
    Step.DTC_OFF: SwitchOff(Step.DTC_OFF),
    Step.COMMUNICATION_OFF: SwitchOff(Step.COMMUNICATION_OFF),
    Step.CHECK_PRECONDITIONS: CheckPreconditions(),
    Step.PROGRAMMING_SESSION: ProgrammingSession(),
    Step.SECURITY_ACCESS: SecurityAccess(),
    Step.AUTHENTICATION: Authenticate(),
    Step.FINGERPRINT: Fingerprint(),
    Step.ERASE: Erase(),
    Step.DOWNLOAD_IMAGE: DownloadImage(),
    Step.PROGRAM_BLOCKS: ProgramBlocks(),
    Step.LOAD_BOOTLOADER: LoadBootloader(),
    Step.START_BOOTLOADER: StartBootloader(),
    Step.PROGRAM_PARTS: ProgramParts(),
    Step.CHECK_SOFTWARE: CheckSoftware(),
    Step.DOWNLOAD_HEADER: DownloadHeader(),
    Step.CHECK_MEMORY: CheckMemory(),
    Step.CHECK_DEPENDENCIES: CheckDependencies(),
    Step.ACTIVATE: Activate(),
    Step.RESET: Reset(),
    Step.VERIFY_VERSION: VerifyVersion(),
    Step.COMMUNICATION_ON: SwitchOn(Step.COMMUNICATION_ON),
    Step.DTC_ON: SwitchOn(Step.DTC_ON),
    Step.CLEAR_DTCS: ClearDtcs(),
    Step.READ_BACK: ReadBack(),
    Step.DEFAULT_SESSION: SwitchOn(Step.DEFAULT_SESSION),
}

PHASES: Mapping[Step, str] = {
    Step.EXTENDED_SESSION: "pre",
    Step.DTC_OFF: "pre",
    Step.COMMUNICATION_OFF: "pre",
    Step.CHECK_PRECONDITIONS: "pre",
    Step.PROGRAMMING_SESSION: "programming",
    Step.SECURITY_ACCESS: "programming",
    Step.AUTHENTICATION: "programming",
    Step.FINGERPRINT: "programming",
    Step.ERASE: "erase",
    Step.DOWNLOAD_IMAGE: "transfer",
    Step.PROGRAM_BLOCKS: "transfer",
    Step.LOAD_BOOTLOADER: "programming",
    Step.START_BOOTLOADER: "programming",
    Step.PROGRAM_PARTS: "transfer",
    Step.CHECK_SOFTWARE: "check",
    Step.DOWNLOAD_HEADER: "header",
    Step.CHECK_MEMORY: "check",
    Step.CHECK_DEPENDENCIES: "check",
    Step.ACTIVATE: "activate",
    Step.RESET: "reset",
    Step.VERIFY_VERSION: "reset",
    Step.COMMUNICATION_ON: "post",
    Step.DTC_ON: "post",
    Step.CLEAR_DTCS: "post",
    Step.READ_BACK: "post",
    Step.DEFAULT_SESSION: "post",
}
"""What the fault points of the ECU are said to be in while a step runs."""
