"""Several files for one ECU: their order, and what does not go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.images.blocks import SoftwareFile
from bench.images.firmware import Firmware
from bench.images.memory import MemoryImage
from bench.images.software import software_of
from bench.images.software_set import for_one_ecu
from bench.images.vbf import read_vbf
from tests.foreign import vbf_loader
from tests.foreign.files import VbfFile, application, data_for, secondary_bootloader


def taken(made: VbfFile, **changed: object) -> SoftwareFile:
    software = software_of(Firmware("vbf", MemoryImage(), vbf=read_vbf(made.raw)), Path(f"{made.kind.lower()}.vbf"))
    return replace(software, **changed)  # type: ignore[arg-type]  # any field may be changed


SBL, EXE, DATA = (taken(each) for each in (secondary_bootloader(), application("AB"), data_for("AB")))


@given(st.permutations([SBL, EXE, DATA]))
def test_secondary_bootloader_goes_first_then_code_then_data(files: Sequence[SoftwareFile]) -> None:
    assert for_one_ecu(files) == (SBL, EXE, DATA)


def test_files_of_one_kind_keep_their_order() -> None:
    words = [VbfFile(n, "A", "DATA", ((0x1000 * int(n), b"x"),)) for n in "321"]
    config = VbfFile("9", "A", "CARCFG", ((0x9000, b"x"),))
    files = [taken(each) for each in (config, *words)]
    assert [each.part_number for each in for_one_ecu(files)] == ["3", "2", "1", "9"]


@pytest.mark.parametrize(
    ("files", "told", "found", "allowed"),
    [
        ([SBL, SBL], "more than one secondary bootloader", "sbl.vbf (SBL 31394146)", "one, which goes first"),
        ([replace(EXE, ecu_addresses=(0x7A0,)), SBL], "different ECUs", "is for 0x7A0", "0x7E0, as sbl.vbf"),
        (
            [replace(DATA, frame_format="CAN_EXTENDED"), EXE],
            "different frame formats",
            "has CAN_EXTENDED",
            "CAN_STANDARD, as exe.vbf",
        ),
        (
            [EXE, taken(VbfFile("2", "A", "DATA", ((vbf_loader.EXE + 4, b"abcd"),)))],
            "claim the same addresses",
            "0x00010004..0x00010008 (4 bytes)",
            "do not overlap",
        ),
        (
            [
                EXE,
                taken(
                    VbfFile("2", "A", "DATA", ((vbf_loader.DATA, b"x"),), erase=((vbf_loader.EXE + 0x1_1000, 0x20000),))
                ),
            ],
            "erase list of one file takes",
            "data.vbf (DATA 2) erases 0x00021000..0x00021388",
            "keep to their own",
        ),
        ([], "no file to flash", "none", "at least one"),
    ],
)
def test_files_that_do_not_go_together_are_refused(
    files: list[SoftwareFile], told: str, found: str, allowed: str
) -> None:
    with pytest.raises(InputError, match=told) as refusal:
        for_one_ecu(files)
    error = refusal.value
    assert found in str(error.found)
    assert allowed in str(error.allowed)
    assert error.hint


def test_erasing_before_a_later_file_is_its_own_affair() -> None:
    whole = ((vbf_loader.EXE, vbf_loader.DATA + vbf_loader.DATA_BYTES - vbf_loader.EXE),)
    exe = taken(replace(application("AB"), erase=whole))
    assert for_one_ecu([DATA, exe]) == (exe, DATA)
