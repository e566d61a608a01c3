"""No clock and no randomness outside bench/core (D1): a run is its inputs and its seed, nothing else."""

from __future__ import annotations

import ast

import pytest

ALLOWED_BELOW = "bench/core/"
MODULES = ("time", "random", "secrets", "uuid", "timeit", "sched", "numpy.random")
CALLS = {
    "os.urandom", "os.getrandom", "os.times", "asyncio.sleep", "asyncio.run", "asyncio.Runner",
    "asyncio.new_event_loop",
    "email.utils.formatdate", "email.utils.localtime", "email.utils.make_msgid", "hash", "id",
    "x509.random_serial_number",
}  # fmt: skip
METHODS = {
    "now": "time of day", "utcnow": "time of day", "today": "time of day", "time": "the loop's own clock",
    "fromtimestamp": "the machine's time zone", "utcfromtimestamp": "a date without a zone",
    "generate": "random key", "generate_key": "random key", "generate_private_key": "random key",
    "run_until_complete": "a loop of one's own",
}  # fmt: skip
FROM = {(name.rsplit(".", 1)[0], name.rsplit(".", 1)[1]) for name in CALLS if "." in name}


def violations(path: str, source: str) -> list[str]:
    """Return `path:line what` for every use of a clock or of randomness."""
    if path.startswith(ALLOWED_BELOW):
        return []
    return [f"{path}:{line} {what}" for node in ast.walk(ast.parse(source)) for line, what in _found(node)]


def _found(node: ast.AST) -> list[tuple[int, str]]:
    if isinstance(node, ast.Import):
        return [(node.lineno, alias.name) for alias in node.names if alias.name in MODULES]
    if isinstance(node, ast.ImportFrom):
        names = [alias.name for alias in node.names]
        whole = [f"{node.module}.{name}" for name in names if (node.module, name) in FROM]
        return [(node.lineno, what) for what in ([str(node.module)] if node.module in MODULES else whole)]
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        if name in CALLS:
            return [(node.lineno, name)]
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            return [(node.lineno, f"{name} ({METHODS[node.func.attr]})")]
    return []


def test_only_core_reads_clocks_and_draws_randomness(sources: dict[str, str]) -> None:
    assert [found for path, text in sources.items() for found in violations(path, text)] == []


@pytest.mark.parametrize(
    "bad",
    [
        "import time",
        "import random as r",
        "from time import monotonic",
        "from secrets import token_bytes",
        "from uuid import uuid4",
        "from os import urandom",
        "from asyncio import sleep",
        "import os\nos.urandom(8)",
        "from datetime import datetime, UTC\ndatetime.now(UTC)",
        "import datetime\ndatetime.datetime.utcnow()",
        "from datetime import date\ndate.today()",
        "import asyncio\nasync def f():\n    await asyncio.sleep(1)",
        "import asyncio\nasyncio.run(main())",
        "import asyncio\nasyncio.get_running_loop().time()",
        "key = Ed25519PrivateKey.generate()",
        "key = AESGCM.generate_key(256)",
        "key = ec.generate_private_key(curve)",
        "order = hash('body')",
        "name = id(self)",
        "def late():\n    import random",
    ],
)
def test_a_clock_or_randomness_is_caught(bad: str) -> None:
    assert violations("bench/agent/bad.py", bad)


def test_the_same_source_is_let_through_in_core_only() -> None:
    bad = "import time"
    assert violations("bench/core/clock.py", bad) == []
    assert violations("dm_server/clock.py", bad) == ["dm_server/clock.py:1 time"]


@pytest.mark.parametrize(
    "good",
    [
        "from datetime import datetime, timedelta, UTC\nwhen = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=1)",
        "import asyncio\nasync def f(c):\n    async with asyncio.timeout(1):\n        await c.sleep_ns(5)",
        "def f(clock):\n    return clock.now_ns()",
        "def f(seeds):\n    return seeds.draw('agent', 'nonce', 12)",
    ],
)
def test_time_and_bytes_that_are_handed_in_are_let_through(good: str) -> None:
    assert violations("bench/agent/good.py", good) == []
