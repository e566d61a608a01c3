"""The report from disk and the dashboard in Debian's chromium: no console error, no violated policy, no request out."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.dashboard.app import create_app
from bench.dashboard.serve import listen, url_of
from bench.evidence.index import write_index
from bench.evidence.places import folder_name
from bench.evidence.write import write_entry
from bench.oracle.result import RunResult

pytestmark = pytest.mark.browser
RUNS = ("passing_run", "failing_run", "caught_run", "unobserved_run", "two_fault_run", "real_time_run")


@pytest.fixture(scope="module")
def samples() -> dict[str, RunResult]:
    name = "otabench_sample_run"
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "evidence" / "sample_run.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return {run: getattr(sys.modules[name], run)() for run in RUNS}


@pytest.fixture(scope="module")
def reports(samples: dict[str, RunResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    write_index([write_entry(run, folder) for run in samples.values()], folder)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path, "chromium is missing; next: apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def url(reports: Path) -> Iterator[str]:
    server = listen(create_app(reports), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield url_of(server)
    server.stop()
    thread.join(timeout=20)
    assert not thread.is_alive()


@dataclass
class Watched:
    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def watch(browser: Browser, scheme: str, *, scripts: bool = True) -> Watched:
    context = browser.new_context(
        viewport={"width": 1400, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=scripts,
    )
    watched = Watched(context.new_page())
    watched.page.on("console", lambda message: watched.complaints.append(message.text))
    watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    watched.page.on("request", lambda request: watched.requests.append(request.url))
    return watched


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", RUNS)
def test_report_opens_from_disk_without_a_request_or_complaint(
    browser: Browser, reports: Path, samples: dict[str, RunResult], name: str, scheme: str, tmp_path: Path
) -> None:
    watched = watch(browser, scheme)
    path = reports / folder_name(samples[name]) / "report.html"
    watched.page.goto(path.as_uri())
    expect(watched.page.locator("h1")).to_have_text(samples[name].title)
    expect(watched.page.locator("svg.timeline")).to_be_visible()
    expect(watched.page.locator("svg.sequence").first).to_be_visible()
    watched.page.screenshot(path=tmp_path / f"{name}-{scheme}.png", full_page=True)
    assert watched.complaints == []
    assert watched.requests == [path.as_uri()]
    wide = watched.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "the page scrolls sideways"
    watched.page.context.close()


def test_evidence_opens_by_a_click_and_the_failed_one_is_open(
    browser: Browser, reports: Path, samples: dict[str, RunResult]
) -> None:
    watched = watch(browser, "light")
    watched.page.goto((reports / folder_name(samples["failing_run"]) / "report.html").as_uri())
    expect(watched.page.locator("#whole .evidence")).to_be_visible()
    expect(watched.page.locator("#bootable .evidence")).not_to_be_visible()
    watched.page.locator("#bootable summary").click()
    expect(watched.page.locator("#bootable .evidence")).to_be_visible()
    watched.page.context.close()


def test_printed_report_shows_all_evidence(
    browser: Browser, reports: Path, samples: dict[str, RunResult], tmp_path: Path
) -> None:
    watched = watch(browser, "light")
    watched.page.goto((reports / folder_name(samples["passing_run"]) / "report.html").as_uri())
    watched.page.emulate_media(media="print")
    expect(watched.page.locator("#bootable .evidence")).to_be_visible()
    expect(watched.page.locator("nav.contents")).not_to_be_visible()
    printed = tmp_path / "report.pdf"
    watched.page.pdf(path=printed, format="A4")
    assert printed.read_bytes().startswith(b"%PDF")
    watched.page.context.close()


def test_index_leads_to_a_report_by_a_click(browser: Browser, reports: Path, tmp_path: Path) -> None:
    watched = watch(browser, "light")
    watched.page.goto((reports / "index.html").as_uri())
    watched.page.screenshot(path=tmp_path / "index.png", full_page=True)
    watched.page.get_by_role("link", name="planted_no_verification").click()
    expect(watched.page.locator(".pill").first).to_have_text("expected to fail: caught")
    assert watched.complaints == []
    watched.page.context.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_dashboard_is_walked_through_without_a_complaint(
    browser: Browser, url: str, scripts: bool, tmp_path: Path
) -> None:
    watched = watch(browser, "light", scripts=scripts)
    page = watched.page
    page.goto(url)
    page.screenshot(path=tmp_path / "runs.png", full_page=True)
    expect(page.locator("table.runs tbody tr")).to_have_count(len(RUNS))
    page.get_by_role("link", name="caught 1", exact=True).click()
    expect(page.locator("table.runs tbody tr")).to_have_count(1)
    page.get_by_role("searchbox").fill("planted")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("table.runs tbody tr")).to_have_count(1)
    page.get_by_role("link", name="planted_no_verification").click()
    expect(page.locator("svg.timeline")).to_be_visible()
    page.screenshot(path=tmp_path / "run.png", full_page=True)
    page.get_by_role("link", name="report.html").first.click()
    expect(page.locator(".verdict .word")).to_have_text("FAIL")
    page.screenshot(path=tmp_path / "report.png")
    assert watched.complaints == []
    assert all(request.startswith((url, "data:")) for request in watched.requests)
    page.context.close()


def test_dashboard_colours_come_from_its_style_sheet(browser: Browser, url: str) -> None:
    watched = watch(browser, "light")
    watched.page.goto(url)
    colour = watched.page.locator("header.top").evaluate("node => getComputedStyle(node).backgroundColor")
    assert colour == "rgb(18, 50, 79)"
    watched.page.context.close()
