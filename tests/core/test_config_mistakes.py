"""A table of mistakes in every kind of file: each message has all rows, in plain words, as the user wrote it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.errors import InputError
from bench.runs.scenario import load_scenario
from ecu_sim.personality.personality import load_personality

JARGON = ("Input should", "Value error", "Field required", "validation", "pydantic", "codec", "{'", "None")
Row = tuple[str, str, str, str, str, str, str, str]
"""file, text, replacement, then what must stand in: problem, key, found, allowed, next."""
TABLE: list[Row] = [
    ("benches/sim", "schema = 1", "schema = true", "true or false where a whole", "schema", "true", "1", "in line 2"),
    ("benches/sim", "schema = 1", "schema = 1.0", "a number with a fraction", "schema", "1.0", "1", "correct schema"),
    (
        "scenarios/healthy",
        'title = "A healthy update of both ECUs"',
        "title = 2026-01-01",
        "a date or time where none belongs",
        "title",
        "2026-01-01",
        "text of 1 to 200 characters",
        "write title in quotes, as text in line 3",
    ),
    (
        "scenarios/healthy",
        'version = "2.0.0"',
        'version = "1234567890123456789012345678901234567890"',
        "text that is too long",
        "order.images.0.version",
        '"1234567890123456789012345678901234567890", 40 characters',
        "1 to 32 printable ASCII characters",
        "correct order.images.0.version",
    ),
    (
        "ecus/body_controller",
        "header_address = 0x00F00000",
        "header_address = 5000000000",
        "too large",
        "header_address",
        "5000000000",
        "0x0 to 0xFFFFFFFF",
        "correct header_address",
    ),
    (
        "ecus/body_controller",
        "s3_ms = 5000",
        "s3_ms = 12345678901234567890123",
        "too large",
        "uds.s3_ms",
        "12345678901234567890123",
        "1 to 600000",
        "correct uds.s3_ms",
    ),
    ("benches/sim", "schema = 1\n", "", "lacks a key", "schema", "no such key", "1", "add schema = … at the top"),
    (
        "benches/sim",
        'clock = "virtual"',
        "clock = 'lunar'",
        "none of the allowed",
        "clock",
        "'lunar'",
        '"virtual" or "real"',
        "line",
    ),
    (
        "benches/sim",
        'clock = "virtual"',
        "clok = 'virtual'",
        "unknown key",
        "clok",
        "'virtual'",
        "clock, channels",
        "write clock in its place, then see to clock",
    ),
    (
        "benches/sim",
        "500_000",
        "500_000_000",
        "too large",
        "channels.0.bitrate_bit_s",
        "500_000_000",
        "from 10000 to 1000000",
        "line",
    ),
    ("benches/sim", "500_000", "0x10", "too small", "channels.0.bitrate_bit_s", "0x10", "0x2710 to 0xF4240", "line"),
    (
        "benches/sim",
        "500_000",
        '"500"',
        "text where a whole number",
        "channels.0.bitrate_bit_s",
        '"500"',
        "whole number",
        "without quotes",
    ),
    (
        "benches/sim",
        "500_000",
        "500.5",
        "a whole number belongs",
        "channels.0.bitrate_bit_s",
        "500.5",
        "whole number",
        "line",
    ),
    (
        "benches/sim",
        "500_000",
        "500_000\ndata_bitrate_bit_s = 400_000",
        "data_bitrate_bit_s is below",
        "channels.0",
        "channels.0.data_bitrate_bit_s = 400_000",
        "fit each other",
        "change channels.0.",
    ),
    (
        "benches/sim",
        'vehicle = "two_ecu_car"',
        "vehicle = 7",
        "a whole number where text",
        "vehicle",
        "7",
        "a name",
        "in quotes in line",
    ),
    (
        "benches/sim",
        'name = "sim"',
        'name = "Sim Bench"',
        "wrong form",
        "name",
        '"Sim Bench"',
        "1 to 64 of a-z",
        "correct name",
    ),
    (
        "benches/sim",
        'name = "sim"',
        "name = sim",
        "not valid TOML",
        "line",
        "name = sim",
        "key = value",
        "correct line",
    ),
    (
        "benches/sim",
        'vehicle = "two_ecu_car"',
        'vehicle = "tank"',
        "no tank.toml",
        "vehicle",
        '"tank"',
        "two_ecu_car",
        "put tank.toml into",
    ),
    (
        "vehicles/two_ecu_car",
        "0x7A9",
        "0x7A8",
        "0x7A8 stands twice",
        "ecus",
        "response_id = 0x7A8",
        "each once",
        "change ecus.",
    ),
    (
        "vehicles/two_ecu_car",
        "ZZZ00TABENCH00001",
        "SHORT",
        "wrong form",
        "vin",
        '"SHORT"',
        "17 of A-Z",
        "correct vin in line",
    ),
    (
        "vehicles/two_ecu_car",
        'id = "gateway"',
        'id = "agent"',
        "wrong value",
        "ecus.1.id",
        '"agent"',
        "belong to the bench",
        "ecus.1.id",
    ),
    (
        "vehicles/two_ecu_car",
        "size_bytes = 32768",
        "size_bytes = 0",
        "too small",
        "installed.size_bytes",
        "0",
        "from 1 to 67108864",
        "correct",
    ),
    (
        "vehicles/two_ecu_car",
        'personality = "gateway"',
        'personality = "toaster"',
        "toaster.toml",
        "ecus.personality",
        '"toaster"',
        "body_controller",
        "toaster.toml",
    ),
    (
        "vehicles/two_ecu_car",
        'recipe = "dual_bank"',
        'recipe = "magic"',
        "magic.toml",
        "ecus.recipe",
        '"magic"',
        "single_bank",
        "magic.toml",
    ),
    (
        "vehicles/two_ecu_car",
        'channel = "can0"',
        'channel = "can9"',
        "channel that the bench lacks",
        "channel",
        '"can9"',
        "can0",
        "can9",
    ),
    (
        "ecus/body_controller",
        "max_attempts = 3",
        'max_attempts = "3"',
        "text where a whole number",
        "security.max_attempts",
        '"3"',
        "from 1 to 100",
        "without quotes",
    ),
    (
        "ecus/body_controller",
        "max_attempts = 3",
        "max_attempts = true",
        "true or false where a whole number",
        "security.max_attempts",
        "true",
        "from 1 to 100",
        "line",
    ),
    (
        "ecus/body_controller",
        "max_attempts = 3",
        "max_attempt = 3",
        "unknown key",
        "security.max_attempt",
        "3",
        "max_attempts",
        "write max_attempts in its place",
    ),
    ("recipes/single_bank", '"erase",', "", "step erase is missing", "steps", "[", "fit", "correct steps"),
    (
        "recipes/single_bank",
        '"erase",',
        '"ersae",',
        "none of the allowed",
        "steps",
        '"ersae"',
        '"erase"',
        "correct steps",
    ),
    (
        "scenarios/power_cut_ecu",
        'version = "2.0.0"',
        "version = 2",
        "a whole number where text",
        "order.images.0.version",
        "2",
        "1 to 32 printable",
        "in quotes",
    ),
    (
        "scenarios/power_cut_ecu",
        "schema = 1",
        'schema = 1\nexpect = { verdict = "fail" }',
        "wrong value",
        "expect",
        'verdict = "fail"',
        "names what must fail",
        "change expect.verdict",
    ),
    (
        "scenarios/power_cut_ecu",
        "schema = 1",
        "schema = 1\nlive_within_s = nan",
        "finite number",
        "live_within_s",
        "nan",
        "number above 0",
        "correct live_within_s",
    ),
    (
        "scenarios/power_cut_ecu",
        "schema = 1",
        "schema = 1\nlive_within_s = inf",
        "finite number",
        "live_within_s",
        "inf",
        "number above 0",
        "correct live_within_s",
    ),
    ("scenarios/power_cut_ecu", "schema = 1", "schema = 0x2", "none of the allowed", "schema", "0x2", "1", "line"),
    (
        "scenarios/power_cut_ecu",
        "restore_after_ms = 200",
        'restore_after_ms = "soon"',
        "text where a whole number",
        "faults.parameters.restore_after_ms",
        '"soon"',
        "1 to 3600000",
        "without quotes",
    ),
    (
        "scenarios/power_cut_ecu",
        "restore_after_ms = 200",
        "restore_after = 200",
        "unknown key",
        "faults.parameters.restore_after",
        "200",
        "restore_after_ms",
        "write restore_after_ms",
    ),
    (
        "scenarios/power_cut_ecu",
        "torn=3",
        "torn=x",
        "torn",
        "faults.point",
        "torn=x",
        "torn=<k>",
        "guides/fault-points",
    ),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the built-in files."""
    for kind in ("benches", "vehicles", "ecus", "recipes", "scenarios"):
        shutil.copytree(data_root() / kind, tmp_path / kind)
    return tmp_path


def read(tree: Path, path: Path) -> None:
    if path.parent.name == "scenarios":
        load_scenario(path)
    elif path.parent.name == "ecus":
        load_personality(path)
    else:
        load_bench(tree / "benches" / "sim.toml")


def mistake_in(tree: Path, path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read(tree, path)
    return caught.value


@pytest.mark.parametrize(
    ("name", "old", "new", "problem", "key", "found", "allowed", "step"),
    TABLE,
    ids=[f"{row[0].split('/')[0]}-{row[3] or row[4]}-{number}" for number, row in enumerate(TABLE)],
)
def test_mistake_has_all_rows_in_plain_words(
    tree: Path, name: str, old: str, new: str, problem: str, key: str, found: str, allowed: str, step: str
) -> None:
    path = tree / f"{name}.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    error = mistake_in(tree, path)
    assert error.file == str(path)
    rows = {"problem": problem, "key": key, "found": found, "allowed": allowed, "hint": step}
    for row, words in rows.items():
        value = getattr(error, row)
        assert value is not None, f"{row} is missing:\n{error}"
        assert words in str(value), f"{row} lacks {words!r}:\n{error}"
    assert not [word for word in JARGON if word in str(error)], str(error)
    assert all(len(line) < 400 for line in str(error).splitlines())


@pytest.mark.parametrize(
    "kind", ["benches/sim", "vehicles/two_ecu_car", "ecus/body_controller", "recipes/single_bank", "scenarios/healthy"]
)
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no such key"),
        (b"x = '\xff'", "byte 0xFF at offset 5, in line 1"),
        (b"\x00\x01\x02", "\\x00\\x01\\x02"),
        (b"x = " + b"9" * 5000, "too many digits"),
        (b"x = " + b"[" * 5000, "without end"),
        (b"a = 1\nb = \n", "b ="),
        (b"[", "["),
        (b"x = 1\nx = 2\n", "x = 2"),
    ],
    ids=["empty", "not-utf8", "binary", "digits", "brackets", "no-value", "cut", "twice"],
)
def test_file_that_is_no_such_file_at_all_is_refused_with_all_rows(
    tree: Path, kind: str, content: bytes, found: str
) -> None:
    path = tree / f"{kind}.toml"
    path.write_bytes(content)
    error = mistake_in(tree, path)
    assert error.file == str(path)
    assert found in str(error.found), str(error)
    assert error.allowed
    assert error.hint
    assert not [word for word in JARGON if word in str(error)], str(error)
