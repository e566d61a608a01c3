from __future__ import annotations

import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest

from bench.core.errors import InputError
from bench.dashboard.app import create_app
from bench.dashboard.serve import listen, serve
from tests.children import LIMIT_S, limited

PROGRAM = """
import sys
from pathlib import Path
from bench.dashboard.app import create_app
from bench.dashboard.serve import serve
serve(create_app(Path(sys.argv[1])), "127.0.0.1", 0, out=sys.stdout)
"""


def test_serve_prints_its_url_answers_and_ends_cleanly_on_ctrl_c(reports: Path) -> None:
    with subprocess.Popen(
        limited("-c", PROGRAM, str(reports)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url) as answer:
            assert "planted_no_verification" in answer.read().decode()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert errors == ""


def test_port_in_use_is_an_input_error_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as caught:
            serve(create_app(tmp_path), "127.0.0.1", port)
    assert str(port) in str(caught.value)
    assert "--port" in str(caught.value)
    assert "in use" in str(caught.value)


def test_port_that_cannot_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot listen"):
        listen(create_app(tmp_path), "localhost", 70_000)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "example.org", "::", ""])
def test_host_beyond_loopback_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(InputError, match="this machine only"):
        listen(create_app(tmp_path), host, 0)
