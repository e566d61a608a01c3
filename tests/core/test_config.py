"""The loader of TOML files: every mistake becomes one message naming file, key, found and allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from bench.config import MAX_FILE_BYTES, FileModel, data_root, load_toml, read_bytes
from bench.core.errors import InputError


class Installed(FileModel):
    version: str
    size_bytes: Annotated[int, Field(gt=0, le=1 << 20)]


class Ecu(FileModel):
    id: str
    kind: Literal["single_bank", "dual_bank"] = "single_bank"
    installed: Installed | None = None


class Car(FileModel):
    vin: str
    functional_id: Annotated[int, Field(ge=0, le=0x7FF)] = 0x7DF
    ecus: tuple[Ecu, ...]


GOOD = 'vin = "V"\n[[ecus]]\nid = "body"\ninstalled = { version = "1.0.0", size_bytes = 5 }\n'


def refused(tmp_path: Path, text: str) -> InputError:
    path = tmp_path / "car.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_toml(path, Car, "vehicle file")
    assert caught.value.file == str(path)
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value)
    return caught.value


def test_a_good_file_becomes_a_frozen_value(tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    path.write_text(GOOD)
    car = load_toml(path, Car, "vehicle file")
    assert car.ecus[0].installed == Installed(version="1.0.0", size_bytes=5)
    with pytest.raises(ValueError, match="frozen"):
        car.vin = "other"


def test_a_missing_file_is_named_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "van.toml").write_text(GOOD)
    with pytest.raises(InputError, match="vehicle file does not exist") as caught:
        load_toml(tmp_path / "car.toml", Car, "vehicle file")
    assert caught.value.file == str(tmp_path / "car.toml")
    assert caught.value.hint == "name another file; that folder has: van.toml"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_toml(tmp_path / "no" / "car.toml", Car, "vehicle file")
    assert caught.value.hint == f"check the path: folder {tmp_path / 'no'} does not exist either"


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vehicle file is not a file"):
        load_toml(tmp_path, Car, "vehicle file")


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be read: Not a directory"):
        load_toml(tmp_path / "file" / "car.toml", Car, "vehicle file")


def test_malformed_toml_is_refused_with_its_place(tmp_path: Path) -> None:
    error = refused(tmp_path, "vin = V")
    assert (error.key, error.found) == ("line 1", "vin = V")


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    path.write_bytes(b"vin = '\xff'")
    with pytest.raises(InputError, match="not a text file"):
        load_toml(path, Car, "vehicle file")


def test_a_file_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(InputError, match="too large") as caught:
        read_bytes(path, limit_bytes=MAX_FILE_BYTES, what="vehicle file")
    assert caught.value.allowed == f"up to {MAX_FILE_BYTES} bytes"


@pytest.mark.parametrize(
    ("text", "key", "found", "allowed"),
    [
        (f'colour = "red"\n{GOOD}', "colour", '"red"', "vin, functional_id, ecus"),
        (GOOD.replace("id =", "ident ="), "ecus.0.ident", '"body"', "id, kind, installed"),
        (GOOD + "doors = 3\n", "ecus.0.doors", "3", "id, kind, installed"),
        (GOOD.replace("size_bytes", "size"), "ecus.0.installed.size", "5", "version, size_bytes"),
        (
            GOOD.replace(", size_bytes = 5", ""),
            "ecus.0.installed.size_bytes",
            "no such key",
            "a whole number from 1 to 1048576",
        ),
        ('functional_id = "x"\n' + GOOD, "functional_id", '"x"', "a whole number"),
        ("functional_id = 2048\n" + GOOD, "functional_id", "2048", "from 0 to 2047"),
        (GOOD.replace("= 5", "= 0"), "ecus.0.installed.size_bytes", "0", "from 1 to 1048576"),
        (GOOD + 'kind = "triple"\n', "ecus.0.kind", '"triple"', '"single_bank" or "dual_bank"'),
        ('vin = 3\n[[ecus]]\nid = "body"\n', "vin", "3", "text"),
        ('vin = "V"\necus = 3\n', "ecus", "3", "a list"),
    ],
)
def test_a_wrong_value_is_refused_naming_key_found_and_allowed(
    tmp_path: Path, text: str, key: str, found: str, allowed: str
) -> None:
    error = refused(tmp_path, text)
    assert error.key == key
    assert str(error.found) == found
    assert error.allowed is not None
    assert allowed in error.allowed


def test_an_unknown_key_below_an_optional_table_names_the_keys_of_that_table(tmp_path: Path) -> None:
    error = refused(tmp_path, GOOD.replace("size_bytes = 5", "size_bytes = 5, colour = 1"))
    assert (error.key, error.allowed) == ("ecus.0.installed.colour", "version, size_bytes")


def test_the_message_has_one_row_per_fact(tmp_path: Path) -> None:
    error = refused(tmp_path, "functional_id = -1\n" + GOOD)
    assert str(error).splitlines() == [
        "vehicle file has a number that is too small",
        f"  file    {tmp_path / 'car.toml'}",
        "  key     functional_id",
        "  found   -1",
        "  allowed a whole number from 0 to 2047",
        "  next    correct functional_id in line 1",
    ]


def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    path.write_text("\ufeff" + GOOD, encoding="utf-8")
    assert load_toml(path, Car, "vehicle file").vin


def test_further_mistakes_are_named(tmp_path: Path) -> None:
    error = refused(tmp_path, 'functional_id = -1\nvin = 3\n[[ecus]]\nid = "body"\n')
    assert error.hint == "put it in quotes in line 2, then see to functional_id"


def test_the_data_folder_exists() -> None:
    assert data_root().is_dir()
