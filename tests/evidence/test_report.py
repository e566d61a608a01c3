from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.core.journal import Entry, Trace
from bench.core.records import FrameRecord, HttpRecord, SectorWear, ServerEvent
from bench.evidence.build import view_of
from bench.evidence.contract import run_model
from bench.evidence.html import breakable, render_report, stretches, stylesheet
from bench.oracle.result import Evidence, RunResult, Verdict
from tests.oracle.oracle_vectors import replace

OUT = Path("reports")
VOID = {"meta", "link", "br", "wbr", "input", "img", "hr"}
HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;"


class Page(HTMLParser):
    """What a browser would see: balanced tags, attributes, ids and links."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: dict[str, int] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def report_of(result: RunResult, files: tuple[str, ...] = ()) -> str:
    return render_report(run_model(result, OUT), view_of(result), files)


@pytest.mark.parametrize(
    "name", ["passing_run", "failing_run", "caught_run", "unobserved_run", "broken_run", "two_fault_run"]
)
def test_report_is_one_balanced_page_that_loads_nothing(runs: dict[str, RunResult], name: str) -> None:
    text = report_of(runs[name], ("junit.xml",))
    page = Page(text)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "base"} & page.tags.keys()
    assert "@import" not in text
    assert "url(" not in text
    for tag, attribute, value in page.attributes:
        assert not attribute.startswith("on")
        assert attribute != "style"
        if attribute in ("src", "href", "xlink:href"):
            assert not re.match(r"(?i)\s*([a-z]+:|//)", value), f"{tag} {attribute}={value}"
    assert "http://" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "default-src 'none'" in text


def test_every_link_inside_the_report_has_its_target(result: RunResult) -> None:
    page = Page(report_of(result))
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    anchors = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert anchors
    assert {anchor.removeprefix("#") for anchor in anchors} <= set(ids)


def test_hostile_strings_of_every_source_stay_text(result: RunResult) -> None:
    record = result.record
    event = ServerEvent(99, 5, "v", HOSTILE, {HOSTILE: HOSTILE})
    refused = ServerEvent(98, 5, "v", "message_refused", {"reason": HOSTILE})
    http = HttpRecord(
        6, HOSTILE, "GET", f"https://x/{HOSTILE}", 200, HOSTILE.encode(), b'{"CMD":[["' + b"<b>" + b'"]]}'
    )
    layout = replace(record.layouts[0], ecu=HOSTILE)
    first = result.verdict.invariants[0]
    item = replace(first, sentence=HOSTILE, evidence=(Evidence(HOSTILE, HOSTILE, HOSTILE),), blame=HOSTILE)
    hostile = replace(
        result,
        id=HOSTILE,
        scenario=HOSTILE,
        title=HOSTILE,
        bench=HOSTILE,
        defect=HOSTILE,
        notes=(HOSTILE,),
        inputs={HOSTILE: b""},
        verdict=replace(result.verdict, invariants=(item, *result.verdict.invariants[1:])),
        record=replace(
            record,
            vin=HOSTILE,
            layouts=(layout, *record.layouts),
            server_events=(*record.server_events.items, event, refused),
            http=(*record.http.items, http),
            faults=(replace(record.faults[0], point=HOSTILE, parameters={HOSTILE: HOSTILE}),),
            power=(*record.power.items, replace(record.power.items[0], part=HOSTILE, cause=HOSTILE)),
        ),
    )
    page = Page(report_of(hostile, (HOSTILE,)))
    assert page.open == []
    assert not {"script", "img"} & page.tags.keys()
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") > 15


def test_report_shows_verdict_expectation_and_what_was_not_observed(runs: dict[str, RunResult]) -> None:
    passing = Page(report_of(runs["passing_run"])).text
    assert "PASS" in passing
    assert "All 7 invariants hold." in passing
    assert f"otabench replay {runs['passing_run'].id}" in passing
    assert runs["passing_run"].trace_sha256 in passing
    assert "not observed: authentic, whole" in Page(report_of(runs["unobserved_run"])).text
    caught = Page(report_of(runs["caught_run"])).text
    assert "expected to fail: caught" in caught
    assert "planted defect: ecu-boot-no-verification" in caught
    assert "INCONCLUSIVE" in Page(report_of(runs["broken_run"])).text


def test_report_opens_only_the_failed_invariants(runs: dict[str, RunResult]) -> None:
    opened = re.findall(r'<details class="inv [^"]*" id="(\w+)" open>', report_of(runs["failing_run"]))
    assert opened == ["whole"]
    assert not re.search(r'<details class="inv[^>]* open', report_of(runs["passing_run"]))


def test_report_says_when_a_fault_was_never_reached(result: RunResult) -> None:
    faults = tuple(replace(fault, t_ns=None, restored_t_ns=None) for fault in result.record.faults)
    assert "never reached" in Page(report_of(replace(result, record=replace(result.record, faults=faults)))).text


def test_report_of_forty_thousand_frames_stays_small(result: RunResult) -> None:
    single = bytes.fromhex("023E80CCCCCCCCCC")
    frames = tuple(FrameRecord(i * 250_000, "can0", "agent", 0x123, 0, single) for i in range(40_000))
    requests = tuple(
        FrameRecord(10**10 + i * 10**7, "can0", "agent", 0x7A0, 0, bytes([2, 0x10, i & 0x7F]) + bytes(5))
        for i in range(3000)
    )
    trace = Trace([Entry(i * 100_000, "body", "flash.program", "") for i in range(9000)])
    events = tuple(replace(result.record.server_events.items[0], t_ns=i * 10**7, seq=i + 1) for i in range(3000))
    record = replace(result.record, frames=(*frames, *requests), ended_t_ns=45 * 10**9, server_events=events)
    size_bytes = len(report_of(replace(result, record=record, trace=trace)).encode())
    assert size_bytes < 600_000


def test_report_names_the_sector_nearest_to_its_rating_beside_the_counts(result: RunResult) -> None:
    first, *others = result.record.flash.items
    wear = (SectorWear("image:A", 3, 9, None), SectorWear("mark:A", 0, 4, 5), SectorWear("mark:B", 0, 5, 100))
    record = replace(result.record, flash=(replace(first, wear=wear), *others))
    assert "most worn mark:A sector 0, 4 of 5 times" in report_of(replace(result, record=record))
    unrated = replace(result.record, flash=(replace(first, wear=wear[:1]), *others))
    assert "most worn image:A sector 3, 9 times" in report_of(replace(result, record=unrated))
    assert "most worn" not in report_of(result)


def test_memory_map_joins_equal_cells() -> None:
    assert stretches("TTEE~T") == [("T", 0, 2), ("E", 2, 2), ("~", 4, 1), ("T", 5, 1)]


def test_breakable_text_is_escaped_before_it_gets_breaks() -> None:
    assert breakable("a:<b>.c") == "a:<wbr>&lt;b&gt;.<wbr>c"


def facts_of(report: str) -> list[tuple[str, str]]:
    rows = re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", report, re.DOTALL)
    return [(name, re.sub(r"<[^>]+>", " ", value).strip()) for name, value in rows]


def test_header_shows_each_of_several_faults_with_its_instants(runs: dict[str, RunResult]) -> None:
    run = runs["two_fault_run"]
    facts = [fact for fact in facts_of(report_of(run)) if fact[0].startswith(("Fault", "Struck"))]
    assert [name for name, _ in facts] == ["Fault 1 of 2", "Struck at", "Fault 2 of 2", "Struck at"]
    assert "restore_after_ms=200" in facts[0][1]
    assert facts[2][1].replace(" ", "").startswith("power.agent:agent:transition:6")
    assert "restore_after_ms=300" in facts[2][1]
    assert "after 300 ms" in facts[3][1]
    assert facts[1][1] != facts[3][1]


def test_header_of_many_faults_leads_to_the_table_of_all(result: RunResult) -> None:
    faults = result.record.faults * 5
    names = [name for name, _ in facts_of(report_of(replace(result, record=replace(result.record, faults=faults))))]
    assert [name for name in names if name.startswith("Fault")] == ["Fault 1 of 5", "Fault 2 of 5", "Fault 3 of 5"]
    assert "all 5 faults" in report_of(replace(result, record=replace(result.record, faults=faults)))


def test_timeline_labels_each_fault_line_with_its_own_point(runs: dict[str, RunResult]) -> None:
    report = report_of(runs["two_fault_run"])
    labels = re.findall(r'<text x="[^"]+" y="([^"]+)" class="t-faulttext"[^>]*>fault (\S+) at', report)
    assert [point for _, point in labels] == ["power.ecu:body:program:12:torn=3", "power.agent:agent:transition:6"]
    assert len({y for y, _ in labels}) == 2


def test_server_log_is_numbered_through_and_keeps_words_whole(runs: dict[str, RunResult]) -> None:
    run = runs["two_fault_run"]
    log = report_of(run).split('<section id="server">')[1].split("</section>")[0]
    numbers = re.findall(r'<tr><td class="num">(\d+)</td>', log)
    assert numbers == [str(n) for n in range(1, len(run.record.server_events.items) + 1)]
    assert '<td class="strong nowrap">vehicle_added</td>' in log
    marks = [mark.label for mark in view_of(run).timeline.lanes[0].marks]
    events = enumerate(run.record.server_events.items, start=1)
    assert len(marks) > 5
    assert set(marks) <= {f"#{number} {event.kind}" for number, event in events}


def test_long_server_log_keeps_its_numbers_beyond_the_gap(result: RunResult) -> None:
    events = (result.record.server_events.items[0],) * 1500
    shown = view_of(replace(result, record=replace(result.record, server_events=events))).events
    assert [shown[0].seq, shown[499].seq, shown[500].seq, shown[-1].seq] == [1, 500, 1001, 1500]


def test_real_time_run_is_not_called_virtual_and_says_that_it_does_not_repeat(runs: dict[str, RunResult]) -> None:
    real, virtual = report_of(runs["real_time_run"]), report_of(runs["passing_run"])
    assert "Run time" in dict(facts_of(real))
    assert "2030-01-01" in virtual
    assert "2030-01-01" not in Page(real).text.partition("Server event log")[0]
    assert "Virtual time" not in dict(facts_of(real))
    assert "does not repeat to the byte" in real
    assert "Virtual time" in dict(facts_of(virtual))
    assert "does not repeat to the byte" not in virtual


def test_banner_lists_every_failed_invariant(runs: dict[str, RunResult]) -> None:
    run = runs["caught_run"]
    items = tuple(
        replace(item, verdict=Verdict.FAIL, sentence="A forged image ran.") if item.id.value == "authentic" else item
        for item in run.verdict.invariants
    )
    report = report_of(replace(run, verdict=replace(run.verdict, invariants=items)))
    banner = report.split('aria-label="Verdict"')[1].split("</section>")[0]
    assert "2 invariants failed: authentic, whole." in banner
    assert "<li>authentic: A forged image ran.</li><li>whole: body executes bytes that nobody signed.</li>" in banner
    assert "whole: body executes bytes that nobody signed." in report_of(run)
    assert "invariants failed" not in report_of(run)


def test_label_of_a_fact_keeps_its_distance_from_the_value() -> None:
    rule = next(line for line in stylesheet().splitlines() if line.startswith(".facts dl div{"))
    assert "column-gap:" in rule
