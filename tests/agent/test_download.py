"""Downloading: resumed by Range, bounded tries, nothing kept that was not asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import pytest

from bench.agent.download import TRIES, Downloader, DownloadFailed
from bench.core.loop import VirtualLoop
from bench.ports.http import HttpResponse, TransportFailure
from bench.ports.storage import StorageFull

PACKAGE = bytes(range(256)) * 1000
URL = "https://x.test/p.zip"


class Memory:
    """Storage that never loses anything."""

    def __init__(self, room_bytes: int = 10**9) -> None:
        self.files: dict[str, bytes] = {}
        self.room_bytes = room_bytes

    async def read(self, path: str) -> bytes | None:
        return self.files.get(path)

    async def replace(self, path: str, data: bytes) -> None:
        self.files[path] = data

    async def append(self, path: str, data: bytes) -> None:
        if sum(map(len, self.files.values())) + len(data) > self.room_bytes:
            raise StorageFull(path)
        self.files[path] = self.files.get(path, b"") + data

    async def delete(self, path: str) -> None:
        self.files.pop(path, None)


class Server:
    """Serves PACKAGE; each answer may break after some bytes, or be of another status."""

    def __init__(self, *answers: int | None, status: int | None = None, ranges: bool = True) -> None:
        self.answers, self.status, self.ranges = list(answers), status, ranges
        self.asked: list[str] = []

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        raise AssertionError("a download posts nothing")

    async def get(self, url: str, headers: Mapping[str, str], limit_bytes: int) -> HttpResponse:
        raise AssertionError("a download streams")

    async def stream(
        self, url: str, headers: Mapping[str, str], sink: Callable[[bytes], Awaitable[None]]
    ) -> HttpResponse:
        asked = headers.get("Range", "")
        self.asked.append(asked)
        start = int(asked[6:-1]) if asked else 0
        if self.status is not None:
            return HttpResponse(self.status, {}, b"")
        if asked and not self.ranges:
            return HttpResponse(200, {"content-length": str(len(PACKAGE))}, b"")
        if start >= len(PACKAGE):
            return HttpResponse(416, {}, b"")
        breaks_after = self.answers.pop(0) if self.answers else None
        body = PACKAGE[start:] if breaks_after is None else PACKAGE[start : start + breaks_after]
        for offset in range(0, len(body), 1000):
            await sink(body[offset : offset + 1000])
        if breaks_after is not None:
            raise TransportFailure("broken off")
        return HttpResponse(206 if asked else 200, {"content-length": str(len(PACKAGE) - start)}, b"")


def fetch(server: Server, memory: Memory) -> None:
    loop = VirtualLoop()
    loop.run(Downloader(server, memory, loop).fetch(URL, {}, "p"))


def test_whole_package_is_stored() -> None:
    memory = Memory()
    fetch(Server(), memory)
    assert memory.files == {"p": PACKAGE}


def test_broken_download_goes_on_where_it_was_synced() -> None:
    memory, server = Memory(), Server(100_000, 70_000)
    fetch(server, memory)
    assert memory.files == {"p": PACKAGE}
    assert server.asked[0] == ""
    assert [int(asked[6:-1]) > 0 for asked in server.asked[1:]] == [True, True]


def test_server_that_ignores_range_is_asked_for_the_whole_again() -> None:
    memory, server = Memory(), Server(100_000, ranges=False)
    fetch(server, memory)
    assert memory.files == {"p": PACKAGE}
    assert server.asked[-1] == ""


def test_complete_file_left_by_an_earlier_life_is_not_fetched_again() -> None:
    memory = Memory()
    memory.files["p"] = PACKAGE
    fetch(Server(), memory)
    assert memory.files == {"p": PACKAGE}


def test_server_that_always_breaks_is_given_up_after_the_tries() -> None:
    server = Server(*[0] * 50)
    with pytest.raises(DownloadFailed, match=f"{TRIES} tries"):
        fetch(server, Memory())
    assert len(server.asked) == TRIES


@pytest.mark.parametrize("status", [404, 403, 500, 302])
def test_other_status_ends_the_download_and_stores_nothing(status: int) -> None:
    memory = Memory()
    with pytest.raises(DownloadFailed, match=f"HTTP {status}"):
        fetch(Server(status=status), memory)
    assert memory.files == {}


def test_full_disk_is_told_apart_from_a_broken_network() -> None:
    with pytest.raises(StorageFull):
        fetch(Server(), Memory(room_bytes=100_000))
