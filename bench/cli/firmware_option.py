"""`--image`, `--crop` and `--base` of `run` and `replay`: the user's own firmware as one value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench.cli.canlog import can_log_option
from bench.cli.options import address_option, base_option, common, firmware_options


@dataclass(frozen=True, slots=True)
class Firmware:
    """Files by ECU, whether what lies outside an ECU's region is left out, and where a binary file begins."""

    images: dict[str, Path]
    crop: bool
    base: int | None


def run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that `run` and `replay` share; `command` gets `firmware`, `can_log` and the common ones.

    `InputError` when `--crop` or `--base` has nothing to say.
    """

    @functools.wraps(command)
    def with_firmware(*, images: tuple[str, ...], crop: bool, base: str | None, **others: Any) -> int:
        firmware = Firmware(firmware_options(images, crop, base), crop, address_option(base))
        return command(firmware=firmware, **others)

    for option in (
        common,
        can_log_option,
        base_option,
        click.option("--crop", is_flag=True, help="Leave out what lies outside the ECU's region."),
        click.option(
            "--image",
            "images",
            multiple=True,
            metavar="ECU=FILE",
            help="Update this ECU with real firmware (HEX, SREC, TI-TXT, ELF, VBF, binary).",
        ),
    ):
        with_firmware = option(with_firmware)
    return with_firmware
