"""`otabench ecu --list` and `--describe`: what is built in, what an ECU is and offers, its memory map as a picture."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.assembly.describe_ecu import describe_ecu
from bench.config import data_root
from bench.description.ecu_description import EcuDescription, Region, Sectors
from bench.serving.memory_map import drawn, size_words, stretches
from bench.serving.memory_map_svg import STYLE, memory_map_svg

Cli = Callable[..., Any]
KINDS = sorted(path.stem for path in (data_root() / "ecus").glob("*.toml"))
VEHICLES = sorted(path.stem for path in (data_root() / "vehicles").glob("*.toml"))
SVG = "{http://www.w3.org/2000/svg}"


def description(kind: str) -> EcuDescription:
    return describe_ecu(data_root() / "ecus" / f"{kind}.toml")


def test_list_without_a_vehicle_shows_every_kind_and_every_vehicle_that_is_built_in(otabench: Cli) -> None:
    found = otabench("ecu", "--list", "--json").json
    kinds = {each["name"]: each for each in found["personalities"]}
    assert sorted(kinds) == KINDS
    assert kinds["head_unit"]["bus"] == "CAN FD"
    assert [bank["size_bytes"] for bank in kinds["gateway"]["banks"]] == [0x40000, 0x40000]
    assert {"default", "programming", "extended"} <= set(kinds["body_controller"]["sessions"])
    assert sorted(each["vehicle"] for each in found["vehicles"]) == VEHICLES
    shown = otabench("ecu", "--list").out
    assert all(name in shown for name in (*KINDS, *VEHICLES))


@pytest.mark.parametrize("kind", KINDS)
def test_description_of_every_kind_agrees_with_its_file_and_its_schema(otabench: Cli, kind: str) -> None:
    found = otabench("ecu", "--describe", kind, "--json").json["described"]
    assert EcuDescription.model_validate(found).name == kind
    text = (data_root() / "ecus" / f"{kind}.toml").read_text()
    assert re.search(rf"header_address = 0x0*{found['header_address']:X}\b", text)
    assert [mode["name"] for mode in found["modes"]] == ["application", "bootloader"]


def test_description_tells_sessions_services_dids_and_routines_of_each_mode(otabench: Cli) -> None:
    application, bootloader = otabench("ecu", "--describe", "gateway", "--json").json["described"]["modes"]
    services = {service["sid"]: service for service in bootloader["services"]}
    assert services[0x34]["sessions"] == ["programming"]
    assert services[0x34]["unlocked"]
    assert (1, "request seed") in [(sub["value"], sub["name"]) for sub in services[0x27]["sub_functions"]]
    known = {service["sid"]: service["served"] for service in application["services"]}
    assert (known[0x34], known[0x22]) == (False, True)
    assert {did["did"]: did["written_in"] for did in bootloader["dids"]}[0xF15A] == "programming"
    assert 0x0203 in [routine["routine_id"] for routine in bootloader["routines"]]
    assert 0x0204 in [routine["routine_id"] for routine in application["routines"]]


def test_description_in_words_has_map_services_timing_and_seed_key(otabench: Cli) -> None:
    shown = otabench("ecu", "--describe", "body_controller").out
    for words in (
        "0x00F00000",
        "image:A",
        "16 sectors of 16 KiB",
        "0x36",
        "transfer data",
        "p2_star_ms 5000",
        "hmac_sha256",
        "static_seed no",
        "padding 0xCC",
        "brown_out_mv 5000",
        "resets_max 3",
    ):
        assert words in shown


@pytest.mark.parametrize("kind", KINDS)
def test_description_names_only_sessions_that_the_mode_can_be_in(kind: str) -> None:
    for mode in description(kind).modes:
        offered = {session.name for session in mode.sessions}
        here = offered - {"programming"} if mode.name == "application" else offered
        served = [service for service in mode.services if service.served]
        assert all(service.sessions and set(service.sessions) <= here for service in served)
        subs = [(service.sid, sub) for service in served for sub in service.sub_functions]
        elsewhere = {(sid, sub.value) for sid, sub in subs if not set(sub.sessions) <= here}
        assert elsewhere <= ({(0x27, 1), (0x27, 2)} if mode.name == "application" else set())


def test_safety_session_stands_only_where_the_guide_has_it() -> None:
    with_safety = {
        (kind, mode.name)
        for kind in KINDS
        for mode in description(kind).modes
        if any("safety" in service.sessions for service in mode.services)
    }
    assert with_safety == {("body_controller", "application"), ("ev_battery", "application")}


@pytest.mark.parametrize(
    ("kind", "section", "words"),
    [
        ("adas", "staging", "base_address 0x90000000"),
        ("head_unit", "user_data", "wipe_routine 0x0212"),
        ("ev_battery", "preconditions", "high_voltage no"),
        ("gateway", "bootloader_update", "factory_version"),
    ],
)
def test_optional_sections_of_the_file_are_described(otabench: Cli, kind: str, section: str, words: str) -> None:
    assert otabench("ecu", "--describe", kind, "--json").json["described"][section]
    assert words in otabench("ecu", "--describe", kind).out


@pytest.mark.parametrize("kind", KINDS)
def test_description_in_words_has_no_raw_value_and_no_line_that_is_too_long(otabench: Cli, kind: str) -> None:
    shown = otabench("ecu", "--describe", kind).out
    assert not re.search(r"\b(True|False|None)\b", shown)
    settings = [line for line in shown.splitlines() if not line.startswith("  0x")]
    assert max(map(len, settings)) <= 160


def test_network_of_a_vehicles_ecu_is_described_with_frames_partners_and_routes(otabench: Cli) -> None:
    network = otabench("ecu", "full_car", "gateway", "--describe", "--json").json["network"]
    assert 0x120 in [frame["can_id"] for frame in network["frames"]]
    assert 0x110 in [partner["can_id"] for partner in network["partners"]]
    assert ("can0", "can1", 0x7A0) in [(each["source"], each["target"], each["first_id"]) for each in network["routes"]]
    shown = otabench("ecu", "full_car", "gateway", "--describe").out
    assert all(words in shown for words in ("In this vehicle", "can_id 0x120", "first_id 0x7A0", "base_id 0x500"))
    assert "network" not in otabench("ecu", "--describe", "gateway", "--json").json


def test_ecu_of_a_vehicle_is_described_with_its_identifiers(otabench: Cli) -> None:
    found = otabench("ecu", "fd_car", "head_unit", "--describe", "--json").json
    assert (found["vehicle"], found["ecu"], found["request_id"]) == ("fd_car", "head_unit", 0x18DA21F1)
    assert found["described"]["name"] == "head_unit"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--describe", "warp"], ("no such personality", "warp", "head_unit")),
        (["--describe"], ("nothing to describe", "--describe", "head_unit")),
        (["--describe", "gateway", "two_ecu_car"], ("--describe PERSONALITY, or VEHICLE ECU --describe",)),
        (["two_ecu_car", "door", "--describe"], ("no such ECU", "door", "body, gateway")),
        (["--svg", "x.svg"], ("--svg without --describe",)),
        (
            ["--describe", "gateway", "--svg", "none/x.svg"],
            ("cannot be written", "none/x.svg", "no folder none", "--svg"),
        ),
    ],
)
def test_wrong_usage_is_refused_with_what_is_allowed(
    otabench: Cli, arguments: list[str], words: tuple[str, ...]
) -> None:
    ended = otabench("ecu", *arguments)
    assert (ended.code, ended.out) == (2, "")
    for word in words:
        assert word in ended.err


def test_wrong_personality_file_names_key_found_and_allowed(otabench: Cli, folder: Path) -> None:
    text = (data_root() / "ecus" / "gateway.toml").read_text().replace("erase_ms = 150", "erase_ms = 0")
    (folder / "mine.toml").write_text(text)
    ended = otabench("ecu", "--describe", "mine.toml")
    assert ended.code == 2
    for word in ("mine.toml", "flash.erase_ms", "0", "from 1"):
        assert word in ended.err


@pytest.mark.parametrize("kind", KINDS)
def test_map_shows_every_region_in_the_order_of_addresses_without_overlap(kind: str) -> None:
    told = description(kind)
    laid = stretches(told)
    assert sorted(region.name for stretch in laid for region in stretch.regions) == sorted(r.name for r in told.regions)
    assert all(before.end < after.start for before, after in pairwise(laid))
    for unicode in (True, False):
        lines = drawn(told, unicode=unicode)
        assert all(any(region.name in line for line in lines) for region in told.regions)
        assert "".join(drawn(told, unicode=False)).isascii()
        assert all(
            re.search(rf"{region.name} +{size_words(region.size_bytes)}", "\n".join(lines)) for region in told.regions
        )
        boxed = [line for line in lines if line.lstrip().startswith(("│", "|", "0x"))]
        assert len({line.rindex("│" if unicode else "|", 0, 40) for line in boxed if "0x" not in line[:6]}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_picture_is_well_formed_has_title_and_description_and_shows_every_region(kind: str) -> None:
    told = description(kind)
    root = ET.fromstring(memory_map_svg(told))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    title, words = root.findtext(f"{SVG}title") or "", root.findtext(f"{SVG}desc") or ""
    assert told.title in title
    assert all(region.name in words for region in told.regions)
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert all(region.name in texts for region in told.regions)
    boxes = [box for box in root.iter(f"{SVG}rect") if box.find(f"{SVG}title") is not None]
    assert len(boxes) == len(told.regions)
    width, height = (float(side) for side in (root.get("viewBox") or "").split()[2:])
    assert all(float(b.get("y", 0)) + float(b.get("height", 0)) <= height for b in boxes)
    assert all(float(b.get("x", 0)) + float(b.get("width", 0)) <= width for b in boxes)


def test_picture_has_colours_for_light_and_dark_ground_and_no_foreign_part() -> None:
    text = memory_map_svg(description("head_unit"))
    assert "prefers-color-scheme: dark" in text
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    light, dark = STYLE.split("@media")
    assert set(re.findall(r"\.(\w+) \{ fill", light)) - {"quiet", "address"} <= set(
        re.findall(r"\.(\w+) \{ fill", dark)
    )


def test_sectors_of_different_sizes_are_all_told() -> None:
    told = description("gateway")
    wild = Region(
        name="image:A", base_address=0, size_bytes=0x30000, unit_bytes=8, program_us=12, protected=False,
        sectors=(Sectors(count=4, size_bytes=0x4000, erase_ms=50), Sectors(count=2, size_bytes=0x10000, erase_ms=200)),
    )  # fmt: skip
    changed = told.model_copy(update={"regions": (wild,)})
    text = " ".join(drawn(changed, unicode=True))
    assert "4 sectors of 16 KiB (50 ms) + 2 sectors of 64 KiB (200 ms), units of 8 bytes (0.012 ms)" in text
    assert "2 sectors of 64 KiB" in memory_map_svg(changed)


@pytest.mark.parametrize(
    ("size", "words"), [(256, "256 bytes"), (0x4000, "16 KiB"), (0x400_0000, "64 MiB"), (1500, "1500 bytes")]
)
def test_size_is_told_in_the_largest_unit_that_divides_it(size: int, words: str) -> None:
    assert size_words(size) == words


def test_picture_file_is_written_beside_the_json(otabench: Cli, folder: Path) -> None:
    ended = otabench("ecu", "--describe", "adas", "--svg", "adas.svg", "--json")
    assert json.loads(ended.out)["svg"] == "adas.svg"
    assert (folder / "adas.svg").read_text() == memory_map_svg(description("adas"))
