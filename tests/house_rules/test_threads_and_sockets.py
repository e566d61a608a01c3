"""No thread, no socket, no second process in simulation (D1); adapters of blocking libraries are named here."""

from __future__ import annotations

import ast

import pytest

ADAPTERS = {
    "bench/process/command.py": "Ctrl-C and SIGTERM of the whole process: the handler only asks `bench.core.stop.STOP`",
    "bench/core/realtime.py": "Ctrl-C in real time: the handler wakes the loop, which cancels the run's task",
    "bench/core/listening.py": "whether a port is free, for a web server in real time",
    "bench/link/tls_server.py": "cheroot serves the DM server over TLS on loopback, on benches in real time",
    "bench/link/can_adapter.py": "python-can blocks: a thread reads an adapter, another writes and paces, in real time",
    "bench/link/receive_queue.py": "makes the queue of an adapter's socket long, and asks what it dropped",
    "bench/link/python_can_bus.py": "wakes the loop from the adapter's threads",
    "bench/link/can_isotp_link.py": "can-isotp's state machine alone, without its threads, on benches in real time",
    "bench/link/kernel_isotp_link.py": "the kernel's ISO-TP is a socket; its send blocks until the last frame is sent",
    "bench/serving/ecu_server.py": "a server ends by signals (SIGINT, SIGTERM), in real time only",
    "bench/link/can_logs.py": "python-can's readers and writers of log files: no bus, no thread",
    "bench/cli/doctor/command.py": "asks this machine what it has (SocketCAN, a free port); no run goes on meanwhile",
    "bench/flasher/key_helpers.py": "a supplier's key program or library blocks: in a thread in real time, else inline",
    "bench/runs/workers.py": "processes for whole runs (`run --jobs`), each with its own loop; signals end them all",
    "bench/dashboard/serve.py": "the dashboard's own web server; no run goes on in that process",
}
MODULES = {
    "_thread", "concurrent", "ctypes", "http.server", "multiprocessing", "queue", "select", "selectors", "signal",
    "socket", "socketserver", "subprocess", "threading", "wsgiref.simple_server", "cheroot", "serial", "can", "isotp",
}  # fmt: skip
CALLS = {
    "to_thread", "run_in_executor", "call_soon_threadsafe", "run_coroutine_threadsafe", "open_connection",
    "start_server", "create_connection", "create_server", "create_subprocess_exec", "create_subprocess_shell", "fork",
}  # fmt: skip


def violations(path: str, source: str) -> list[str]:
    """Return `path:line what` for every thread, socket or process outside the adapters."""
    if path in ADAPTERS:
        return []
    return [f"{path}:{line} {what}" for node in ast.walk(ast.parse(source)) for line, what in _found(node)]


def _banned(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in MODULES)


def _found(node: ast.AST) -> list[tuple[int, str]]:
    if isinstance(node, ast.Import):
        return [(node.lineno, alias.name) for alias in node.names if _banned(alias.name)]
    if isinstance(node, ast.ImportFrom) and not node.level:
        names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        return [(node.lineno, name) for name in names if _banned(name)][:1]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
        return [(node.lineno, ast.unparse(node.func))]
    return []


def test_threads_and_sockets_live_in_named_adapters_only(sources: dict[str, str]) -> None:
    assert [found for path, text in sources.items() for found in violations(path, text)] == []


def test_every_named_adapter_still_needs_its_exception(sources: dict[str, str]) -> None:
    idle = [path for path in ADAPTERS if path in sources and not violations("elsewhere.py", sources[path])]
    assert idle == []


@pytest.mark.parametrize(
    "bad",
    [
        "import threading",
        "import ctypes",
        "from threading import Lock",
        "from concurrent.futures import ThreadPoolExecutor",
        "import concurrent.futures",
        "from concurrent import futures",
        "import socket as s",
        "import subprocess",
        "from cheroot import wsgi",
        "import can",
        "def late():\n    import multiprocessing",
        "import asyncio\nasyncio.to_thread(f)",
        "loop.run_in_executor(None, f)",
        "import asyncio\nasyncio.open_connection('localhost', 1)",
        "import os\nos.fork()",
    ],
)
def test_a_thread_socket_or_process_is_caught(bad: str) -> None:
    assert violations("bench/agent/bad.py", bad)


@pytest.mark.parametrize(
    "good", ["from bench.wire import can", "from bench.wire.can import CanFrame", "import asyncio"]
)
def test_names_that_only_look_alike_are_let_through(good: str) -> None:
    assert violations("bench/agent/good.py", good) == []
