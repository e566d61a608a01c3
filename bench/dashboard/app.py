"""The pages: list of runs, one run, and its files. Strict content security policy, no script, loopback names only."""

from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import quote, urlsplit

from flask import Flask, Response, abort, render_template, request, send_file
from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined
from werkzeug.exceptions import HTTPException

from bench.config.output import this_tool
from bench.core.errors import InputError
from bench.dashboard.runs import CAUGHT, UNEXPECTED, Listed, Reports, counts
from bench.evidence.html import TEMPLATES, add_helpers, run_context, stylesheet
from bench.evidence.places import REPORT
from bench.evidence.text import VERDICT_WORDS

LOOPBACK = ("localhost", "127.0.0.1", "::1")
FILTERS = (*(verdict.value for verdict in VERDICT_WORDS if verdict.value != "not_observed"), CAUGHT, UNEXPECTED)
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox allow-downloads"
MAX_QUERY = 200
SHOWN_AS_TEXT = (".json", ".jsonl", ".xml", ".log", ".toml")


def create_app(reports: Path) -> Flask:
    """Return the dashboard over `reports`; the folder may grow and change while it runs.

    InputError names a folder that does not exist and says how to make one.
    """
    _check_folder(reports)
    app = Flask(__name__, static_folder=None)
    app.jinja_env.autoescape = True  # Flask would leave out templates whose names do not end in .html
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    own = FileSystemLoader(Path(__file__).with_name("templates"))
    app.jinja_env.loader = ChoiceLoader([own, FileSystemLoader(TEMPLATES)])
    add_helpers(app.jinja_env)
    app.jinja_env.globals.update(tool=this_tool())
    app.before_request(_refuse_foreign_names)
    app.after_request(_harden)
    app.register_error_handler(HTTPException, _problem)
    pages = _Pages(Reports(reports))
    app.add_url_rule("/", "runs", pages.runs)
    app.add_url_rule("/style.css", "style", _style)
    app.add_url_rule("/runs/<name>/", "run", pages.run)
    app.add_url_rule("/runs/<name>/files/<path:file>", "file", pages.file)
    return app


def _check_folder(reports: Path) -> None:
    if reports.is_dir():
        return
    problem = "is no folder" if reports.exists() else "does not exist"
    raise InputError(
        f"the folder of reports {problem}",
        key="--out",
        found=str(reports),
        allowed="a folder that `otabench demo` or `otabench run` has written to",
        hint="make some runs with `otabench demo`, or name the folder that has them with --out DIR",
    )


class _Pages:
    def __init__(self, reports: Reports) -> None:
        self.reports = reports

    def runs(self) -> str:
        """List runs; `?verdict=` (one of FILTERS) and `?q=` filter, so that a view can be linked to."""
        verdict = request.args.get("verdict", "")
        words = request.args.get("q", "")[:MAX_QUERY]
        if verdict and verdict not in FILTERS:
            abort(400, f"There is no filter {verdict!r}; filters are {', '.join(FILTERS)}.")
        listed = self.reports.all()
        shown = [item for item in listed if item.matches(verdict, words.strip().lower())]
        return render_template(
            "runs.html.j2",
            entries=[item.entry for item in shown if item.entry],
            unreadable=[item for item in shown if item.entry is None and item.job is None],
            jobs=[item for item in shown if item.job],
            total=sum(1 for item in listed if item.job is None),
            counts=counts(listed),
            filters=FILTERS,
            verdict=verdict,
            words=words,
            folder=str(self.reports.folder),
            demo=f"otabench demo --out {shlex.quote(str(self.reports.folder))}",
        )

    def run(self, name: str) -> str:
        """Show one run, or why it cannot be shown."""
        found = self._found(name)
        files = {file: f"/runs/{quote(name)}/files/{quote(file)}" for file in self.reports.files(name)}
        if found.job is not None:
            return render_template("flash_job.html.j2", found=found, job=found.job, files=files)
        content = self.reports.content(name)
        if content is None:
            return render_template("unreadable.html.j2", found=found, files=files)
        return render_template("run.html.j2", **run_context(*content), files=files)

    def file(self, name: str, file: str) -> Response:
        """Send one file of a run's folder: the report as a page of its own, everything else as plain text."""
        path = self.reports.files(self._found(name).name).get(file)
        if path is None:
            abort(404, f"There is no file {file!r} in this run.")
        if file == REPORT:
            response = send_file(path.resolve(), mimetype="text/html")
            response.headers["Content-Security-Policy"] = REPORT_POLICY
            return response
        plain = path.suffix in SHOWN_AS_TEXT
        return send_file(
            path.resolve(),
            mimetype="text/plain" if plain else "application/octet-stream",
            as_attachment="download" in request.args or not plain,
            download_name=path.name,
        )

    def _found(self, name: str) -> Listed:
        found = self.reports.one(name)
        if found is None:
            abort(404, f"There is no run {name!r} here.")
        return found


def _style() -> Response:
    return Response(stylesheet(), mimetype="text/css")


def _refuse_foreign_names() -> None:
    """Refuse requests that name another host: a web page elsewhere must not read reports through the browser."""
    host = urlsplit(f"//{request.host}").hostname
    if host not in LOOPBACK:
        abort(403, "The dashboard answers on loopback names only.")


def _harden(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


def _problem(error: HTTPException) -> tuple[str, int]:
    code = error.code or 500
    return render_template("problem.html.j2", code=code, name=error.name, text=error.description or ""), code
