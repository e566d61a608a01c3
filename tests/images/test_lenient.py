"""What stands behind the end record: refused by default, left out and counted when the user says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.core.errors import InputError
from bench.images.memory import Segment
from bench.images.readers import read_firmware
from tests.images.test_readers import END, record, written

SYMBOLS = [record(4, 0, b"\0\0"), record(0xFE, 0, b"ao_task_init"), record(0xFE, 4, b"main")]
DATA = record(0, 0x100, b"abcd")


@pytest.mark.parametrize(
    ("name", "lines", "sentence"),
    [
        (
            "symbols.ihx",
            [DATA, END, *SYMBOLS],
            "3 lines behind the end record left out, from line 3 on: 1 of type 04, 2 of type FE",
        ),
        ("more.hex", [DATA, END, "", record(0, 0, b"x")], "1 line behind .* from line 4 on: 1 of type 00"),
        ("noise.hex", [DATA, END, "no record at all"], "1 line behind .* from line 3 on"),
        ("f.srec", ["S107010061626364" + "6D", "S9030000FC", "S0030000FC"], "from line 3 on: 1 of type S0"),
        ("f.txt", ["@100", "61 62 63 64", "q", "; built on a Monday"], "from line 4 on: 1 of type text"),
    ],
)
def test_lines_behind_the_end_are_refused_unless_the_user_is_lenient(
    tmp_path: Path, name: str, lines: list[str], sentence: str
) -> None:
    file = written(tmp_path, name, "\n".join(lines) + "\n")
    with pytest.raises(InputError, match="after the end") as caught:
        read_firmware(file)
    assert caught.value.hint is not None
    assert "--lenient" in caught.value.hint
    firmware = read_firmware(file, lenient=True)
    assert firmware.image.segments == (Segment(0x100, b"abcd"),)
    (told,) = firmware.tolerated
    assert re.search(sentence, told)


def test_a_lenient_reader_of_a_file_as_it_should_be_tolerates_nothing(tmp_path: Path) -> None:
    assert read_firmware(written(tmp_path, "f.hex", f"{DATA}\n{END}\n\n"), lenient=True).tolerated == ()


@pytest.mark.parametrize("lines", [[DATA.replace("61", "62", 1), END], [DATA], [record(0xFE, 0, b"x"), END]])
def test_leniency_ends_at_the_end_record(tmp_path: Path, lines: list[str]) -> None:
    file = written(tmp_path, "f.hex", "\n".join(lines) + "\n")
    with pytest.raises(InputError, match="line 1"):
        read_firmware(file, lenient=True)
