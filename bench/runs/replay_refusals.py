"""Why a replay is refused: inputs that were not found, firmware that is not the run's, another golden run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import __version__
from bench.core.errors import InputError
from bench.runs.ids import RunId
from bench.wire.image_header import HeaderError, ImageHeader

HEADERS = "images/"
UNKNOWN_VERSION = "version unknown: no report of this run in"


@dataclass(frozen=True, slots=True)
class Tried:
    """A pair of files that was not it: why it makes no job, or the inputs of the job that it makes."""

    scenario: Path
    bench: Path
    problem: str | None
    inputs: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class StoredReport:
    """What the reports keep of the run: its inputs by name, and the version of the tool that made this very id."""

    reports: Path
    inputs: Mapping[str, bytes] | None
    version: str | None


def stored_report(run_id: RunId, reports: Path) -> StoredReport:
    """Return what `reports` has of this very id, or else of the same inputs (their golden run may differ)."""
    for folder in _folders(run_id, reports):
        inputs = folder / "inputs"
        names = [path for path in sorted(inputs.rglob("*")) if path.is_file()]
        stored = {path.relative_to(inputs).as_posix(): path.read_bytes() for path in names}
        exact = _id_of(folder / "verdicts.json") == run_id
        return StoredReport(reports, stored, _version(folder / "view.json") if exact else None)
    return StoredReport(reports, None, None)


def not_found(run_id: RunId, stored: StoredReport, tried: Sequence[Tried], images: Mapping[str, Path]) -> InputError:
    """Return the refusal when nothing has the inputs' hash: the first difference from what the report keeps."""
    problem = f"the files with the inputs hash {run_id.inputs} were not found"
    if stored.inputs is not None:
        differing = _other_firmware(stored.inputs, tried, images) or _other_files(stored.inputs, tried)
        if differing is not None:
            return differing
    complete = [each for each in tried if each.problem is None]
    reasons = list(dict.fromkeys(each.problem for each in tried if each.problem is not None))
    others = "; ".join(reasons[:3])
    found = f"{len(tried)} pairs of scenario and bench tried"
    if complete:
        found += f"; {len(complete)} can be run and have other inputs"
    elif others:
        found += f": {others}"
    given = ", ".join(f"{ecu}={path}" for ecu, path in images.items())
    hint = (
        f"is {given} the run's own firmware, with its --crop and --base? Else name the run's --scenario and --bench"
        if given
        else "name them with --bench, --scenario and --image, or copy the run's folder into the reports (--out DIR)"
    )
    return InputError(problem, found=found, allowed="the files the run was made with", hint=hint)


def other_golden_run(run_id: RunId, golden: str, stored: StoredReport) -> InputError:
    """Return the refusal when the golden run made now is not the one that the id names; with both versions."""
    theirs = f"otabench {stored.version}" if stored.version else f"otabench, {UNKNOWN_VERSION} {stored.reports}"
    return InputError(
        "the golden run of these inputs differs from the one that the id names",
        found=f"{golden} (otabench {__version__})",
        allowed=f"{run_id.golden} ({theirs})",
        hint="replay it with the version that made it; with the same version the id was changed",
    )


def _other_firmware(
    stored: Mapping[str, bytes], tried: Sequence[Tried], images: Mapping[str, Path]
) -> InputError | None:
    """Name firmware of the run that was not given, or that is another one."""
    wanted = {Path(name).stem: data for name, data in stored.items() if name.startswith(HEADERS)}
    missing = next((ecu for ecu in wanted if ecu not in images), None)
    if missing is not None:
        return InputError(
            "the run used firmware of its own, which no report keeps",
            key="--image",
            found=", ".join(f"{ecu}={path}" for ecu, path in images.items()) or "no --image",
            allowed=f"{missing}: {_firmware(wanted[missing])}",
            hint=f"add --image {missing}=FILE, with --crop and --base as then",
        )
    surplus = next((ecu for ecu in images if ecu not in wanted), None)
    if surplus is not None:
        allowed = ", ".join(wanted) or "no --image"
        return InputError(
            f"the run used no firmware of its own for ECU {surplus}",
            key="--image",
            found=f"{surplus}={images[surplus]}",
            allowed=allowed,
            hint=f"leave out --image {surplus}={images[surplus]}",
        )
    for each in tried:
        for ecu, header in wanted.items():
            given = each.inputs.get(f"{HEADERS}{ecu}.header")
            if given is not None and given != header and _same_files(stored, each):
                return InputError(
                    f"the firmware of ECU {ecu} is not the one that the run used",
                    file=str(images[ecu]),
                    key="--image",
                    found=_firmware(given),
                    allowed=_firmware(header),
                    hint="name the run's own file, with --crop and --base as then",
                )
    return None


def _other_files(stored: Mapping[str, bytes], tried: Sequence[Tried]) -> InputError | None:
    """Name the input file whose bytes differ from the report's copy, in the pair that differs least."""
    makes = [each for each in tried if each.problem is None]
    if not makes:
        return None
    differing = min((_differences(stored, each.inputs) for each in makes), key=len)
    return InputError(
        "input files differ from those of the run",
        found=", ".join(differing),
        allowed="the copies in the run's folder, inputs/",
        hint="leave out --scenario and --bench to use the copies; a copy that was changed has to come from elsewhere",
    )


def _differences(stored: Mapping[str, bytes], inputs: Mapping[str, bytes]) -> list[str]:
    return [name for name in sorted({*stored, *inputs}) if stored.get(name) != inputs.get(name)]


def _same_files(stored: Mapping[str, bytes], tried: Tried) -> bool:
    return not [name for name in _differences(stored, tried.inputs) if not name.startswith(HEADERS)]


def _firmware(header: bytes) -> str:
    try:
        image = ImageHeader.decode(header)
    except HeaderError:
        return "a damaged header"
    return f"{image.length} bytes at 0x{image.load_address:08X}, SHA-256 {image.sha256.hex()[:16]}…"


def _folders(run_id: RunId, reports: Path) -> Iterator[Path]:
    """Yield the folders of this id, then those of the same inputs."""
    same_inputs = []
    for path in sorted(reports.glob("*/verdicts.json")):
        stored = _id_of(path)
        if stored == run_id:
            yield path.parent
        elif stored is not None and stored.inputs == run_id.inputs:
            same_inputs.append(path.parent)
    yield from same_inputs


def _id_of(verdicts: Path) -> RunId | None:
    try:
        stored = json.loads(verdicts.read_text(encoding="utf-8"))
        return RunId.parse(str(stored.get("id"))) if isinstance(stored, dict) else None
    except (OSError, ValueError, InputError):
        return None


def _version(view: Path) -> str | None:
    try:
        return str(json.loads(view.read_text(encoding="utf-8"))["tool"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
