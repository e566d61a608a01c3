"""`otabench flash`: the flasher alone, without server and agent."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import click

from bench.assembly.load import load_bench
from bench.cli.flash.output import (
    FlashWatch,
    places,
    print_flash,
    print_read,
    print_silences,
    read_model,
    result_folder,
    result_model,
    write_flash,
)
from bench.cli.flash.plan import plan_model, print_plan
from bench.cli.image.common import lenient_option, session_option, tell_tolerated
from bench.cli.image.keys import signer
from bench.cli.options import address_option, base_option, common, find
from bench.cli.outputs import Outputs, check_room, room_of_images
from bench.core.errors import InputError
from bench.core.stop import STOP
from bench.description.load import BenchFiles
from bench.evidence.places import shown_path
from bench.flasher.errors import ImageMismatch
from bench.flashing.dry_run import dry_run
from bench.flashing.order import FlashOrder, Signing, make_order
from bench.flashing.run import FlashedEcu, FlashResult, is_simulated, run_flash, run_read
from bench.flashing.silence import silences
from bench.runs.exit_codes import AS_EXPECTED, EQUIPMENT, FAILED, INPUT, strongest


@click.command(short_help="the flasher alone: program ECUs, read them, show the sequence")
@click.argument("images", nargs=-1, metavar="[ECU=FILE]...")
@click.option("--bench", "bench_name", default="sim", show_default=True, help="Bench file, or a built-in one's name.")
@click.option("--vehicle", help="Vehicle file or name, in the place of the bench's own.")
@click.option("--version", "version", help="Version of firmware that has no signed header.")
@click.option("--release-counter", type=click.IntRange(0, 2**32 - 1), help="Release counter of such firmware.")
@click.option("--crop", is_flag=True, help="Leave out what lies outside the ECU's region.")
@lenient_option
@session_option
@base_option
@click.option("--key", type=click.Path(path_type=Path), help="Ed25519 key that signs; simulated: a test key.")
@click.option("--one-by-one", is_flag=True, help="One ECU after the other, instead of all together.")
@click.option("--read", is_flag=True, help="Read the identification of every ECU; nothing is changed.")
@click.option("--dry-run", "dry", is_flag=True, help="Show the whole sequence with bytes and times; no bus is touched.")
@click.option("--full", is_flag=True, help="With --dry-run: all bytes of every request.")
@common
def flash(
    images: tuple[str, ...],
    bench_name: str,
    vehicle: str | None,
    read: bool,
    dry: bool,
    full: bool,
    one_by_one: bool,
    as_json: bool,
    out: Path,
    seed: int,
    **firmware: object,
) -> int:
    """Program ECUs with the flasher alone: no server, no agent.

    A file that `otabench image sign` made is used as it is. Other firmware (HEX, SREC, TI-TXT, ELF, VBF, binary) is
    wrapped in a header and signed, with --key, or with a test key where the vehicle is simulated.

    An ECU whose recipe takes software in parts is given its maker's files as they are, one or several (VBF, ODX-F, PDX,
    HEX, ...): ECU=FILE once for each, in any order.

    Ctrl-C or SIGTERM stops the job: what was switched off is switched on again, the ECUs leave the programming session.

    \b
    Examples:
      otabench flash body=app.hex --version 1.2.0 --release-counter 3
      otabench flash body=body.signed.bin gateway=gateway.signed.bin --json
      otabench flash body=app.hex --version 1.2.0 --release-counter 3 --dry-run
      otabench flash engine=sbl.vbf engine=exe.vbf engine=data.vbf --bench my-bench.toml
      otabench flash --read --bench sim

    Exit codes: 0 all flashed and read back, 1 an ECU failed, 2 wrong input (its ECU was not touched), 3 equipment
    error, or an ECU is silent when read, 130 interrupted, 143 ended by SIGTERM.
    """
    files = load_bench(find("benches", bench_name), vehicle)
    if read:
        _only_read(images, {"--dry-run": dry, "--full": full})
        return _read(files, seed, as_json)
    if full and not dry:
        raise InputError("--full is for --dry-run", key="--full", hint="add --dry-run")
    order = make_order(files, _pairs(images), _signing(**firmware), simulated=dry or is_simulated(files))
    tell_tolerated(order.ecus)
    if dry:
        return _plan(order, parallel=not one_by_one, full=full, as_json=as_json)
    return _flash(order, seed, out, parallel=not one_by_one, as_json=as_json)


def _flash(order: FlashOrder, seed: int, out: Path, *, parallel: bool, as_json: bool) -> int:
    check_room(out, room_of_images(sum(ecu.size_bytes for ecu in order.ecus)))
    virtual = order.files.bench.clock == "virtual"
    with (
        FlashWatch(places=places(order.files)) as watch,
        STOP.first_gently() if virtual else nullcontext(lambda _interrupt: None) as stop_requested,
    ):
        try:
            result = run_flash(order, seed=seed, parallel=parallel, progress=watch.flash, started=stop_requested)
        except ImageMismatch as mismatch:
            raise _refused(order, mismatch) from None
    folder = out / result_folder(order, result)
    shown = result_model(order, result, shown_path(folder), parallel=parallel)
    outputs = Outputs()
    if outputs.write(lambda: write_flash(order, result, shown, out)) is None:
        shown = shown.model_copy(update={"folder": ""})
    if as_json:
        click.echo(shown.to_json(), nl=False)
    else:
        print_flash(shown)
    silent = silences(order.files, [ecu.outcome.ecu for ecu in result.ecus if ecu.outcome.error], result.frames)
    print_silences(silent)
    return outputs.exit_code(_exit_code(result, frozenset(each.ecu for each in silent)))


def _exit_code(result: FlashResult, silent: frozenset[str]) -> int:
    """Return the first of 130 (143), 2, 1, 3 that an ECU has.

    2 where an image belongs to other hardware than answered; 3 where nothing answered: then nothing is known of the
    ECU, as with --read.
    """
    if result.interrupted:
        return STOP.exit_code
    return strongest([_exit_code_of(ecu, silent) for ecu in result.ecus])


def _exit_code_of(ecu: FlashedEcu, silent: frozenset[str]) -> int:
    if isinstance(ecu.outcome.error, ImageMismatch):
        return INPUT
    if ecu.outcome.ecu in silent:
        return EQUIPMENT
    return AS_EXPECTED if ecu.good else FAILED


def _plan(order: FlashOrder, *, parallel: bool, full: bool, as_json: bool) -> int:
    try:
        found = dry_run(order, parallel=parallel)
    except ImageMismatch as mismatch:
        raise _refused(order, mismatch) from None
    plan = plan_model(order, found, parallel=parallel, full=full)
    if as_json:
        click.echo(plan.to_json(), nl=False)
    else:
        print_plan(plan)
    return 0


def _refused(order: FlashOrder, mismatch: ImageMismatch) -> InputError:
    file = next((ecu.file for ecu in order.ecus if ecu.entry.id == mismatch.ecu), None)
    return InputError(
        f"the image does not belong to ECU {mismatch.ecu}: {mismatch.what}",
        file=file,
        found=mismatch.image,
        allowed=mismatch.allowed,
        hint="no ECU was touched; choose the image made for this ECU",
    )


def _only_read(images: tuple[str, ...], others: Mapping[str, bool]) -> None:
    """`InputError` where --read stands beside what asks for something else."""
    if images:
        raise InputError("--read changes nothing and takes no firmware", found=images[0], allowed="no ECU=FILE")
    for name in (name for name, given in others.items() if given):
        raise InputError(
            f"--read and {name} exclude each other",
            key=name,
            found=f"--read {name}",
            allowed=f"--read alone, or {name} with ECU=FILE",
            hint="leave one of the two out",
        )


def _read(files: BenchFiles, seed: int, as_json: bool) -> int:
    """Read and show; an ECU that is silent is a matter of the equipment: nothing is said about its software."""
    with FlashWatch(places=places(files)) as watch:
        result = run_read(files, seed=seed, reading=watch.reading)
    if as_json:
        click.echo(read_model(files, result.ecus).to_json(), nl=False)
    else:
        print_read(files, result.ecus)
    silent = silences(files, [each.ecu for each in result.ecus if each.problem], result.frames)
    print_silences(silent)
    return EQUIPMENT if any(each.problem for each in result.ecus) else 0


def _pairs(pairs: tuple[str, ...]) -> dict[str, list[Path]]:
    """Read `ECU=FILE` arguments; an ECU may be named several times."""
    images: dict[str, list[Path]] = {}
    for pair in pairs:
        ecu, _, file = pair.partition("=")
        if not ecu or not file:
            raise InputError("this is not ECU=FILE", found=pair, allowed="for example body=firmware.hex")
        images.setdefault(ecu, []).append(Path(file))
    if not images:
        raise InputError("nothing to flash", found="no ECU=FILE", allowed="for example body=firmware.hex, or --read")
    return images


def _signing(
    version: object = None,
    release_counter: object = None,
    crop: object = False,
    lenient: object = False,
    base: object = None,
    session: object = None,
    key: object = None,
) -> Signing:
    return Signing(
        version=None if version is None else str(version),
        release_counter=release_counter if isinstance(release_counter, int) else None,
        key=signer(key, None) if isinstance(key, Path) else None,
        crop=bool(crop),
        lenient=bool(lenient),
        session=None if session is None else str(session),
        base=address_option(None if base is None else str(base)),
    )
