"""Several files for one ECU, in the order they are flashed: secondary bootloader, code, data, configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from bench.core.errors import InputError
from bench.images.blocks import BlockKind, SoftwareFile
from bench.images.memory import AddressRange

_ORDER = {BlockKind.BOOTLOADER: 0, BlockKind.CODE: 1, BlockKind.CONFIGURATION: 3}


def for_one_ecu(files: Sequence[SoftwareFile]) -> tuple[SoftwareFile, ...]:
    """Return the files in the order of flashing; files of one kind keep the order they are given in.

    `InputError` when they are not for one ECU together: two secondary bootloaders, ecu_address or frame_format that
    differ, memory that two of them fill, an erase list that takes what a file before has programmed.
    """
    if not files:
        raise InputError("no file to flash", found="none", allowed="at least one", hint="name the firmware files")
    ordered = tuple(sorted(files, key=_rank))
    loaders = [each for each in ordered if each.is_bootloader]
    if len(loaders) > 1:
        found = " and ".join(_named(each) for each in loaders)
        raise InputError(
            "there is more than one secondary bootloader",
            file=_both(loaders[0], loaders[1]), found=found, allowed="one, which goes first",
            hint="leave out all but the one for this ECU",
        )  # fmt: skip
    for first, second in combinations(ordered, 2):
        _check_one_ecu(first, second)
        _check_memory(first, second)
    return ordered


def _rank(file: SoftwareFile) -> int:
    return min((_ORDER.get(block.kind, 2) for block in file.blocks), default=2)


def _check_one_ecu(first: SoftwareFile, second: SoftwareFile) -> None:
    addresses = (first.ecu_addresses, second.ecu_addresses)
    if all(addresses) and not set(addresses[0]) & set(addresses[1]):
        found = f"{_named(second)} is for {_hex(addresses[1])}"
        raise InputError(
            "two files are for different ECUs",
            file=_both(first, second), key="ecu_address", found=found,
            allowed=f"{_hex(addresses[0])}, as {_named(first)}", hint="take the files of one ECU",
        )  # fmt: skip
    formats = (first.frame_format, second.frame_format)
    if all(formats) and formats[0] != formats[1]:
        raise InputError(
            "two files are for different frame formats",
            file=_both(first, second), key="frame_format", found=f"{_named(second)} has {formats[1]}",
            allowed=f"{formats[0]}, as {_named(first)}", hint="take the files of one ECU",
        )  # fmt: skip


def _check_memory(first: SoftwareFile, second: SoftwareFile) -> None:
    common = _shared(_memory(first), _memory(second))
    if common is not None:
        raise InputError(
            "two files claim the same addresses",
            file=_both(first, second), found=f"both fill {common}", allowed="files that do not overlap",
            hint="leave one of them out, or take files that were made to go together",
        )  # fmt: skip
    taken = _shared(_memory(first), (each for block in second.blocks for each in block.erase))
    if taken is not None:
        raise InputError(
            "the erase list of one file takes what the file before it has programmed",
            file=_both(first, second), key="erase", found=f"{_named(second)} erases {taken} of {_named(first)}",
            allowed="erase lists that keep to their own data", hint="have the erase list mended, or the order changed",
        )  # fmt: skip


def _memory(file: SoftwareFile) -> list[AddressRange]:
    return [each for block in file.blocks for each in block.memory]


def _shared(first: Iterable[AddressRange], second: Iterable[AddressRange]) -> AddressRange | None:
    """Return the lowest range that both have; in one sweep over both, ascending."""
    ends = [0, 0]
    for region, side in sorted([(each, 0) for each in first] + [(each, 1) for each in second]):
        end = min(region.end, ends[1 - side])
        if region.start < end:
            return AddressRange(region.start, end)
        ends[side] = max(ends[side], region.end)
    return None


def _hex(addresses: tuple[int, ...]) -> str:
    return " or ".join(f"0x{each:X}" for each in addresses)


def _both(first: SoftwareFile, second: SoftwareFile) -> str:
    return f"{first.name} and {second.name}"


def _named(file: SoftwareFile) -> str:
    about = " ".join(each for each in (file.part_type, file.part_number) if each)
    return f"{file.name} ({about})" if about else file.name
