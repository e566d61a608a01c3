"""TOML files checked with pydantic: one loader, one form of error (file, key, found, allowed, next)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.config.foreign_values import refuse_foreign_values
from bench.config.kinds import kind_of
from bench.config.mistakes import Source, explained
from bench.config.toml_text import shortened, syntax_place
from bench.core.errors import InputError

Model = TypeVar("Model", bound="FileModel")
MAX_FILE_BYTES = 1_000_000
NEWLINE = b"\n"
BOM = "\ufeff"
KEPT_FILES = 128
"""How many checked files are kept: more than a bench with all that it names has."""
ALLOWED_TOML = 'TOML: key = value in each line, text in "quotes", [table] and [[list]] in brackets'


class FileModel(BaseModel):
    """Base of every model read from a file: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def refuse_unready(cls, file: str, toml: str, values: Mapping[str, object]) -> None:
        """Raise `InputError` for a file that is not meant to be used yet; looked at before any key is."""


def data_root() -> Path:
    """Return the folder of benches, vehicles, ecus, recipes, scenarios: in a clone `fixtures/`, else in the wheel."""
    bench = Path(__file__).parent.parent
    packaged = bench / "_data"
    return packaged if packaged.is_dir() else bench.parent / "fixtures"


def read_bytes(path: Path, *, limit_bytes: int, what: str) -> bytes:
    """Read a user's file; `InputError` when it is missing, unreadable or larger than `limit_bytes`."""
    try:
        size_bytes = path.stat().st_size
        if not path.is_file():
            raise InputError(
                f"{what} is not a file",
                file=str(path),
                found="a folder" if path.is_dir() else "a device or pipe",
                allowed="a file",
                hint=_inside(path),
            )
        if size_bytes > limit_bytes:
            raise InputError(
                f"{what} is too large",
                file=str(path),
                found=f"{size_bytes} bytes",
                allowed=f"up to {limit_bytes} bytes",
                hint="name another file",
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{what} does not exist", file=str(path), found="no such file", allowed="a file", hint=_neighbours(path)
        ) from None
    except OSError as error:
        raise InputError(
            f"{what} cannot be read: {error.strerror}",
            file=str(path),
            found=error.strerror,
            allowed="a file that you may read",
            hint="check the path and who may read it",
        ) from None


def load_toml(path: Path, model: type[Model], what: str, context: Mapping[str, object] | None = None) -> Model:
    """Read `path` as TOML into `model`; every mistake becomes one `InputError`. Types are strict: "5" is no number.

    `context` is what the model's validators need and no file says (pydantic's validation context). The file is read
    each time; the same text is checked once, since a sweep reads the same dozen files for each of its runs.
    """
    text = _text(read_bytes(path, limit_bytes=MAX_FILE_BYTES, what=what), path, what)
    checked = _checked(path, text, model, what) if context is None else _check(path, text, model, what, context)
    assert isinstance(checked, model)
    return checked


@lru_cache(maxsize=KEPT_FILES)
def _checked(path: Path, text: str, model: type[FileModel], what: str) -> FileModel:
    return _check(path, text, model, what, None)


def _check(path: Path, text: str, model: type[FileModel], what: str, context: Mapping[str, object] | None) -> FileModel:
    values = _values(text, path, what)
    model.refuse_unready(str(path), text, values)
    try:
        checked = model.model_validate_json(json.dumps(values, default=str), strict=True, context=context)
    except ValidationError as error:
        _refuse_another_kind(path, values, model, what)
        raise explained(error, model, Source(what, str(path), text, values)) from None
    refuse_foreign_values(what, str(path), text, values, model)
    return checked


def _refuse_another_kind(path: Path, values: dict[str, object], model: type[FileModel], what: str) -> None:
    """Raise `InputError` when a file that does not fit `model` is one of another kind; its keys are not looked at."""
    given, wanted = kind_of(values), kind_of(model.model_json_schema().get("properties", {}))
    if given is not None and wanted is not None and given != wanted:
        raise InputError(
            f"{what} is {given}, not {wanted}",
            file=str(path),
            key="(the whole file)",
            found=f"{given}, with the keys {shortened(', '.join(values))}",
            allowed=wanted,
            hint=f"name {wanted} in its place",
        )


def _text(raw: bytes, path: Path, what: str) -> str:
    try:  # a byte order mark is no part of the text: editors on Windows put one there
        return raw.decode("utf-8").removeprefix(BOM)
    except UnicodeDecodeError as error:
        line = raw.count(NEWLINE, 0, error.start) + 1
        raise InputError(
            f"{what} is not a text file",
            file=str(path),
            found=f"byte 0x{raw[error.start]:02X} at offset {error.start}, in line {line}",
            allowed="TOML, in UTF-8",
            hint="save the file as UTF-8, or name another one",
        ) from None


def _values(text: str, path: Path, what: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why, number, line = syntax_place(error, text)
        raise InputError(
            f"{what} is not valid TOML: {why[:1].lower()}{why[1:]}",
            file=str(path),
            key=f"line {number}",
            found=line or "an empty line",
            allowed=ALLOWED_TOML,
            hint=f"correct line {number} or the one before it",
        ) from None
    except (ValueError, RecursionError) as error:  # digits without end, brackets without end
        deep = isinstance(error, RecursionError)
        raise InputError(
            f"{what} is not valid TOML",
            file=str(path),
            found="brackets within brackets without end" if deep else "a number with too many digits",
            allowed=ALLOWED_TOML,
            hint="name another file",
        ) from None


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f"check the path: folder {path.parent} does not exist either"
    names = sorted(p.name for p in path.parent.iterdir() if p.suffix == path.suffix and p.is_file())[:12]
    if names:
        return f"name another file; that folder has: {', '.join(names)}"
    return f"check the path; that folder has no file of the kind {path.suffix or 'named'}"


def _inside(path: Path) -> str:
    names = sorted(p.name for p in path.iterdir() if p.is_file())[:12] if path.is_dir() else []
    return f"name a file in it: {', '.join(names)}" if names else "name another file"
