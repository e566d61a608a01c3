"""What another try can cure: which failure repeats a step, begins the download anew, tries the job again, ends it."""

from __future__ import annotations

from dataclasses import replace

from bench.flasher.errors import (
    CheckFailed,
    FlasherError,
    ImageDoesNotRun,
    NegativeResponse,
    ProtocolViolation,
    UdsError,
    VersionMismatch,
)
from bench.flasher.recipe import Recipe, Step
from bench.flasher.state import JobState
from bench.wire.uds import Nrc, Sid

NAMED_BY_RECIPE = (Sid.SECURITY_ACCESS, Sid.ROUTINE_CONTROL, Sid.REQUEST_DOWNLOAD)
"""Services whose contents are the recipe's: levels, routine ids, addresses."""
NOT_KNOWN_HERE = (
    Nrc.SERVICE_NOT_SUPPORTED,
    Nrc.SUB_FUNCTION_NOT_SUPPORTED,
    Nrc.INCORRECT_LENGTH_OR_FORMAT,
    Nrc.REQUEST_OUT_OF_RANGE,
)
"""What an ECU answers to a request that it cannot serve, however often it comes."""
CERTIFICATE_REFUSED = range(Nrc.CERTIFICATE_TIME, Nrc.CERTIFICATE_INVALID + 1)
"""The codes of 0x29 about the tester's certificate (ISO 14229-1, annex A): it will be as bad the next time."""
DOWNLOADS = (
    Step.DOWNLOAD_IMAGE,
    Step.DOWNLOAD_HEADER,
    Step.PROGRAM_BLOCKS,
    Step.LOAD_BOOTLOADER,
    Step.PROGRAM_PARTS,
)
WRITING = (Step.ERASE, *DOWNLOADS)
CHECKING = (Step.CHECK_MEMORY, Step.PROGRAM_BLOCKS, Step.PROGRAM_PARTS)
TRIED_AGAIN = (UdsError, CheckFailed, VersionMismatch)
"""What another try of the job may cure; everything else is for a human."""


def step_tries(recipe: Recipe, step: Step) -> int:
    """Return how often a step is repeated when its answer was lost."""
    # A download has a memory of its own (0x36 counts its blocks, ISO 14229-1): repeated from its 0x34 it would write
    # onto cells that are programmed. So it repeats block by block, and else begins at the erase.
    return 0 if step in DOWNLOADS else recipe.retries.step


def restarts_download(recipe: Recipe, job: JobState, step: Step, error: FlasherError) -> bool:
    """Whether the ECU is alive and willing, and only the download went wrong."""
    retries = recipe.retries
    # Bounded over all tries: a flash cell that does not hold would else be erased until it is worn out.
    if job.download_restarts >= retries.download:
        return False
    if isinstance(error, CheckFailed):
        return step in CHECKING and error.status in recipe.check.restart_download
    if step not in DOWNLOADS:
        return False
    return isinstance(error, ProtocolViolation) or (
        isinstance(error, NegativeResponse) and error.nrc in retries.restart_download
    )


def after_refusal(job: JobState, step: str, error: FlasherError) -> tuple[JobState, bool]:
    """Return the job's state once it has met `error`, and whether another try could only do harm or the same again."""
    if isinstance(error, VersionMismatch):
        return job, isinstance(error, ImageDoesNotRun)
    if not isinstance(error, NegativeResponse):
        return job, False
    if says_never(error):
        return job, True
    if error.sid not in NAMED_BY_RECIPE or error.nrc not in NOT_KNOWN_HERE:
        return job, False
    # What it does not know, or what is out of its range, is believed when the ECU says it a second time.
    refusal = (step, error.sid, error.nrc)
    return replace(job, refusals=job.refusals | {refusal}), refusal in job.refusals


def is_final(recipe: Recipe, job: JobState, step: str, error: FlasherError) -> tuple[JobState, bool]:
    """Return the job's state once it has met `error`, and whether that ends it."""
    # A failed erase may be the flash's mood of a moment; a failed check is a statement about bytes that were sent.
    if isinstance(error, CheckFailed):
        return job, error.routine_id != recipe.routines.erase
    return after_refusal(job, step, error)


def lasts(error: FlasherError) -> bool:
    """Whether the same job would end the same way: the ECU refused the image, the key, or what the recipe asks."""
    if isinstance(error, NegativeResponse):
        return says_never(error) or (error.sid in NAMED_BY_RECIPE and error.nrc in NOT_KNOWN_HERE)
    return isinstance(error, CheckFailed | VersionMismatch)


def says_never(refusal: NegativeResponse) -> bool:
    """Whether the ECU will not take this key or certificate however often it comes."""
    # A wrong key costs an attempt, and the ECU locks itself for a while after some (0x36, ISO 14229-1, 0x27): the same
    # key again would only bring that on.
    if refusal.sid == Sid.AUTHENTICATION:
        return refusal.nrc in CERTIFICATE_REFUSED
    return (refusal.sid, refusal.nrc) == (Sid.SECURITY_ACCESS, Nrc.INVALID_KEY)
