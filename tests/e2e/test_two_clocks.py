"""One program, two clocks: the healthy update in real time behind mutual TLS; simulation without thread or socket."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from bench.assembly.server import BenchServer
from bench.core.loop import VirtualLoop
from bench.core.world import World
from bench.link.tls_server import TlsServer, client_context
from bench.oracle.result import RunResult
from bench.rig.job import make_job
from bench.runs.job import Job
from bench.runs.runner import Runner
from bench.trust.keys import certificate_authority, client_certificate, server_certificate
from tests.brisk import brisk_data

Load = Callable[..., Job]
FINGERPRINT = bytes.fromhex("2EF15A")


@pytest.fixture(scope="module", name="brisk")
def brisk_fixture(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Give the jobs of built-in scenarios on the real-time bench with short waits."""
    root = brisk_data(tmp_path_factory.mktemp("data"))
    return lambda scenario: make_job(root / "scenarios" / f"{scenario}.toml", root / "benches" / "realtime.toml")


@pytest.fixture(scope="module")
def healthy(runner: Runner, brisk: Load) -> RunResult:
    """What came of the healthy update in real time, made once."""
    return runner.run(brisk("healthy"))


def test_healthy_update_passes_in_real_time_behind_mutual_tls(healthy: RunResult) -> None:
    result = healthy
    assert result.as_expected, [(f.id, f.verdict, f.sentence) for f in result.verdict.invariants]
    assert {record.url.split(":")[0] for record in result.record.http.items} == {"https"}
    assert result.wall_s >= result.virtual_s, "the run's clock is the machine's"
    assert ".realtime-" in result.id
    assert result.record.lateness is not None, "the run measured how late its host was"
    assert result.record.lateness.largest_lag_ns > 0


def test_real_and_virtual_time_do_the_same_things_in_the_same_order(
    runner: Runner, load: Load, healthy: RunResult
) -> None:
    """Diagnostic requests and server events agree; only times (and polls that real time brought in) differ."""

    def requests(result: RunResult) -> list[bytes]:
        frames = result.record.frames.items
        heads = [frame.data for frame in frames if frame.sender == "agent" and frame.data[0] >> 4 in (0, 1)]
        requests = [data for data in heads if data[1:3] != b"\x3e\x80" and data[1] != 0x22]
        return [
            data[:5] if data[2:5] == FINGERPRINT else data for data in requests
        ]  # behind it stands the date of the run

    assert requests(healthy) == requests(runner.run(load("healthy")))


def test_cut_that_loses_nothing_of_a_real_disk_says_so_in_record_and_notes(runner: Runner, brisk: Load) -> None:
    result = runner.run(brisk("power_cut_agent"))
    (fault,) = result.record.faults
    assert "lost nothing that was not synced" in fault.limits
    assert f"{fault.point} was not done fully: {fault.limits}" in result.notes


def test_cut_of_the_simulated_agent_is_done_fully(runner: Runner, load: Load) -> None:
    result = runner.run(load("power_cut_agent"))
    assert [fault.limits for fault in result.record.faults] == [""]
    assert not any("was not done fully" in note for note in result.notes)


def test_simulation_starts_no_thread_and_opens_no_socket(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_more: Any) -> NoReturn:
        raise AssertionError("simulation must not start threads or open sockets")

    job = load("power_cut_agent")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(socket.socket, "__init__", refuse)
    before = threading.active_count()
    assert Runner().run(job).as_expected
    assert threading.active_count() == before


@pytest.fixture
def folder_of_certificates(tmp_path: Path) -> Path:
    identities = {"server": server_certificate(), "client": client_certificate("IMEI:1")}
    (tmp_path / "ca.pem").write_text(certificate_authority().certificate_pem)
    for name, identity in identities.items():
        (tmp_path / f"{name}.pem").write_text(identity.certificate_pem)
        (tmp_path / f"{name}.key").write_text(identity.key_pem)
    return tmp_path


def serve(folder: Path) -> TlsServer:
    server = TlsServer(
        port=0, certificate=folder / "server.pem", key=folder / "server.key", client_ca=folder / "ca.pem"
    )

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [str(environ.get("SSL_CLIENT_S_DN_CN")).encode()]

    server.start(app)
    return server


def test_client_with_a_certificate_is_served_and_its_name_is_known(folder_of_certificates: Path) -> None:
    folder = folder_of_certificates
    server = serve(folder)
    try:
        context = client_context(ca=folder / "ca.pem", certificate=folder / "client.pem", key=folder / "client.key")
        with httpx.Client(verify=context) as client:
            assert client.get(server.base_url).text == "IMEI:1"
    finally:
        server.stop()


def test_client_without_a_certificate_is_refused(folder_of_certificates: Path) -> None:
    folder = folder_of_certificates
    server = serve(folder)
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(folder / "ca.pem"))
        with httpx.Client(verify=context) as client, pytest.raises(httpx.TransportError):
            client.get(server.base_url)
    finally:
        server.stop()


def test_server_of_another_authority_is_not_trusted(folder_of_certificates: Path) -> None:
    server = serve(folder_of_certificates)
    try:
        with httpx.Client() as client, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            client.get(server.base_url)
    finally:
        server.stop()


def test_simulated_server_keeps_its_store_in_memory() -> None:
    world = World(VirtualLoop(), seed=1)
    server = BenchServer.simulated(world, "IMEI:1")
    try:
        assert server.dm_url == "https://dm.otabench.test/dm"
    finally:
        server.close()
