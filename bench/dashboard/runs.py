"""The reports folder as values: readable runs, newest first, and folders that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from bench.dashboard.flash_jobs import PREFIX, RESULT, FlashJob
from bench.evidence.build import View
from bench.evidence.contract import Run
from bench.evidence.html import Entry, entry_of
from bench.evidence.text import caught, fault_points
from bench.evidence.write import VERDICTS, VIEW

MAX_JSON_BYTES = 20_000_000
MAX_LISTED_FILES = 500
CAUGHT, UNEXPECTED, UNREADABLE = "caught", "unexpected", "unreadable"
Stamp = tuple[int, ...]
Signature = tuple[Stamp, Stamp, Stamp]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Listed:
    """One folder of the reports folder: what tables show of it, or (`problem`) why it cannot be shown."""

    name: str
    written_ns: int
    entry: Entry | None = None
    """The line for a table; None when the folder is unreadable or a flash job."""
    problem: str = ""
    job: FlashJob | None = None
    """The result of `otabench flash`, which has no verdict and stands in no filter."""

    @property
    def word(self) -> str:
        """The filter that the folder belongs to: `caught` for a failure that was planted, else the verdict."""
        if self.entry is None:
            return UNREADABLE
        return CAUGHT if caught(self.entry.run) else self.entry.run.verdict.value

    def matches(self, word: str, words: str) -> bool:
        """Return whether the folder passes a filter (its `word` or `unexpected`), and has a text in its facts."""
        if self.job is not None:
            ecus = " ".join(ecu.ecu for ecu in self.job.ecus)
            facts = f"{self.name} {self.job.bench} {self.job.outcome} {ecus}"
            return not word and words in facts.lower()
        if self.entry is None:
            return not word and words in self.name.lower()
        run = self.entry.run
        wanted = not run.as_expected if word == UNEXPECTED else word in ("", self.word)
        points = " ".join(fault_points(run))
        facts = f"{run.id} {self.entry.title} {points} {run.bench} {self.entry.firmware} {self.entry.written_utc}"
        return wanted and words in facts.lower()


class Unreadable(Exception):
    """A file of a run cannot be used; the text says which and why."""


class Reports:
    """A folder with one folder per run. Every question looks at it; what has not changed is not read again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[Signature, Listed]] = {}

    def all(self) -> list[Listed]:
        """Return every visible folder, the newest first."""
        try:
            names = sorted(path.name for path in self.folder.iterdir() if path.is_dir() and path.name[0] != ".")
        except OSError:
            return []
        listed = [self._read(self.folder / name) for name in names]
        return sorted(listed, key=lambda item: item.written_ns, reverse=True)

    def one(self, name: str) -> Listed | None:
        """Return the folder of that name, or None when there is none."""
        path = self._folder_of(name)
        return self._read(path) if path else None

    def content(self, name: str) -> tuple[Run, View] | None:
        """Return RUN and view of a readable run."""
        folder = self._folder_of(name)
        try:
            return (_load(folder / VERDICTS, Run), _load(folder / VIEW, View)) if folder else None
        except Unreadable:
            return None

    def files(self, name: str) -> dict[str, Path]:
        """Return relative name -> path of every plain file in a run's folder; links are left out."""
        folder = self._folder_of(name)
        if folder is None:
            return {}
        root = folder.resolve()
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
        inside = [path for path in paths if path.resolve().is_relative_to(root)]
        return {path.relative_to(folder).as_posix(): path for path in inside[:MAX_LISTED_FILES]}

    def _folder_of(self, name: str) -> Path | None:
        """Return a direct child by its listed name, so that no name can lead out of the folder."""
        try:
            return next(p for p in self.folder.iterdir() if p.name == name and p.is_dir() and name[0] != ".")
        except (OSError, StopIteration):
            return None

    def _read(self, folder: Path) -> Listed:
        signature = (_stamp(folder / VERDICTS), _stamp(folder / VIEW), _stamp(folder / RESULT))
        known = self._known.get(folder.name)
        if known is None or known[0] != signature:
            known = signature, _listed(folder)
            self._known[folder.name] = known
        return known[1]


def _listed(folder: Path) -> Listed:
    written_ns = (_stamp(folder / VERDICTS) or _stamp(folder / RESULT) or _stamp(folder) or (0,))[0]
    is_job = folder.name.startswith(PREFIX) and (folder / RESULT).is_file() and not (folder / VERDICTS).exists()
    try:
        if is_job:
            return Listed(folder.name, written_ns, job=_load(folder / RESULT, FlashJob))
        run, view = _load(folder / VERDICTS, Run), _load(folder / VIEW, View)
    except Unreadable as error:
        return Listed(folder.name, written_ns, problem=str(error))
    return Listed(folder.name, written_ns, entry_of(f"/runs/{quote(folder.name)}/", run, view))


def counts(listed: Sequence[Listed]) -> dict[str, int]:
    """Return how many folders belong to which filter, and how many runs ended unexpectedly."""
    found = Counter(item.word for item in listed if item.job is None)
    found[UNEXPECTED] = sum(1 for item in listed if item.entry and not item.entry.run.as_expected)
    return dict(found)


def _stamp(path: Path) -> Stamp:
    """Return (time of writing in ns, size); empty when there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size)


def _load(path: Path, model: type[Model]) -> Model:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise Unreadable(f"{path.name} is larger than {MAX_JSON_BYTES} bytes")
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise Unreadable(f"{path.name} is missing") from None
    except OSError as error:
        raise Unreadable(f"{path.name} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        raise Unreadable(f"{path.name} is not what otabench writes: {where}: {first['msg']}") from None
