"""The steps that a recipe may name, and the rules of their order."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """What a recipe's `steps` may name."""

    EXTENDED_SESSION = "extended_session"
    DTC_OFF = "dtc_off"
    COMMUNICATION_OFF = "communication_off"
    CHECK_PRECONDITIONS = "check_preconditions"
    PROGRAMMING_SESSION = "programming_session"
    SECURITY_ACCESS = "security_access"
    AUTHENTICATION = "authentication"
    FINGERPRINT = "fingerprint"
    ERASE = "erase"
    DOWNLOAD_IMAGE = "download_image"
    PROGRAM_BLOCKS = "program_blocks"
    LOAD_BOOTLOADER = "load_bootloader"
    START_BOOTLOADER = "start_bootloader"
    PROGRAM_PARTS = "program_parts"
    CHECK_SOFTWARE = "check_software"
    DOWNLOAD_HEADER = "download_header"
    CHECK_MEMORY = "check_memory"
    CHECK_DEPENDENCIES = "check_dependencies"
    ACTIVATE = "activate"
    RESET = "reset"
    VERIFY_VERSION = "verify_version"
    COMMUNICATION_ON = "communication_on"
    DTC_ON = "dtc_on"
    CLEAR_DTCS = "clear_dtcs"
    READ_BACK = "read_back"
    DEFAULT_SESSION = "default_session"


REQUIRED = (Step.PROGRAMMING_SESSION, Step.RESET, Step.VERIFY_VERSION)
"""Without one of these an ECU is left in its bootloader, or nobody knows what it runs."""

OF_AN_IMAGE = (Step.DOWNLOAD_HEADER, Step.CHECK_MEMORY)
"""Without one of these an ECU that takes signed images is left unchecked."""

UNLOCKING = (Step.SECURITY_ACCESS, Step.AUTHENTICATION)
"""One of them or both, where signed images are taken: a bootloader that wants neither is none of ours."""

IMAGE = (Step.ERASE, Step.DOWNLOAD_IMAGE)
"""How the image gets there: both of these, or `program_blocks`, which does them per logical block."""

OF_PARTS = (Step.LOAD_BOOTLOADER, Step.START_BOOTLOADER, Step.CHECK_SOFTWARE)
"""What only software in parts has."""

HARMLESS_BEFORE_PROGRAMMING = (
    Step.EXTENDED_SESSION,
    Step.DTC_OFF,
    Step.COMMUNICATION_OFF,
    Step.CHECK_PRECONDITIONS,
)
"""Functional and suppressed, or left out where the bootloader answers: none can be fatal there."""

ORDER = (
    (Step.EXTENDED_SESSION, Step.DTC_OFF),
    (Step.EXTENDED_SESSION, Step.COMMUNICATION_OFF),
    (Step.EXTENDED_SESSION, Step.CHECK_PRECONDITIONS),
    (Step.EXTENDED_SESSION, Step.PROGRAMMING_SESSION),
    (Step.PROGRAMMING_SESSION, Step.SECURITY_ACCESS),
    (Step.PROGRAMMING_SESSION, Step.AUTHENTICATION),
    (Step.AUTHENTICATION, Step.FINGERPRINT),
    (Step.AUTHENTICATION, Step.ERASE),
    (Step.AUTHENTICATION, Step.PROGRAM_BLOCKS),
    (Step.SECURITY_ACCESS, Step.FINGERPRINT),
    (Step.SECURITY_ACCESS, Step.ERASE),
    (Step.FINGERPRINT, Step.DOWNLOAD_IMAGE),
    (Step.ERASE, Step.DOWNLOAD_IMAGE),
    (Step.ERASE, Step.DOWNLOAD_HEADER),
    (Step.SECURITY_ACCESS, Step.PROGRAM_BLOCKS),
    (Step.FINGERPRINT, Step.PROGRAM_BLOCKS),
    (Step.PROGRAM_BLOCKS, Step.DOWNLOAD_HEADER),
    (Step.SECURITY_ACCESS, Step.LOAD_BOOTLOADER),
    (Step.AUTHENTICATION, Step.LOAD_BOOTLOADER),
    (Step.LOAD_BOOTLOADER, Step.START_BOOTLOADER),
    (Step.START_BOOTLOADER, Step.PROGRAM_PARTS),
    (Step.SECURITY_ACCESS, Step.PROGRAM_PARTS),
    (Step.AUTHENTICATION, Step.PROGRAM_PARTS),
    (Step.FINGERPRINT, Step.PROGRAM_PARTS),
    (Step.PROGRAM_PARTS, Step.CHECK_SOFTWARE),
    (Step.PROGRAM_PARTS, Step.CHECK_DEPENDENCIES),
    (Step.CHECK_SOFTWARE, Step.CHECK_DEPENDENCIES),
    (Step.CHECK_SOFTWARE, Step.ACTIVATE),
    (Step.CHECK_SOFTWARE, Step.RESET),
    (Step.PROGRAM_PARTS, Step.RESET),
    (Step.DOWNLOAD_IMAGE, Step.CHECK_MEMORY),
    (Step.DOWNLOAD_HEADER, Step.CHECK_MEMORY),
    (Step.CHECK_MEMORY, Step.CHECK_DEPENDENCIES),
    (Step.CHECK_MEMORY, Step.ACTIVATE),
    (Step.CHECK_DEPENDENCIES, Step.RESET),
    (Step.ACTIVATE, Step.RESET),
    (Step.CHECK_MEMORY, Step.RESET),
    (Step.RESET, Step.VERIFY_VERSION),
    (Step.VERIFY_VERSION, Step.COMMUNICATION_ON),
    (Step.VERIFY_VERSION, Step.DTC_ON),
    (Step.VERIFY_VERSION, Step.CLEAR_DTCS),
    (Step.VERIFY_VERSION, Step.READ_BACK),
    (Step.DTC_ON, Step.CLEAR_DTCS),
    (Step.COMMUNICATION_ON, Step.DEFAULT_SESSION),
    (Step.DTC_ON, Step.DEFAULT_SESSION),
)
"""(earlier, later): where a recipe has both, they stand in this order."""

UNDONE_BY = ((Step.DTC_OFF, Step.DTC_ON), (Step.COMMUNICATION_OFF, Step.COMMUNICATION_ON))


def order_problem(steps: tuple[Step, ...]) -> str | None:
    """Return what is wrong with the order, or None."""
    twice = next((step for n, step in enumerate(steps) if step in steps[:n]), None)
    if twice is not None:
        return f"step {twice} stands twice"
    missing = next((step for step in REQUIRED if step not in steps), None)
    if missing is not None:
        return f"step {missing} is missing"
    gap = _parts_gap(steps) if Step.PROGRAM_PARTS in steps else _signed_gap(steps) or _image_gap(steps)
    if gap is not None:
        return gap
    for off, on in UNDONE_BY:
        # What is switched off and never on again leaves a car mute, or without fault memory, until somebody resets it.
        if off in steps and on not in steps:
            return f"step {off} is never undone: {on} is missing"
    before = steps[: steps.index(Step.PROGRAMMING_SESSION)]
    # Before 10 02 it is not known who answers: in a bootloader 31 01 FF00 erases at once.
    fatal = next((step for step in before if step not in HARMLESS_BEFORE_PROGRAMMING), None)
    if fatal is not None:
        return f"step {fatal} cannot stand before {Step.PROGRAMMING_SESSION}: in the bootloader it would be fatal"
    for earlier, later in ORDER:
        if earlier in steps and later in steps and steps.index(earlier) > steps.index(later):
            return f"step {later} cannot stand before {earlier}"
    return None


def _signed_gap(steps: tuple[Step, ...]) -> str | None:
    """Return which step of a signed image is missing."""
    missing = next((step for step in OF_AN_IMAGE if step not in steps), None)
    if missing is not None:
        return f"step {missing} is missing"
    if not any(step in steps for step in UNLOCKING):
        return f"step {Step.SECURITY_ACCESS} is missing (or {Step.AUTHENTICATION})"
    return next((f"step {step} goes with {Step.PROGRAM_PARTS}" for step in OF_PARTS if step in steps), None)


def _parts_gap(steps: tuple[Step, ...]) -> str | None:
    """Return which step cannot stand beside `program_parts`, or lacks its other half."""
    alien = next((step for step in (*IMAGE, Step.PROGRAM_BLOCKS, *OF_AN_IMAGE) if step in steps), None)
    if alien is not None:
        return f"step {alien} cannot stand beside {Step.PROGRAM_PARTS}"
    if (Step.LOAD_BOOTLOADER in steps) != (Step.START_BOOTLOADER in steps):
        return f"steps {Step.LOAD_BOOTLOADER} and {Step.START_BOOTLOADER} need each other"
    return None


def _image_gap(steps: tuple[Step, ...]) -> str | None:
    """Return what is missing or too much to bring the image there."""
    if Step.PROGRAM_BLOCKS not in steps:
        missing = next((step for step in IMAGE if step not in steps), None)
        return None if missing is None else f"step {missing} is missing"
    twice = next((step for step in IMAGE if step in steps), None)
    return None if twice is None else f"step {twice} cannot stand beside {Step.PROGRAM_BLOCKS}, which does it"
