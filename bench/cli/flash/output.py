"""What `otabench flash` shows: bars while it runs, tables, JSON and the folder of its trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from bench.cli.flash.ordered import image_model, nothing_checked, order_inputs, unseen, version_unread
from bench.cli.output import Bars, answers, messages
from bench.config.output import this_tool
from bench.core.canonical import sha256_hex
from bench.core.clock import NS_PER_S
from bench.core.records import EXTENDED, CanAddress
from bench.description.load import BenchFiles
from bench.evidence.write import candump_line, inner_path, replace_folder
from bench.flasher.identification import Identification
from bench.flasher.values import Progress as FlashProgress
from bench.flashing.models import (
    FlashBelief,
    FlashedEcuResult,
    FlashedEvent,
    FlashRead,
    FlashResultJson,
    FlashTime,
    ReadEcu,
    ReadIdentifier,
)
from bench.flashing.order import FlashOrder, OrderedEcu
from bench.flashing.run import FlashedEcu, FlashResult
from bench.flashing.silence import Silence
from bench.flashing.time_spent import TimeSpent

Outcome = Literal["flashed", "failed", "interrupted"]
OUTCOME_STYLES = {"flashed": "green", "failed": "bold red", "interrupted": "yellow"}
SHORT = 12


@dataclass(slots=True)
class _Bar:
    """One ECU's bar, and when its download began on the bench's clock."""

    task: TaskID
    began_ns: int = 0
    began_bytes: int = 0


class FlashWatch(Bars):
    """A bar per ECU on standard error: step, bytes, rate and time left by the bench's clock; none without terminal.

    `places` says where each ECU is asked and answers: while no bytes flow, that is what is waited for.
    """

    def __init__(self, console: Console | None = None, *, places: Mapping[str, str] | None = None) -> None:
        self._places, self._console = places or {}, console or messages()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._bars: dict[str, _Bar] = {}

    def flash(self, event: FlashProgress) -> None:
        """Move an ECU's bar."""
        if event.ecu not in self._bars:
            task = self._progress.add_task(event.ecu, total=event.total_bytes, rate="", left="")
            self._bars[event.ecu] = _Bar(task)
        bar = self._bars[event.ecu]
        if event.sent_bytes <= bar.began_bytes:
            bar.began_ns, bar.began_bytes = event.t_ns, event.sent_bytes
        rate, left = rate_and_left(event, bar.began_ns, bar.began_bytes)
        self._progress.update(
            bar.task,
            completed=event.sent_bytes,
            total=event.total_bytes,
            description=self._waits_for(event.ecu, event.step) if not event.sent_bytes else f"{event.ecu} {event.step}",
            rate=rate,
            left=left,
        )

    def reading(self, ecu: str) -> None:
        """Say that an ECU's identification is being read."""
        for bar in self._bars.values():
            self._progress.remove_task(bar.task)
        task = self._progress.add_task(self._waits_for(ecu, "identification"), total=None, rate="", left="")
        self._bars = {ecu: _Bar(task)}

    def _waits_for(self, ecu: str, step: str) -> str:
        place = self._places.get(ecu)
        return f"{ecu} {step}" + ("" if place is None else f", {place}")


def places(files: BenchFiles) -> dict[str, str]:
    """Return for each ECU where it is asked and where its answer is waited for."""
    found = {}
    for ecu in files.vehicle.ecus:
        address = ecu.address()
        wide = bool(address.flags & EXTENDED)
        request, response = CanAddress(address.tx_id, wide).text(), CanAddress(address.rx_id, wide).text()
        found[ecu.id] = f"asked at {request}, waiting for {response} on {ecu.tester_channel}"
    return found


def rate_and_left(event: FlashProgress, began_ns: int, began_bytes: int) -> tuple[str, str]:
    """Return bytes per second since the download began and the seconds left at that rate, as texts."""
    gone_ns, gone_bytes = event.t_ns - began_ns, event.sent_bytes - began_bytes
    if gone_ns <= 0 or gone_bytes <= 0:
        return "", ""
    per_s = gone_bytes * NS_PER_S / gone_ns
    return f"{per_s / 1000:.1f} kB/s", f"{(event.total_bytes - event.sent_bytes) / per_s:.1f} s left"


# The result -----------------------------------------------------------------------------------------


def outcome_of(result: FlashResult) -> Outcome:
    """Return how the whole order ended."""
    return "interrupted" if result.interrupted else "flashed" if result.good else "failed"


def result_folder(order: FlashOrder, result: FlashResult) -> str:
    """Return `flash-<12 digits>` of the order's inputs and the trace: the same job in simulation, the same folder."""
    inputs = [f"{name} {sha256_hex(data)}" for name, data in order_inputs(order).items()]
    return f"flash-{sha256_hex(chr(10).join([*inputs, result.trace_sha256]).encode())[:SHORT]}"


def write_flash(order: FlashOrder, result: FlashResult, shown: FlashResultJson, out: Path) -> Path:
    """Write the folder of a flash job, whole or not at all: result, journal, candump logs, inputs."""
    folder = out / result_folder(order, result)

    def fill(place: Path) -> None:
        (place / "result.json").write_text(shown.to_json(), encoding="utf-8")
        (place / "journal.jsonl").write_bytes(b"".join(line + b"\n" for line in result.journal))
        for channel in order.files.bench.channels:
            lines = [candump_line(frame, result.epoch_ns) for frame in result.frames if frame.channel == channel.name]
            (place / f"can-{channel.name}.log").write_text("".join(lines), encoding="ascii")
        for name, data in order_inputs(order).items():
            path = place / "inputs" / inner_path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    replace_folder(folder, fill)
    return folder


def result_model(order: FlashOrder, result: FlashResult, folder: str, *, parallel: bool) -> FlashResultJson:
    """Return the result as JSON shows it."""
    return FlashResultJson(
        tool=this_tool(),
        bench=order.files.bench.name,
        vehicle=order.files.vehicle.name,
        clock=order.files.bench.clock,
        outcome=outcome_of(result),
        parallel=parallel,
        duration_s=result.duration_ns / NS_PER_S,
        sum_s=result.sum_ns / NS_PER_S,
        trace_sha256=result.trace_sha256,
        folder=folder,
        ecus=tuple(_ecu_model(order.files, ordered, ecu) for ordered, ecu in zip(order.ecus, result.ecus, strict=True)),
    )


def _ecu_model(files: BenchFiles, ordered: OrderedEcu, ecu: FlashedEcu) -> FlashedEcuResult:
    outcome, report = ecu.outcome, ecu.outcome.report
    failed = outcome.error is not None or ecu.confirmed is False
    seconds = report.duration_ns / NS_PER_S
    return FlashedEcuResult(
        ecu=outcome.ecu,
        outcome="interrupted" if not outcome.finished else "failed" if failed else "flashed",
        error=None if outcome.error is None else str(outcome.error),
        step=report.step,
        image=image_model(ordered),
        nothing_checked=nothing_checked(files, outcome.ecu),
        version_unread=version_unread(files, outcome.ecu),
        believed=FlashBelief(
            state=outcome.belief.state.value,
            seen=outcome.belief.seen,
            erased=outcome.belief.erased,
            next_step=outcome.belief.next_step,
        ),
        version=report.version,
        confirmed=ecu.confirmed,
        confirm_problem=ecu.confirm_problem,
        downloads=report.downloads,
        sent_bytes=report.sent_bytes,
        bytes_per_s=round(report.sent_bytes / seconds, 1) if seconds else 0.0,
        started_s=report.started_ns / NS_PER_S,
        duration_s=seconds,
        phases_s={name: ns / NS_PER_S for name, ns in report.phase_ns.items()},
        time=time_model(ecu.spent),
        counts=dict(report.counts),
        events=tuple(FlashedEvent(t_ns=event.t_ns, name=event.name, detail=event.detail) for event in report.events),
    )


def time_model(spent: TimeSpent) -> FlashTime:
    """Return where the time went, in seconds."""
    return FlashTime(**{f"{name[:-3]}_s": ns / NS_PER_S for name, ns in asdict(spent).items()})


def _outcomes(shown: FlashResultJson) -> Table:
    table = Table(header_style="bold")
    rows = [
        (
            Text(ecu.ecu),
            Text(ecu.outcome, OUTCOME_STYLES[ecu.outcome]),
            Text(ecu.version or ecu.believed.state.replace("_", " ")),
            Text(str(ecu.sent_bytes)),
            Text(f"{ecu.duration_s:.3f} s"),
            Text(f"{ecu.bytes_per_s / 1000:.1f} kB/s"),
        )
        for ecu in shown.ecus
    ]
    return _filled(table, ("ECU", "outcome", "version", "bytes", "time", "rate"), rows, texts=3)


def _times(shown: FlashResultJson) -> Table:
    """Return the seconds by cause; without borders all of them fit into 80 columns."""
    table = Table(header_style="bold", box=None, padding=(0, 1, 0, 0))
    rows = []
    for ecu in shown.ecus:
        time = ecu.time
        parts = (
            time.bus_s, time.st_min_s, time.ecu_erase_s, time.ecu_program_s, time.ecu_check_s, time.ecu_other_s,
            time.other_traffic_s, time.tester_s,
        )  # fmt: skip
        rows.append((Text(ecu.ecu), *(Text(f"{part:.3f}") for part in parts)))
    causes = ("bus", "STmin", "erase", "program", "check", "other ECU", "traffic", "tester")
    return _filled(table, ("seconds", *causes), rows, texts=1)


def _filled(table: Table, names: Sequence[str], rows: Sequence[Sequence[Text]], *, texts: int) -> Table:
    """Fill a table whose columns never shrink: a cut version or time is worth nothing; the first ones hold texts."""
    for at, name in enumerate(names):
        width = max(len(name), *(row[at].cell_len for row in rows))
        table.add_column(name, justify="left" if at < texts else "right", no_wrap=True, min_width=width)
    for row in rows:
        table.add_row(*row)
    return table


def print_flash(shown: FlashResultJson) -> None:
    """Print a line per ECU, where its time went, what failed and what to do next."""
    answers().print(_outcomes(shown), crop=False)
    answers().print(_times(shown), crop=False)
    for ecu in shown.ecus:
        _print_oddities(ecu)
    saved = f" for jobs of {shown.sum_s:.3f} s together" if len(shown.ecus) > 1 else ""
    click.echo(f"total:  {shown.duration_s:.3f} s{saved}\ntrace:  {shown.trace_sha256}")
    click.echo(f"folder: {shown.folder or 'none, it could not be written'}")


def _print_oddities(ecu: FlashedEcuResult) -> None:
    console = answers()
    counted = ", ".join(f"{name} {count}" for name, count in ecu.counts.items() if count)
    if counted:
        console.print(f"  {ecu.ecu}: {counted}", soft_wrap=True, markup=False)
    for sentence in unseen(nothing_checked=ecu.nothing_checked, version_unread=ecu.version_unread):
        console.print(f"  {ecu.ecu}: {sentence}", style="bold red", soft_wrap=True, markup=False)
    for sentence in ecu.image.not_compared:
        console.print(f"  {ecu.ecu}: not compared here: {sentence}", soft_wrap=True, markup=False)
    problem = ecu.error or ecu.confirm_problem
    if ecu.outcome != "flashed":
        for name, text in (("failed", problem), ("now", ecu.believed.seen), ("next", ecu.believed.next_step)):
            if text:
                console.print(f"  {ecu.ecu} {name}: {text}", soft_wrap=True, markup=False)


# Identification -------------------------------------------------------------------------------------


def read_model(files: BenchFiles, found: Sequence[Identification]) -> FlashRead:
    """Return what was read as JSON shows it."""
    simulated = {ecu.id for ecu in files.simulated}
    return FlashRead(
        tool=this_tool(),
        bench=files.bench.name,
        vehicle=files.vehicle.name,
        ecus=tuple(
            ReadEcu(
                ecu=each.ecu,
                simulated=each.ecu in simulated,
                problem=each.problem,
                identifiers=tuple(
                    ReadIdentifier(
                        did=item.did,
                        name=item.name,
                        value=None if item.value is None else item.value.hex(),
                        text=item.text,
                        problem=item.problem,
                    )
                    for item in each.identifiers
                ),
            )
            for each in found
        ),
    )


def print_silences(silent: Sequence[Silence]) -> None:
    """Say of the ECUs that answered nothing where they were asked and what was heard there, on standard error."""
    if not silent:
        return
    names = ", ".join(each.ecu for each in silent)
    click.echo(f"equipment error: no answer from {names}; check supply, wiring, bus and addresses", err=True)
    for each in silent:
        for name, text in each.rows():
            click.echo(f"  {name:<8}{text}", err=True)


def print_read(files: BenchFiles, found: Sequence[Identification]) -> None:
    """Print a table per ECU; what this bench itself simulates says nothing of a real ECU, and is marked."""
    console = answers()
    simulated = {ecu.id for ecu in files.simulated}
    for each in found:
        name = f"{each.ecu} (simulated by this bench)" if each.ecu in simulated else each.ecu
        if each.problem:
            console.print(f"{name}: {each.problem}", markup=False, soft_wrap=True)
            continue
        table = Table(title=name, title_justify="left", header_style="bold")
        for name in ("DID", "name", "value"):
            table.add_column(name, overflow="fold")
        for item in each.identifiers:
            table.add_row(f"{item.did:04X}", item.name, item.text if item.value is not None else f"({item.problem})")
        console.print(table, markup=False)
