from __future__ import annotations

import hashlib
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from bench.core.errors import InputError
from bench.dashboard.app import create_app
from bench.dashboard.runs import Reports
from bench.evidence.build import View
from bench.evidence.write import write_run
from bench.oracle.result import Invariant, RunResult


def name_of(reports: Path, scenario: str) -> str:
    return next(path.name for path in sorted(reports.iterdir()) if path.name.startswith(f"{scenario}-"))


def scenarios(page: str) -> list[str]:
    return re.findall(r'<a class="strong" href="/runs/[^"]+">([a-z_]+)</a>', page)


def test_list_shows_all_runs_newest_first_with_counts(client: FlaskClient) -> None:
    page = client.get("/").text
    assert scenarios(page) == [
        "crashed",
        "bench_without_eyes",
        "planted_no_verification",
        "power_cut_ecu",
        "power_cut_ecu",
    ]
    for words in (
        "all 6",
        "pass 2",
        "fail 1",
        "caught 1",
        "inconclusive 1",
        "unexpected 2",
        "expected to fail: caught",
    ):
        assert words in page
    assert "not observed: authentic, whole" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?verdict=fail", ["power_cut_ecu"]),
        ("?verdict=caught", ["planted_no_verification"]),
        ("?verdict=inconclusive", ["crashed"]),
        ("?verdict=unexpected", ["crashed", "power_cut_ecu"]),
        ("?verdict=equipment_error", []),
        ("?q=PLANTED", ["planted_no_verification"]),
        ("?verdict=pass&q=eyes", ["bench_without_eyes"]),
        ("?q=nothing+like+that", []),
    ],
)
def test_list_is_filtered_by_its_address(client: FlaskClient, query: str, found: list[str]) -> None:
    answer = client.get(f"/{query}")
    assert answer.status_code == 200
    assert scenarios(answer.text) == found


def test_unknown_filter_names_the_known_ones(client: FlaskClient) -> None:
    answer = client.get("/?verdict=splendid")
    assert answer.status_code == 400
    assert "equipment_error" in answer.text


def test_run_page_shows_verdicts_evidence_sequence_and_ecus(client: FlaskClient, reports: Path) -> None:
    page = client.get(f"/runs/{name_of(reports, 'planted_no_verification')}/").text
    for words in (
        "expected to fail: caught",
        "body executes bytes that nobody signed.",
        "bit 3 is 1, signed image has 0",
        "Server said, vehicle is",
        "otabench replay v1.planted",
        "1 byte differs from target 2.0.0",
        "order closed",
    ):
        assert words in page
    assert 'class="timeline"' in page
    assert 'class="sequence"' in page


def test_run_page_links_to_every_file_and_each_can_be_read(client: FlaskClient, reports: Path) -> None:
    name = name_of(reports, "crashed")
    links = set(re.findall(rf'href="(/runs/{name}/files/[^"?]+)"', client.get(f"/runs/{name}/").text))
    kept = {link.split("/files/")[1] for link in links}
    assert {"report.html", "junit.xml", "journal.jsonl", "can-can0.log", "inputs/benches/sim.toml"} <= kept
    for link in sorted(links):
        answer = client.get(link)
        assert answer.status_code == 200
        assert answer.data == (reports / name / link.split("/files/")[1]).read_bytes()
        answer.close()


def test_files_are_never_run_as_pages_but_the_report(client: FlaskClient, reports: Path) -> None:
    name = name_of(reports, "crashed")
    (reports / name / "inputs" / "evil.html").write_text("<script>alert(1)</script>")
    evil = client.get(f"/runs/{name}/files/inputs/evil.html")
    assert evil.content_type == "application/octet-stream"
    assert "attachment" in evil.headers["Content-Disposition"]
    report = client.get(f"/runs/{name}/files/report.html")
    assert report.content_type.startswith("text/html")
    assert "sandbox" in report.headers["Content-Security-Policy"]
    assert "script-src" not in report.headers["Content-Security-Policy"]
    journal = client.get(f"/runs/{name}/files/journal.jsonl")
    assert journal.content_type == "text/plain; charset=utf-8"
    saved = client.get(f"/runs/{name}/files/journal.jsonl?download=1")
    assert "attachment" in saved.headers["Content-Disposition"]
    for answer in (evil, report, journal, saved):
        answer.close()


@pytest.mark.parametrize(
    "path",
    [
        "/runs/../",
        "/runs/..%2f..%2fetc/",
        "/runs/%2e%2e/files/secret.txt",
        "/runs/NAME/files/../../secret.txt",
        "/runs/NAME/files/..%2f..%2fsecret.txt",
        "/runs/NAME/files/%2e%2e/%2e%2e/secret.txt",
        "/runs/NAME/files//etc/passwd",
        "/runs/NAME/files/link.txt",
        "/runs/NAME/files/linked/secret.txt",
        "/runs/NAME/files/nothing.txt",
        "/runs/.hidden.part-1/",
        "/runs/unknown-123/",
        "/nowhere",
    ],
)
def test_path_that_leaves_a_run_is_not_found(client: FlaskClient, reports: Path, path: str) -> None:
    name = name_of(reports, "crashed")
    (reports.parent / "secret.txt").write_text("secret")
    (reports / name / "link.txt").symlink_to(reports.parent / "secret.txt")
    (reports / name / "linked").symlink_to(reports.parent, target_is_directory=True)
    answer = client.get(path.replace("NAME", name))
    assert answer.status_code in (404, 308)
    assert "secret" not in answer.text.replace("secret.txt", "")
    assert "<h1>404" in answer.text or answer.status_code == 308


def test_half_written_folder_is_shown_as_unreadable(client: FlaskClient) -> None:
    assert "half-written" in client.get("/").text
    page = client.get("/runs/half-written/")
    assert page.status_code == 200
    assert "UNREADABLE" in page.text
    assert "verdicts.json is not what otabench writes" in page.text


@pytest.mark.parametrize("file", ["verdicts.json", "view.json"])
def test_run_that_loses_a_file_becomes_unreadable_not_an_error(client: FlaskClient, reports: Path, file: str) -> None:
    name = name_of(reports, "crashed")
    assert client.get(f"/runs/{name}/").status_code == 200
    (reports / name / file).unlink()
    assert f"{file} is missing" in client.get(f"/runs/{name}/").text
    assert "crashed" not in scenarios(client.get("/").text)


def test_folder_that_is_replaced_or_removed_is_seen_at_once(reports: Path) -> None:
    known = Reports(reports)
    name = name_of(reports, "crashed")
    assert name in [item.name for item in known.all()]
    verdicts = reports / name / "verdicts.json"
    verdicts.write_text(verdicts.read_text().replace('"seed": 1', '"seed": 77'))
    found = known.one(name)
    assert found is not None
    assert found.entry is not None
    assert found.entry.run.seed == 77
    shutil.rmtree(reports / name)
    assert known.one(name) is None


def test_missing_folder_is_an_input_error_that_names_it_and_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        create_app(tmp_path / "nothing")
    for words in ("does not exist", str(tmp_path / "nothing"), "otabench demo", "--out"):
        assert words in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is no folder"):
        create_app(tmp_path / "file")


def test_empty_folder_says_how_to_make_runs_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "my reports"
    folder.mkdir()
    page = create_app(folder).test_client().get("/")
    assert page.status_code == 200
    assert f"otabench demo --out &#39;{folder}&#39;" in page.text
    folder.rmdir()
    assert create_app(tmp_path).test_client().get("/").status_code == 200


def test_folder_that_vanishes_later_shows_no_runs(reports: Path, client: FlaskClient) -> None:
    shutil.rmtree(reports)
    assert "No runs in" in client.get("/").text


def test_rows_tell_runs_of_one_scenario_apart(reports: Path, client: FlaskClient) -> None:
    write_run(sys.modules["otabench_sample_run"].real_time_run(), reports)
    row = client.get("/?q=realtime").text.split("<tbody>")[1]
    view = View.model_validate_json((reports / name_of(reports, "healthy") / "view.json").read_bytes())
    for words in (
        '<td class="nowrap">realtime</td>',
        '<td class="num">7</td>',
        f"own firmware: body {hashlib.sha256(b'own').hexdigest()[:8]}",
        "<small>real</small>",
        view.written_utc[:10],
        view.written_utc[11:19],
    ):
        assert words in row
    assert "virtual" not in row


def test_row_shows_each_fault_point_and_finds_the_second(reports: Path, client: FlaskClient) -> None:
    write_run(sys.modules["otabench_sample_run"].two_fault_run(), reports)
    page = client.get("/?q=power.agent:agent").text
    assert scenarios(page) == ["two_faults"]
    points = [re.sub("<wbr>", "", point) for point in re.findall(r'<code class="point">(.*?)</code>', page)]
    assert points == ["power.ecu:body:program:12:torn=3", "power.agent:agent:transition:6"]


def test_every_page_has_strict_headers_and_no_inline_code(client: FlaskClient, reports: Path) -> None:
    for path in ("/", f"/runs/{name_of(reports, 'crashed')}/", "/runs/half-written/", "/nowhere", "/style.css"):
        answer = client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        if path != "/style.css":
            assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://(?!www\.w3\.org/2000/svg)", answer.text)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:1", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ],
)
def test_only_loopback_names_are_answered(client: FlaskClient, host: str, status: int) -> None:
    assert client.get("/", headers={"Host": host}).status_code == status


def test_hostile_strings_stay_text(reports: Path, client: FlaskClient) -> None:
    evil = "<script>alert(1)</script>"
    run: RunResult = sys.modules["otabench_sample_run"].passing_run()
    item = replace(run.verdict.invariants[0], id=Invariant.BOOTABLE, sentence=evil, blame=evil)
    run = replace(run, id=f"{evil}2", title=evil, bench=evil, notes=(evil,), inputs={evil: b""})
    write_run(replace(run, verdict=replace(run.verdict, invariants=(item,))), reports)
    (reports / "x<script>").mkdir()
    name = name_of(reports, "power_cut_ecu")
    pages = [client.get("/").text, client.get(f"/?q={evil}").text, client.get(f"/runs/{evil}/").text]
    pages += [client.get(f"/runs/{path.name}/").text for path in reports.iterdir() if path.is_dir()]
    assert name
    assert any("&lt;script&gt;alert(1)" in page for page in pages)
    assert not any("<script" in page for page in pages)


def test_flash_job_has_a_section_of_its_own_and_no_count(client: FlaskClient, reports: Path) -> None:
    job = reports / "flash-0123456789ab"
    job.mkdir()
    ecus = '[{"ecu": "body", "outcome": "failed", "error": "no answer", "step": "erase"}]'
    (job / "result.json").write_text(f'{{"bench": "sim", "outcome": "failed", "duration_s": 1.5, "ecus": {ecus}}}')
    page = client.get("/").text
    assert "all 6" in page
    assert "body failed" in page.split("Flash jobs")[1].split("Unreadable folders")[0]
    assert job.name not in page.split("Unreadable folders")[1]
    own = client.get(f"/runs/{job.name}/").text
    assert "no answer" in own
    assert f"/runs/{job.name}/files/result.json" in own
    assert job.name not in client.get("/?verdict=fail").text
