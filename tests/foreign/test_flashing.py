"""Our flasher programs the three foreign units by recipes alone: whole, refused, interrupted, lied to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bench.flasher.belief import EcuState
from bench.flasher.errors import CheckFailed, FlashFailed, NegativeResponse, VersionMismatch
from bench.flasher.recipe import load_recipe
from tests.foreign import odx_unit, plain_unit, vbf_loader
from tests.foreign.files import (
    MAKER_B,
    application,
    data_for,
    maker_a,
    odx_blocks,
    plain_image,
    public_pem,
    secondary_bootloader,
)
from tests.foreign.memory import Flash
from tests.foreign.ours import Flashed, flash, foreign_bench, odx_job, plain_job, vbf_job
from tests.foreign.tester import new_port, unit


@pytest.fixture
def ports() -> dict[str, int]:
    return {ecu: new_port() for ecu in ("engine", "inverter", "pump")}


def stored(folder: Path, regions: dict[int, int]) -> Flash:
    return Flash(folder / "flash.bin", regions)


def cause(ended: Flashed) -> Exception:
    assert isinstance(ended.error, FlashFailed)
    return ended.error.cause


def test_vbf_files_go_through_the_secondary_bootloader_and_run(tmp_path: Path, ports: dict[str, int]) -> None:
    files, pem = foreign_bench(tmp_path / "bench", ports), public_pem(tmp_path, maker_a())
    exe, data = application("AB"), data_for("AB")
    with unit("vbf_loader", tmp_path / "a", ports["engine"], "--key", str(pem)):
        ended = flash(files, vbf_job(secondary_bootloader(), exe, data))
    assert (ended.error, ended.run.belief.state) == (None, EcuState.NEW_SOFTWARE)
    assert ended.run.report().version == "31394148 AB, 31394149 AA"
    flashed = stored(tmp_path / "a", vbf_loader.VbfLoader.regions)
    assert all(flashed.read(address, len(block)) == block for file in (exe, data) for address, block in file.blocks)
    sent = sum(len(block) for file in (secondary_bootloader(), exe, data) for _, block in file.blocks)
    assert ended.run.report().sent_bytes == sent, "gaps are not filled"


def test_compressed_blocks_of_an_odx_unit_are_sent_as_packed_and_run(tmp_path: Path, ports: dict[str, int]) -> None:
    files, pem = foreign_bench(tmp_path / "bench", ports), public_pem(tmp_path, MAKER_B)
    blocks = odx_blocks("2.0.0")
    with unit("odx_unit", tmp_path / "b", ports["inverter"], "--key", str(pem)):
        ended = flash(files, odx_job("2.0.0", *blocks))
    assert (ended.error, ended.run.belief.state) == (None, EcuState.NEW_SOFTWARE)
    flashed = stored(tmp_path / "b", odx_unit.OdxUnit.regions)
    assert all(flashed.read(block.address, len(block.data)) == block.data for block in blocks)
    assert ended.run.report().sent_bytes == sum(len(block.packed) for block in blocks)


def test_unit_without_optional_services_is_programmed_and_believed_no_further_than_it_tells(
    tmp_path: Path, ports: dict[str, int]
) -> None:
    files, image = foreign_bench(tmp_path / "bench", ports), plain_image()
    with unit("plain_unit", tmp_path / "c", ports["pump"]):
        ended = flash(files, plain_job(image))
    assert (ended.error, ended.run.belief.state) == (None, EcuState.STORED)
    flashed = stored(tmp_path / "c", plain_unit.PlainUnit.regions)
    assert flashed.read(plain_unit.START, len(image)) == image


def test_damaged_image_is_no_success_where_the_answer_to_the_last_request_is_the_only_check(
    tmp_path: Path, ports: dict[str, int]
) -> None:
    files, image = foreign_bench(tmp_path / "bench", ports), plain_image()
    with unit("plain_unit", tmp_path / "c", ports["pump"]):
        ended = flash(files, plain_job(image[:-1] + bytes((image[-1] ^ 1,))))
    refusal = cause(ended)
    assert isinstance(refusal, NegativeResponse)
    assert (refusal.sid, refusal.nrc) == (0x37, 0x72)
    assert ended.run.belief.state is EcuState.UNKNOWN


def test_forged_signature_ends_the_job_at_that_file(tmp_path: Path, ports: dict[str, int]) -> None:
    files = foreign_bench(tmp_path / "bench", ports)
    pem = public_pem(tmp_path, MAKER_B)
    calibration, code = odx_blocks("2.0.0")
    job = odx_job("2.0.0", calibration, code)
    first, second = job.given.parts
    parts = (first, replace(second, proofs=(("signature", bytes(64)),)))
    forged = replace(job, given=replace(job.given, parts=parts))
    with unit("odx_unit", tmp_path / "b", ports["inverter"], "--key", str(pem)):
        ended = flash(files, forged)
    failed = cause(ended)
    assert isinstance(failed, CheckFailed)
    assert (failed.routine_id, failed.status) == (0x0203, 6)


# Interrupted -------------------------------------------------------------------------------------------


@contextmanager
def dying_unit(module: str, folder: Path, port: int, block: int, *arguments: str) -> Iterator[None]:
    """A unit that kills itself in the middle of that block, and comes back as it was left."""

    def come_back() -> None:
        died.wait()
        with unit(module, folder, port, *arguments):
            over.wait()

    over = threading.Event()
    with unit(module, folder, port, "--die-at-block", str(block), *arguments) as died:
        keeper = threading.Thread(target=come_back)
        keeper.start()
        try:
            yield
        finally:
            died.kill()
            over.set()
            keeper.join()


@pytest.mark.parametrize(("block", "first_again"), [(3, True), (9, False)])
def test_unit_that_dies_in_a_block_is_programmed_all_the_same_and_whole_parts_are_not_sent_again(
    tmp_path: Path, ports: dict[str, int], block: int, first_again: bool
) -> None:
    files, pem = foreign_bench(tmp_path / "bench", ports), public_pem(tmp_path, MAKER_B)
    calibration, code = odx_blocks("2.0.0")
    with dying_unit("odx_unit", tmp_path / "b", ports["inverter"], block, "--key", str(pem)):
        ended = flash(files, odx_job("2.0.0", calibration, code))
    assert (ended.error, ended.run.belief.state) == (None, EcuState.NEW_SOFTWARE)
    assert ended.counts()["job_retry"] >= 1
    flashed = stored(tmp_path / "b", odx_unit.OdxUnit.regions)
    assert all(flashed.read(each.address, len(each.data)) == each.data for each in (calibration, code))
    again = ended.run.report().sent_bytes - len(calibration.packed) - len(code.packed)
    lost = (block - 1) * 1024 if first_again else (block - 1) * 1024 - -(-len(calibration.packed) // 1024) * 1024
    assert again == lost


def test_secondary_bootloader_that_lost_its_power_is_loaded_and_started_again(
    tmp_path: Path, ports: dict[str, int]
) -> None:
    files, pem = foreign_bench(tmp_path / "bench", ports), public_pem(tmp_path, maker_a())
    exe, data = application("AB"), data_for("AB")
    with dying_unit("vbf_loader", tmp_path / "a", ports["engine"], 12, "--key", str(pem)):
        ended = flash(files, vbf_job(secondary_bootloader(), exe, data))
    assert (ended.error, ended.run.belief.state) == (None, EcuState.NEW_SOFTWARE)
    flashed = stored(tmp_path / "a", vbf_loader.VbfLoader.regions)
    assert all(flashed.read(address, len(block)) == block for file in (exe, data) for address, block in file.blocks)


def test_refused_block_begins_the_part_anew(tmp_path: Path, ports: dict[str, int]) -> None:
    files, image = foreign_bench(tmp_path / "bench", ports), plain_image()
    with unit("plain_unit", tmp_path / "c", ports["pump"], "--refuse-block", "5"):
        ended = flash(files, plain_job(image))
    assert (ended.error, ended.counts()["download_restart"]) == (None, 1)
    assert stored(tmp_path / "c", plain_unit.PlainUnit.regions).read(plain_unit.START, len(image)) == image


# Lied to -----------------------------------------------------------------------------------------------


UPSET = "tester_present_interval_ms = 20"
PART = '{ after = "part", by = "routine"'
READ_BACK = '{ after = "part", by = "read_back", service = 0x23, chunk_bytes = 512 },'


@pytest.mark.parametrize("reads_back", [False, True])
def test_unit_that_acknowledges_and_stores_nothing_is_found_by_reading_back_alone(
    tmp_path: Path, ports: dict[str, int], reads_back: bool
) -> None:
    files = foreign_bench(tmp_path / "bench", ports)
    recipe = tmp_path / "bench" / "recipes" / "odx_unit.toml"
    text = recipe.read_text(encoding="utf-8").replace("[retries]", f"[timing]\n{UPSET}\n\n[retries]")
    if reads_back:
        text = text.replace(PART, f"{READ_BACK}\n  {PART}")
    recipe.write_text(text, encoding="utf-8")
    files = replace(files, recipes={**files.recipes, "inverter": load_recipe(recipe)})
    pem = public_pem(tmp_path, MAKER_B)
    with unit("odx_unit", tmp_path / "b", ports["inverter"], "--key", str(pem), "--upset-by-tester-present"):
        ended = flash(files, odx_job("2.0.0", *odx_blocks("2.0.0")))
    failed = cause(ended)
    if reads_back:
        assert isinstance(failed, CheckFailed)
        assert failed.routine_id == 0x23
        assert "0xFF is stored at 0x80000000" in str(failed)
    else:
        assert isinstance(failed, VersionMismatch), "every check was passed, and nothing runs"
