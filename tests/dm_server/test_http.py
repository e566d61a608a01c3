"""What the server refuses before it listens, and how it hands out packages."""

from __future__ import annotations

import gzip
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from bench.wire.dm import INITIATION_TYPE, bootstrap_complete
from dm_server.ranges import Span, Unsatisfiable, read_range

DEV_ID = "IMEI:490154203237518"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Content_Type": "application/json"}, 415),
        ({"Content_Type": None}, 415),
        ({"Accept": "text/html"}, 406),
        ({"OMADM_DevID": None}, 400),
        ({"VIN": None}, 400),
        ({"Token": None}, 401),
        ({"Token": "wrong"}, 401),
        ({"OMADM_DevID": "IMEI:1"}, 401),
        ({"VIN": "ZZZ00TABENCH00002"}, 401),
        ({"Authorization": "Bearer other"}, 400),
    ],
)
def test_request_with_a_wrong_header_is_refused_in_json(
    bench: Any, car: Any, changed: dict[str, str | None], status: int
) -> None:
    answer = car.raw(car.registration(), **changed)
    assert answer.status_code == status
    assert answer.mimetype == "application/json"
    assert answer.json["Responsecode"] == str(status)
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    proven = status in (415, 406)
    log = bench.events() if changed.get("OMADM_DevID", DEV_ID) == DEV_ID else bench.events("")
    assert log[-1].kind == ("message_refused" if proven else "stranger_refused")
    assert log[-1].data["status"] == status


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"Accept": "*/*"},
        {"Accept": None},
        {"Content_Type": f"{INITIATION_TYPE}; charset=utf-8"},
        {"OMADM_DevID": "490154203237518"},
        {"Token": None, "Authorization": "Bearer factory-token-1"},
        {"Authorization": "Bearer factory-token-1"},
    ],
)
def test_request_with_a_tolerable_header_is_answered(car: Any, changed: dict[str, str | None]) -> None:
    assert car.raw(car.registration(), **changed).status_code == 200


def test_body_over_the_limit_is_refused(bench: Any, car: Any) -> None:
    assert car.raw(bytes(1024 * 1024)).status_code == 400
    answer = car.raw(bytes(1024 * 1024 + 1))
    assert answer.status_code == 413
    assert bench.last("message_refused")["status"] == 413


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON at offset 0"),
        (b'{"MOS": [', "not JSON at offset"),
        (gzip.compress(b"{}", mtime=0), "not UTF-8"),
        (b"{}", "neither MOS nor Alert"),
        (b'{"Alert":' * 50_000, "not JSON|nested too deeply"),
    ],
)
def test_body_that_is_no_message_is_refused_with_the_reason(bench: Any, car: Any, body: bytes, reason: str) -> None:
    answer = car.raw(body)
    assert answer.status_code == 400
    with pytest.raises(ValueError, match=reason):
        raise ValueError(answer.json["Description"])
    assert bench.last("message_refused")["reason"] == answer.json["Description"]


def test_reason_of_a_refusal_is_short(bench: Any, car: Any) -> None:
    answer = car.raw(b'{"Alert":[{"AlertType":"x","Mark":"' + b"y" * 10_000 + b'"}]}')
    assert answer.status_code == 400
    assert len(bench.last("message_refused")["reason"]) == 300


def refusals(bench: Any) -> list[tuple[int, int]]:
    """Return (status, count) of every refusal that the vehicle's log has."""
    return [(e.data["status"], e.data.get("count", 1)) for e in bench.events() if e.kind == "message_refused"]


def test_proven_vehicle_that_repeats_what_is_refused_does_not_fill_the_store(bench: Any, car: Any) -> None:
    for _ in range(100):
        assert car.raw(b"{}").status_code == 400
    assert refusals(bench) == [(400, 1), (400, 2), (400, 4), (400, 8), (400, 16), (400, 32), (400, 64)]
    assert car.raw(b"{}", Content_Type="text/plain").status_code == 415
    assert refusals(bench)[-1] == (415, 1)


def test_results_that_fit_no_order_do_not_fill_the_store_however_often_they_come(bench: Any, car: Any) -> None:
    car.enrol()
    for _ in range(100):
        car.open(car.report("body", package_id="pkg-9"))
    assert refusals(bench) == [(404, 1), (404, 2), (404, 4), (404, 8), (404, 16), (404, 32), (404, 64)]


@pytest.mark.parametrize(
    "peer",
    [
        {"SSL_CLIENT_CERT": "PEM", "SSL_CLIENT_S_DN_CN": "IMEI:999"},
        {"SSL_CLIENT_S_DN_CN": "IMEI:999"},
        {"SSL_CLIENT_CERT": "PEM"},
        {},
    ],
)
def test_request_without_the_certificate_of_its_device_is_refused(bench: Any, car: Any, peer: dict[str, str]) -> None:
    car.peer = peer
    assert car.raw(car.registration()).status_code == 403
    assert car.get("/pkgurl/pkg-2").status_code == 403
    assert car.get("/packages/pkg-2.zip").status_code == 403
    assert "certificate" in bench.last("stranger_refused")["reason"]
    assert "registered" not in bench.kinds()


STRANGERS: list[dict[str, Any]] = [
    {"OMADM_DevID": "IMEI:1"},
    {"VIN": "ZZZ00TABENCH00002"},
    {"Token": "wrong"},
    {"Token": None},
]


def test_strangers_get_one_answer_whatever_they_guessed_right(ordered: Any) -> None:
    """Whoever asks must not learn which devices, VINs or tokens there are."""
    answers = []
    for changed in STRANGERS:
        answer = ordered.raw(ordered.registration(), **changed)
        answers.append((answer.status, dict(answer.headers), answer.data))
    assert answers == [answers[0]] * len(STRANGERS)
    assert answers[0][0].startswith("401")


@pytest.mark.parametrize("path", ["/pkgurl/pkg-2", "/packages/pkg-2.zip", "/packages/pkg-9.zip"])
def test_strangers_get_one_answer_for_packages_too(ordered: Any, path: str) -> None:
    answers = []
    for changed in STRANGERS[:3]:
        answer = ordered.get(path, **changed)
        answers.append((answer.status, dict(answer.headers), answer.data))
    assert answers == [answers[0]] * 3


@pytest.mark.parametrize("changed", [*STRANGERS, {"OMADM_DevID": "IMEI:1", "VIN": "V" * 17}])
def test_requests_of_strangers_leave_few_entries_however_many_there_are(
    bench: Any, car: Any, changed: dict[str, str | None]
) -> None:
    before = len(bench.events()) + len(bench.events(""))
    for _ in range(100):
        car.raw(b"{", **changed)
    log = bench.events() + bench.events("")
    assert len(log) - before == 7
    counts = [event.data["count"] for event in log if event.kind == "stranger_refused"]
    assert counts == [1, 2, 4, 8, 16, 32, 64]


def test_strangers_do_not_spoil_what_the_vehicle_itself_logs(bench: Any, ordered: Any) -> None:
    for n in range(50):
        ordered.raw(b"{", OMADM_DevID=f"IMEI:{n}")
    ordered.raw(b"{")
    assert bench.kinds()[-1] == "message_refused"
    assert len(bench.events("")) == 1 + 6, "one counter for all devices that nobody knows"


def test_certificate_of_the_device_is_accepted(car: Any) -> None:
    car.peer = {"SSL_CLIENT_CERT": "PEM", "SSL_CLIENT_S_DN_CN": DEV_ID}
    assert car.raw(car.registration()).status_code == 200


@pytest.mark.parametrize(
    "change", [{"vin": "ZZZ00TABENCH00002"}, {"sealed": "ZZZ00TABENCH00002"}, {"dev_id": "IMEI:1"}]
)
def test_registration_whose_body_names_another_vehicle_is_refused(bench: Any, car: Any, change: dict[str, str]) -> None:
    assert car.raw(car.registration(**change)).status_code == 403
    assert "registered" not in bench.kinds()


def test_registration_with_a_vin_sealed_for_somebody_else_is_refused(car: Any) -> None:
    body = car.registration().replace(b'"EncryptedVIN":"', b'"EncryptedVIN":"AAAA')
    assert car.raw(body).status_code == 403


def test_factory_token_is_refused_for_all_but_registration(car: Any) -> None:
    car.enrol()
    answer = car.raw(bootstrap_complete().encode(), Token="factory-token-1")
    assert answer.status_code == 401
    assert "a registration is due" in answer.json["Description"]


def test_session_token_is_refused_for_registration(car: Any) -> None:
    car.enrol()
    assert car.raw(car.registration()).status_code == 401


@pytest.mark.parametrize("bench", ["file"], indirect=True)
def test_server_that_restarts_never_issues_a_revoked_token_again(bench: Any, car: Any) -> None:
    """In simulation too, where the restarted server draws from the same seed."""
    car.enrol()
    tokens, seals = [car.token], [car.secret_texts[-1][:60]]
    for _ in range(3):
        bench.restart()
        car.enrol()
        tokens.append(car.token)
        seals.append(car.secret_texts[-1][:60])
    assert len(set(tokens)) == len(tokens)
    assert len(set(seals)) == len(seals), "an ephemeral key or nonce used twice breaks both texts"


def test_new_registration_voids_the_token_before(car: Any) -> None:
    car.enrol()
    old = car.token
    car.enrol()
    assert car.token != old
    assert car.raw(bootstrap_complete().encode(), Token=old).status_code == 401


def test_secrets_are_neither_logged_nor_kept_in_the_event_log(
    bench: Any, ordered: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ordered.raw(b"{", Token="factory-token-1")
    ordered.raw(b'{"MOS":[{"MOID":"oma:mo:x:1.0","MIID":[]}]}')
    assert "tolerated vin=ZZZ00TABENCH00001" in caplog.text
    everything = caplog.text + str(bench.events())
    for secret in (*ordered.secret_texts, "factory-token-1", "EncryptedVIN"):
        assert secret not in everything


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/dm", 405), ("POST", "/nothing", 404), ("GET", "/", 404)]
)
def test_unknown_path_or_method_is_refused_in_json(bench: Any, method: str, path: str, status: int) -> None:
    answer = Client(bench.ports.wsgi_app).open(path, method=method)
    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["Responsecode"] == str(status)


# Packages ---------------------------------------------------------------------------------------------


def test_package_is_handed_out_whole_with_its_etag(bench: Any, ordered: Any) -> None:
    answer = ordered.get("/packages/pkg-2.zip")
    assert (answer.status_code, answer.data) == (200, bench.package())
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.content_type == "application/zip"
    assert answer.headers["ETag"] == f'"{bench.events("")[0].data["sha256"]}"'
    assert "Date" not in answer.headers


@pytest.mark.parametrize(
    ("wanted", "first", "last"), [("bytes=0-0", 0, 0), ("bytes=100-", 100, None), ("bytes=-7", -7, None)]
)
def test_package_range_is_handed_out(bench: Any, ordered: Any, wanted: str, first: int, last: int | None) -> None:
    whole = bench.package()
    answer = ordered.get("/packages/pkg-2.zip", Range=wanted)
    expected = whole[first:] if last is None else whole[first : last + 1]
    assert (answer.status_code, answer.data) == (206, expected)
    start = first % len(whole)
    assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{len(whole)}"


def test_package_range_beyond_the_end_is_refused(bench: Any, ordered: Any) -> None:
    size_bytes = len(bench.package())
    answer = ordered.get("/packages/pkg-2.zip", Range=f"bytes={size_bytes}-")
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{size_bytes}"
    assert bench.last("message_refused")["status"] == 416


def test_package_range_of_another_version_gets_the_whole_package(bench: Any, ordered: Any) -> None:
    etag = ordered.get("/packages/pkg-2.zip").headers["ETag"]
    assert ordered.get("/packages/pkg-2.zip", Range="bytes=5-", If_Range=etag).status_code == 206
    assert ordered.get("/packages/pkg-2.zip", Range="bytes=5-", If_Range='"old"').status_code == 200


@pytest.mark.parametrize("path", ["/pkgurl/pkg-9", "/packages/pkg-9.zip", "/packages/pkg-2"])
def test_package_that_does_not_exist_is_not_found(ordered: Any, path: str) -> None:
    assert ordered.get(path).status_code == 404


def test_package_that_is_not_ordered_for_the_vehicle_is_not_found(bench: Any, car: Any) -> None:
    car.enrol()
    bench.run(bench.ports.admin.upload_package(bench.package()))
    assert car.get("/packages/pkg-2.zip").status_code == 404


@pytest.mark.parametrize("token", ["factory-token-1", "wrong", ""])
def test_package_is_not_handed_out_without_the_session_token(ordered: Any, token: str) -> None:
    assert ordered.get("/packages/pkg-2.zip", Token=token).status_code == 401
    assert ordered.get("/pkgurl/pkg-2", Token=token).status_code == 401


# Ranges -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("bytes=0-99", Span(0, 99)),
        ("bytes=0-1000", Span(0, 99)),
        ("bytes=99-", Span(99, 99)),
        ("bytes=-1000", Span(0, 99)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=x-", None),
    ],
)
def test_range_header_is_read(header: str | None, span: Span | None) -> None:
    assert read_range(header, 100) == span


@pytest.mark.parametrize(
    ("header", "size_bytes"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)]
)
def test_range_without_any_byte_is_unsatisfiable(header: str, size_bytes: int) -> None:
    with pytest.raises(Unsatisfiable):
        read_range(header, size_bytes)


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_range_within_the_document_is_what_slicing_gives(size_bytes: int, first: int, last: int) -> None:
    document = bytes(range(size_bytes))
    if first >= size_bytes:
        return
    span = read_range(f"bytes={first}-{last}", size_bytes)
    if last < first:
        assert span is None
    else:
        assert span is not None
        assert document[span.first : span.last + 1] == document[first : last + 1]
        assert span.length == len(document[first : last + 1])
