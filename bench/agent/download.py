"""Downloading a package into crash-safe storage, resumed by Range after anything."""

from __future__ import annotations

from bench.core.clock import NS_PER_S, Clock
from bench.ports.http import DmTransport, HttpResponse, TransportFailure
from bench.ports.storage import Storage

PACKAGE_LIMIT_BYTES = 48 * 1024 * 1024
KEEP_BYTES = 65_536
"""How much arrives between two syncs: what a power loss costs at most."""
TRIES, PAUSE_S = 5, 2


class DownloadFailed(Exception):
    """The package could not be had; the sentence says why."""


class Downloader:
    """Fetches one URL into one file."""

    def __init__(self, transport: DmTransport, storage: Storage, clock: Clock) -> None:
        self._transport, self._storage, self._clock = transport, storage, clock

    async def fetch(self, url: str, headers: dict[str, str], path: str) -> None:
        """Download `url` into `path`, going on from what is there (DownloadFailed after `TRIES` tries)."""
        for attempt in range(1, TRIES + 1):
            try:
                await self._fetch_rest(url, headers, path)
            except TransportFailure as error:
                if attempt == TRIES:
                    raise DownloadFailed(f"{url}: {error} ({TRIES} tries)") from None
                await self._clock.sleep_ns(PAUSE_S * attempt * NS_PER_S)
            else:
                return

    async def _fetch_rest(self, url: str, headers: dict[str, str], path: str) -> None:
        # What is synced counts, not what an earlier life received: the rest of it may be torn.
        have = len(await self._storage.read(path) or b"")
        sink = _Sink(self._storage, path, have)
        range_headers = {**headers, "Range": f"bytes={have}-"} if have else headers
        answer = await self._transport.stream(url, range_headers, sink.take)
        if answer.status == 416 and have:  # nothing is left to fetch
            return
        if answer.status == 200 and have:  # Range was ignored: nothing was handed over, begin anew
            await self._storage.delete(path)
            raise TransportFailure("the server sent the whole body where a part was asked for")
        if answer.status not in (200, 206):
            raise DownloadFailed(f"{url} answered HTTP {answer.status}")
        await sink.flush()
        self._check_length(answer, sink.received)

    @staticmethod
    def _check_length(answer: HttpResponse, received: int) -> None:
        # A connection that ends early looks like the end of the body: without this half a package would be verified,
        # and refused as forged.
        announced = answer.headers.get("content-length")
        if announced is not None and int(announced) != received:
            raise TransportFailure(f"{received} bytes came, {announced} were announced")


class _Sink:
    """Collects pieces and appends them to the file in syncs of `KEEP_BYTES`."""

    def __init__(self, storage: Storage, path: str, have: int) -> None:
        self._storage, self._path, self._have = storage, path, have
        self._parts: list[bytes] = []
        self._waiting = 0
        self.received = 0

    async def take(self, part: bytes) -> None:
        self.received += len(part)
        if self._have + self.received > PACKAGE_LIMIT_BYTES:
            raise DownloadFailed(f"the package is longer than {PACKAGE_LIMIT_BYTES} bytes")
        self._parts.append(part)
        self._waiting += len(part)
        # A sync for each piece would take longer than the download, one at the end would lose all of it with the power.
        if self._waiting >= KEEP_BYTES:
            await self.flush()

    async def flush(self) -> None:
        if self._parts:
            await self._storage.append(self._path, b"".join(self._parts))
            self._parts, self._waiting = [], 0
