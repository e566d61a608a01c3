"""What `otabench flash --dry-run` shows: every request with its bytes and time, and the estimate."""

from __future__ import annotations

from collections.abc import Mapping

import click

from bench.cli.flash.ordered import image_model, nothing_checked, unseen, version_unread
from bench.cli.flash.output import time_model
from bench.cli.output import answers
from bench.config.output import this_tool
from bench.core.clock import NS_PER_S
from bench.evidence.uds_names import ROUTINES, request_name
from bench.flasher.recipe_steps import Step
from bench.flashing.dry_run import DryRun, Exchange
from bench.flashing.models import FlashPlan, PlannedEcu, PlannedRequest
from bench.flashing.order import FlashOrder

SHOWN_BYTES = 16
"""How much of a request is shown unless everything is asked for."""


def plan_model(order: FlashOrder, found: DryRun, *, parallel: bool, full: bool) -> FlashPlan:
    """Return the dry run as JSON shows it."""
    return FlashPlan(
        tool=this_tool(),
        bench=order.files.bench.name,
        vehicle=order.files.vehicle.name,
        parallel=parallel,
        full=full,
        duration_s=found.result.duration_ns / NS_PER_S,
        ecus=tuple(
            PlannedEcu(
                ecu=ordered.entry.id,
                recipe=ordered.entry.recipe,
                image=image_model(ordered),
                nothing_checked=nothing_checked(order.files, ordered.entry.id),
                version_unread=version_unread(order.files, ordered.entry.id),
                duration_s=ecu.outcome.report.duration_ns / NS_PER_S,
                times_known=ordered.entry.id not in found.unknown_times,
                time=time_model(ecu.spent),
            )
            for ordered, ecu in zip(order.ecus, found.result.ecus, strict=True)
        ),
        requests=tuple(_request_model(order, exchange, full=full) for exchange in found.exchanges),
    )


def _request_model(order: FlashOrder, exchange: Exchange, *, full: bool) -> PlannedRequest:
    shown = exchange.request if full else exchange.request[:SHOWN_BYTES]
    return PlannedRequest(
        t_s=exchange.t_ns / NS_PER_S,
        duration_s=exchange.duration_ns / NS_PER_S,
        ecu=exchange.ecu or None,
        channel=exchange.channel,
        step=exchange.step,
        name=request_name(exchange.request, routines=_routines(order, exchange.ecu)),
        length=len(exchange.request),
        request=shown.hex(),
        answers=tuple(answer.hex() for answer in exchange.answers),
    )


def _routines(order: FlashOrder, ecu: str) -> Mapping[int, str]:
    """Return what the routines of an ECU are called; of one flashed in parts, what its recipe has them do."""
    recipe = order.files.recipes.get(ecu)
    if recipe is None or Step.PROGRAM_PARTS not in recipe.steps:
        return ROUTINES
    names = {rule.routine: f"check after {rule.after}" for rule in recipe.check.listed}
    names |= {recipe.routines.erase: "erase"}
    if recipe.bootloader is not None:
        names |= {recipe.bootloader.routine: "start the bootloader"}
    return {routine: f"0x{routine:04X} {name}" for routine, name in names.items() if routine is not None}


def print_plan(plan: FlashPlan) -> None:
    """Print a line per request, then the estimate."""
    width = max(len(ecu.ecu) for ecu in plan.ecus)
    width = max((width, *(len(request.channel) + 5 for request in plan.requests)))
    for request in plan.requests:
        whom = request.ecu or f"all {request.channel}"
        said = " | ".join(bytes.fromhex(answer).hex(" ") for answer in request.answers)
        line = f"{request.t_s:9.3f} s {request.duration_s * 1000:9.1f} ms  {whom:<{width}}  {_bytes(request)}"
        click.echo(f"{line}{'  -> ' if said else ''}{said}  ({request.name})")
    for ecu in plan.ecus:
        size = f"{ecu.image.length} bytes of {f'{ecu.image.software_id} {ecu.image.version}'.rstrip()}"
        unknown = "" if ecu.times_known else "; its erase and program times are not known and not in it"
        click.echo(f"{ecu.ecu}: {size} by recipe {ecu.recipe}, about {ecu.duration_s:.3f} s{unknown}")
        for sentence in unseen(nothing_checked=ecu.nothing_checked, version_unread=ecu.version_unread):
            answers().print(f"  {ecu.ecu}: {sentence}", style="bold red", soft_wrap=True, markup=False)
    click.echo(f"estimate: {plan.duration_s:.3f} s; nothing was sent to any bus")


def _bytes(request: PlannedRequest) -> str:
    shown = bytes.fromhex(request.request)
    left = request.length - len(shown)
    return f"{shown.hex(' ').upper()}{f' ... and {left} bytes' if left else ''}"
