"""The conversation of device registration, update and report, as a vehicle sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.core.records import SERVER_EVENTS, ServerEvent
from bench.ports.server import Target
from bench.wire.dm import END, Initiation, MoData, Response, Status, Verb, bootstrap_complete
from bench.wire.dm_alert import Alert, AlertType
from bench.wire.dm_scomo import pkg_url_node
from bench.wire.dm_uri import ClientUri, Moid
from dm_server.twin import fold

BASE = "https://dm.otabench.test"
VIN = "ZZZ00TABENCH00001"
OTHER_DEVICE = {"DevInfo": {"DevID": "1"}}


def test_update_from_registration_to_success_is_logged_in_order(bench: Any, ordered: Any) -> None:
    car = ordered
    offer = car.poll()
    assert [(command.verb, command.args) for command in offer.commands] == [
        (Verb.HGET, (f"{BASE}/pkgurl/pkg-2?order=order-1", "urn:oma:mo:oma-scomo:1.1//Download/pkg-2/PkgURL")),
        (Verb.EXEC, ("urn:oma:mo:oma-scomo:1.1//Download/pkg-2/Operations/DownloadInstall",)),
    ]
    document = MoData.decode(car.get("/pkgurl/pkg-2").data)
    assert document == MoData(pkg_url_node("pkg-2"), {"PkgURL": f"{BASE}/packages/pkg-2.zip"})
    assert car.answer().commands == (END,)
    assert car.get("/packages/pkg-2.zip").data == bench.package()
    car.ecus = {"body": "2.0.0", "gateway": "2.0.0"}
    assert car.poll(car.report("body"), car.report("gateway")).ends
    assert bench.kinds() == [
        "vehicle_added", "order_placed", "registered", "bootstrap_complete",
        "session_started", "device_info", "inventory", "order_offered", "order_accepted", "session_ended",
        "session_started", "component_result", "component_result", "order_closed",
        "device_info", "inventory", "session_ended",
    ]  # fmt: skip
    assert bench.last("order_closed") == {"order": "order-1", "status": "success"}
    assert bench.twin().ecus == {"body": "2.0.0", "gateway": "2.0.0"}
    assert bench.order().targets == (Target("body", "2.0.0"), Target("gateway", "2.0.0"))


def test_events_carry_the_data_that_the_records_promise(bench: Any, ordered: Any) -> None:
    ordered.accept()
    ordered.poll(ordered.report("body"), ordered.report("gateway"))
    for event in bench.announced:
        promised = SERVER_EVENTS[event.kind].split(":")[0] if event.kind != "bootstrap_complete" else ""
        assert all(name in promised for name in event.data), event
    result = bench.last("component_result")
    assert result == {
        "order": "order-1", "ecu": "gateway", "result_code": 1200, "version": "2.0.0", "text": "ok",
        "correlated": False,
    }  # fmt: skip


def test_events_are_numbered_timed_and_announced_once_each(bench: Any, ordered: Any) -> None:
    bench.run(bench.loop.sleep_ns(5_000_000))
    ordered.accept()
    log = bench.events()
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
    assert log[-1].t_ns == 5_000_000
    assert log[0].t_ns == 0
    assert [event for event in bench.announced if event.vin == VIN] == log
    assert [event.kind for event in bench.announced if event.vin == ""] == ["package_uploaded"]


def test_twin_is_the_fold_of_every_prefix_of_the_log(bench: Any, ordered: Any) -> None:
    ordered.accept()
    ordered.poll(ordered.report("body", 1407), ordered.report("gateway", 1455))
    log = bench.events()
    assert bench.twin() == fold(VIN, log)
    seen = [fold(VIN, log[:n]) for n in range(len(log) + 1)]
    statuses = [twin.orders[0].status if twin.orders else "" for twin in seen]
    assert list(dict.fromkeys(statuses)) == ["", "open", "offered", "accepted", "refused"]
    assert [twin.registered for twin in seen].index(True) == bench.kinds().index("bootstrap_complete") + 1


def test_same_conversation_twice_gives_the_same_events_and_answers(bench: Any, ordered: Any) -> None:
    first = ordered.register()
    assert first.srv_uri == f"{BASE}/dm"
    assert first.certificate_pem == "PEM"
    second = ordered.register()
    assert second.secret != first.secret
    assert len(second.secret) == len(first.secret)
    assert bench.last("registered") == {"dev_id": "IMEI:490154203237518", "repeated": True}


def test_session_without_an_order_ends_after_the_inventory(bench: Any, car: Any) -> None:
    car.enrol()
    asked = car.open()
    assert [(command.verb, command.args[0]) for command in asked.commands] == [
        (Verb.GET, "urn:oma:mo:oma-dm-devinfo:1.0//"),
        (Verb.GET, "urn:oma:mo:oma-scomo:1.1//"),
    ]
    assert car.send(car.data()).commands == (END,)
    assert bench.kinds()[-4:] == ["session_started", "device_info", "inventory", "session_ended"]
    assert bench.last("session_started") == {"session": "session-1", "alert": AlertType.CLIENT_INITIATED.value}


def test_repeated_bootstrap_complete_is_logged_once_per_registration(bench: Any, car: Any) -> None:
    car.enrol()
    assert car.send(bootstrap_complete()).ends
    assert bench.kinds().count("bootstrap_complete") == 1
    car.enrol()
    assert bench.kinds().count("bootstrap_complete") == 2


def test_failed_bootstrap_is_refused(bench: Any, car: Any) -> None:
    car.register()
    assert car.raw(bootstrap_complete(500).encode()).status_code == 400
    assert not bench.twin().registered


@pytest.mark.parametrize("code", [200, 500])
def test_result_beside_a_bootstrap_complete_counts_whatever_became_of_the_bootstrap(
    bench: Any, ordered: Any, code: int
) -> None:
    ordered.accept()
    ordered.register()
    message = bootstrap_complete(code)
    both = Initiation(message.mos, (*message.alerts, ordered.report("body").alert()))
    assert ordered.raw(both.encode()).status_code == (200 if code == 200 else 400)
    assert bench.last("component_result")["ecu"] == "body"
    assert bench.kinds().count("bootstrap_complete") == (2 if code == 200 else 1)


def test_session_before_bootstrap_complete_is_served_with_the_new_token(bench: Any, car: Any) -> None:
    car.register()
    assert car.poll().ends


@pytest.mark.parametrize("versions", [("2.0.0", "2.0.0"), ("2.0.0", "2.0.0-extra")])
def test_order_is_offered_only_while_the_inventory_differs(bench: Any, ordered: Any, versions: tuple[str, str]) -> None:
    ordered.ecus = dict(zip(("body", "gateway"), versions, strict=True))
    assert ordered.poll().ends == (versions[0] == versions[1])
    assert bench.order().status == ("success" if versions[0] == versions[1] else "offered")


def test_offer_that_was_never_answered_is_made_again(bench: Any, ordered: Any) -> None:
    ordered.poll()
    assert not ordered.poll().ends
    ordered.answer()
    assert bench.kinds().count("order_offered") == 2
    assert bench.order().status == "accepted"


def test_accepted_order_is_not_offered_again(bench: Any, ordered: Any) -> None:
    ordered.accept()
    assert ordered.poll().ends
    assert bench.order().status == "accepted"


def test_inventory_at_the_target_does_not_close_an_order(bench: Any, ordered: Any) -> None:
    ordered.accept()
    ordered.ecus = {"body": "2.0.0", "gateway": "2.0.0"}
    assert ordered.poll().ends
    assert bench.order().status == "accepted"


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        ((1200, 1200), "success"),
        ((200, 1250), "success"),
        ((1407, 1407), "refused"),
        ((1407, 1455), "refused"),
        ((1200, 1405), "failed"),
        ((1402, 1402), "failed"),
        ((1200, 1407), "failed"),
    ],
)
def test_order_closes_as_its_results_say(bench: Any, ordered: Any, codes: tuple[int, int], status: str) -> None:
    ordered.accept()
    ordered.poll(ordered.report("body", codes[0]), ordered.report("gateway", codes[1]))
    assert bench.order().status == status
    assert bench.kinds().count("order_closed") == 1


def test_order_closes_only_with_the_last_result(bench: Any, ordered: Any) -> None:
    ordered.accept()
    ordered.poll(ordered.report("body"))
    assert bench.order().status == "accepted"
    ordered.poll(ordered.report("gateway"))
    assert bench.order().status == "success"


def test_repeated_report_is_recognised_and_changes_nothing(bench: Any, ordered: Any) -> None:
    ordered.accept()
    reports = (ordered.report("body"), ordered.report("gateway"))
    ordered.poll(*reports)
    assert ordered.poll(*reports).ends
    kinds = bench.kinds()
    assert (kinds.count("component_result"), kinds.count("order_closed"), kinds.count("message_refused")) == (2, 1, 0)


def test_repeated_report_within_one_message_counts_once(bench: Any, ordered: Any) -> None:
    ordered.accept()
    ordered.poll(ordered.report("body"), ordered.report("body"))
    assert bench.kinds().count("component_result") == 1


def test_contradicting_report_is_logged_and_changes_nothing(bench: Any, ordered: Any) -> None:
    ordered.accept()
    ordered.poll(ordered.report("body"), ordered.report("gateway"))
    assert ordered.poll(ordered.report("body", 1405)).ends
    reason = "body reported 1200 for order-1, now 1405"
    assert bench.last("message_refused") == {"status": 409, "count": 1, "reason": reason}
    assert bench.order().status == "success"


def test_report_after_a_lost_202_counts(bench: Any, ordered: Any) -> None:
    ordered.poll()
    ordered.poll(ordered.report("body"), ordered.report("gateway"))
    assert "order_accepted" not in bench.kinds()
    assert bench.order().status == "success"


@pytest.mark.parametrize("report", [("body", "pkg-2"), ("body", "pkg-9"), ("radio", "pkg-2"), ("", "pkg-2")])
def test_report_that_fits_no_order_is_logged_and_the_session_goes_on(
    bench: Any, ordered: Any, report: tuple[str, str]
) -> None:
    assert ordered.poll(ordered.report(report[0], 1200, report[1])).ends
    assert not ordered.poll().ends
    assert bench.last("message_refused")["status"] == 404
    assert "component_result" not in bench.kinds()


def test_report_may_name_its_version_and_say_more(bench: Any, ordered: Any) -> None:
    ordered.accept()
    ordered.poll(ordered.report("body", 1405, version="1.0.0", text="erase failed"))
    assert bench.last("component_result")["version"] == "1.0.0"
    assert bench.last("component_result")["text"] == "erase failed"
    ordered.poll(ordered.report("gateway", 1405))
    assert bench.last("component_result")["version"] == ""
    assert bench.last("component_result")["text"] == "install failed"


@pytest.mark.parametrize("busy", [405, 417, 503])
def test_vehicle_that_is_busy_is_offered_the_order_again(bench: Any, ordered: Any, busy: int) -> None:
    ordered.poll()
    assert ordered.answer(200, busy).ends
    assert bench.kinds()[-2:] == ["order_refused_by_vehicle", "session_ended"]
    assert bench.order().status == "offered"
    ordered.accept()
    assert bench.order().status == "accepted"


@pytest.mark.parametrize("final", [400, 403, 404, 406, 500])
def test_refused_exec_closes_the_order(bench: Any, ordered: Any, final: int) -> None:
    ordered.poll()
    assert ordered.answer(200, final).ends
    assert bench.kinds()[-3:] == ["order_refused_by_vehicle", "order_closed", "session_ended"]
    assert bench.order().status == "refused"
    assert ordered.poll().ends


def test_failed_hget_leaves_the_order_on_offer(bench: Any, ordered: Any) -> None:
    ordered.poll()
    assert ordered.answer(404, 404).ends
    assert bench.last("order_refused_by_vehicle") == {"order": "order-1", "sc": 404}
    assert not ordered.poll().ends


def test_synchronous_result_in_sc_counts_for_every_component(bench: Any, ordered: Any) -> None:
    ordered.poll()
    ordered.answer(200, 1405)
    assert bench.kinds().count("component_result") == 2
    assert bench.order().status == "failed"


def test_result_in_package_3_counts(bench: Any, ordered: Any) -> None:
    ordered.accept()
    ordered.open()
    answer = ordered.data()
    alerts = (ordered.report("body").alert(), ordered.report("gateway").alert())
    assert ordered.send(Response(answer.statuses, answer.mo_data, alerts)).ends
    assert bench.order().status == "success"


@pytest.mark.parametrize("statuses", [(404, 404), (200, 405), (200, 403)])
def test_result_counts_beside_statuses_that_contradict_it(bench: Any, ordered: Any, statuses: tuple[int, int]) -> None:
    ordered.poll()
    sent = tuple(Status(sc) for sc in statuses)
    assert ordered.send(Response(sent, (), (ordered.report("body").alert(),))).ends
    assert bench.last("component_result")["ecu"] == "body"
    assert "is accepted: its results count, the statuses" in bench.last("message_refused")["reason"]
    assert ordered.poll(ordered.report("gateway")).ends
    assert bench.order().status == "success"


RESULT_BESIDE = {
    "too few statuses": lambda car, alert: Response((Status(200),), (), (alert,)).encode(),
    "no data": lambda car, alert: Response((Status(200), Status(200)), (), (alert,)).encode(),
    "a start alert": lambda car, alert: Response(
        (Status(404), Status(404)), (), (alert, Alert(alert_type=AlertType.CLIENT_INITIATED.value))
    ).encode(),
    "another device": lambda car, alert: Response(
        (Status(200), Status(404)), (MoData(ClientUri(Moid.DEVINFO.value), OTHER_DEVICE),), (alert,)
    ).encode(),
    "an alert without a package": lambda car, alert: Response(
        car.data().statuses,
        car.data().mo_data,
        (Alert(alert_type=AlertType.SCOMO_COMPLETE.value, data={"ResultCode": 1200}), alert),
    ).encode(),
    "an unreadable alert": lambda car, alert: Response((Status(404), Status(404)), (), (alert,)).encode().replace(
        b'"Alert":[', b'"Alert":[{"AlertType":"x","Mark":"nonsense"},'
    ),
    "an unreadable status": lambda car, alert: Response((Status(200), Status(200)), (), (alert,)).encode().replace(
        b'"sc":200', b'"sc":"good"'
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", list(RESULT_BESIDE))
def test_result_beside_something_wrong_is_kept_although_the_message_is_refused(
    bench: Any, ordered: Any, mistake: str
) -> None:
    ordered.accept()
    ordered.open()
    body = RESULT_BESIDE[mistake](ordered, ordered.report("body").alert())
    for _ in range(2):
        assert ordered.raw(body).status_code in (400, 403)
    assert bench.kinds().count("component_result") == 1
    assert bench.last("component_result")["ecu"] == "body"
    assert bench.kinds()[-1] == "message_refused"
    ordered.poll(ordered.report("gateway"))
    assert bench.order().status == "success"


def test_result_after_the_session_ended_is_kept_although_the_message_is_refused(bench: Any, ordered: Any) -> None:
    ordered.accept()
    message = Response((Status(404), Status(404)), (), (ordered.report("body").alert(),))
    assert ordered.raw(message.encode()).status_code == 409
    assert bench.last("component_result")["ecu"] == "body"


def test_result_beside_an_unreadable_opening_is_kept(bench: Any, ordered: Any) -> None:
    ordered.accept()
    opening = Initiation((), (ordered.report("body").alert(),)).encode()
    assert ordered.raw(opening.replace(b"{", b'{"MOS":[7],', 1)).status_code == 400
    assert bench.last("component_result")["ecu"] == "body"
    assert bench.kinds().count("session_started") == 1


def test_package_3_sent_twice_gets_the_same_answer_and_counts_once(bench: Any, ordered: Any) -> None:
    ordered.open()
    offer = ordered.send(ordered.data())
    kinds = bench.kinds()
    assert ordered.send(ordered.data()) == offer
    assert bench.kinds() == kinds
    assert ordered.answer() == ordered.answer()
    assert bench.kinds().count("order_accepted") == 1


def test_orders_are_offered_one_after_the_other(bench: Any, ordered: Any, order: Callable[..., str]) -> None:
    assert order("pkg-3", "3.0.0", ("body",)) == "order-2"
    assert "pkg-2" in ordered.poll().commands[0].args[0]
    ordered.answer()
    ordered.ecus = {"body": "2.0.0", "gateway": "2.0.0"}
    assert ordered.poll(ordered.report("body"), ordered.report("gateway")).ends, "the vehicle is still reporting"
    assert "pkg-3" in ordered.poll().commands[0].args[0]


def test_nothing_is_offered_in_the_session_of_a_report_in_package_3(
    bench: Any, ordered: Any, order: Callable[..., str]
) -> None:
    order("pkg-3", "3.0.0", ("body",))
    ordered.accept()
    ordered.open()
    alerts = (ordered.report("body").alert(), ordered.report("gateway").alert())
    assert ordered.send(Response(ordered.data().statuses, ordered.data().mo_data, alerts)).ends
    assert "pkg-3" in ordered.poll().commands[0].args[0]


def end_first(car: Any, how: str) -> None:
    """Bring the first order, pkg-2, to one of its ends."""
    codes = {"success": (1200, 1200), "failed": (1405, 1200), "refused": (1407, 1455)}
    if how in codes:
        car.accept()
        reports = [car.report(ecu, code) for ecu, code in zip(("body", "gateway"), codes[how], strict=True)]
        car.poll(*reports)
        car.poll(*reports)  # the answer to the first report was lost
    elif how == "refused by the vehicle":
        car.poll()
        car.answer(200, 403)
    else:
        car.ecus = {"body": "2.0.0", "gateway": "2.0.0"}  # it held the target all along


ENDS = ["success", "failed", "refused", "refused by the vehicle", "held"]


@pytest.mark.parametrize("how", ENDS)
def test_two_more_orders_arrive_whatever_ended_the_first(
    bench: Any, ordered: Any, order: Callable[..., str], how: str
) -> None:
    order("pkg-3", "3.0.0", ("body",))
    order("pkg-4", "4.0.0", ("body", "gateway"))
    end_first(ordered, how)
    assert "pkg-3" in ordered.poll().commands[0].args[0]
    ordered.answer(200, 405)
    ordered.accept()
    ordered.poll(ordered.report("body", package_id="pkg-3"))
    ordered.accept()
    ordered.poll(*(ordered.report(ecu, package_id="pkg-4") for ecu in ("body", "gateway")))
    first = "success" if how == "held" else how.split(" ")[0]
    assert [view.status for view in bench.twin().orders] == [first, "success", "success"]
    assert bench.kinds().count("order_closed") == 3


def test_order_on_offer_that_the_inventory_meets_by_now_is_offered_again(bench: Any, ordered: Any) -> None:
    ordered.poll()
    ordered.answer(404, 404)
    ordered.ecus = {"body": "2.0.0", "gateway": "2.0.0"}
    assert not ordered.poll().ends, "it would be neither offered nor closed, and block what waits behind it"


def test_report_for_a_package_ordered_twice_counts_for_the_order_at_work(
    bench: Any, ordered: Any, order: Callable[..., str]
) -> None:
    ordered.accept()
    ordered.poll(ordered.report("body", 1405), ordered.report("gateway", 1405))
    order()
    for _ in range(2):
        ordered.poll(ordered.report("body", 1405), ordered.report("gateway", 1405))
        ordered.poll()
    assert [view.status for view in bench.twin().orders] == ["failed", "offered"]
    ordered.answer()
    ordered.poll(ordered.report("body"), ordered.report("gateway"))
    assert [view.status for view in bench.twin().orders] == ["failed", "success"]
    assert bench.last("component_result")["correlated"] is False


@pytest.mark.parametrize("correlator", [True, False])
def test_old_result_never_closes_a_new_order_of_the_same_package(
    bench: Any, ordered: Any, order: Callable[..., str], correlator: bool
) -> None:
    """The new order is on offer, and the vehicle still repeats what it said of the first one."""
    ordered.accept()
    more = {"correlator": "order-1"} if correlator else {}
    old = [ordered.report(ecu, 1405, **more) for ecu in ("body", "gateway")]
    ordered.poll(*old)
    order()
    for _ in range(3):
        ordered.poll(*old)
        ordered.poll()
    assert [view.status for view in bench.twin().orders] == ["failed", "offered"]
    ordered.accept()
    if correlator:
        ordered.poll(*old)
        assert [view.status for view in bench.twin().orders] == ["failed", "accepted"]
    ordered.poll(*(ordered.report(ecu, **({"correlator": "order-2"} if correlator else {})) for ecu in ordered.ecus))
    assert [view.status for view in bench.twin().orders] == ["failed", "success"]
    assert bench.last("component_result")["correlated"] is correlator
    assert "message_refused" not in bench.kinds()


@pytest.mark.parametrize("correlator", ["order-9", "order-2", "order-1x"])
def test_result_for_an_order_that_was_never_offered_changes_nothing(
    bench: Any, ordered: Any, order: Callable[..., str], correlator: str
) -> None:
    order("pkg-3", "3.0.0", ("body",))
    ordered.accept()
    ordered.poll(ordered.report("body", correlator=correlator))
    ordered.poll(ordered.report("body", package_id="pkg-3", correlator="order-2"))
    assert bench.kinds().count("message_refused") == 2
    assert [view.status for view in bench.twin().orders] == ["accepted", "open"]


def test_correlator_stands_beside_the_package_url_and_comes_back_with_the_result(bench: Any, ordered: Any) -> None:
    offer = ordered.poll()
    hget = offer.commands[0].args[0]
    assert hget == f"{BASE}/pkgurl/pkg-2?order=order-1"
    document = MoData.decode(ordered.get(hget.removeprefix(BASE)).data)
    assert document.data == {"PkgURL": f"{BASE}/packages/pkg-2.zip", "Correlator": "order-1"}
    ordered.answer()
    ordered.poll(*(ordered.report(ecu, correlator=document.data["Correlator"]) for ecu in ordered.ecus))
    assert bench.order().status == "success"
    assert bench.last("component_result")["correlated"] is True


def test_document_names_no_order_of_another_package_or_vehicle(ordered: Any) -> None:
    for query in ("?order=order-9", "?order="):
        assert ordered.get(f"/pkgurl/pkg-2{query}").status_code == 404


def test_result_for_the_whole_package_counts_for_every_component_without_one(bench: Any, ordered: Any) -> None:
    ordered.accept()
    ordered.poll(ordered.report("body", 1200), ordered.report("", 1405, text="the package is gone"))
    results = [(e.data["ecu"], e.data["result_code"]) for e in bench.events() if e.kind == "component_result"]
    assert results == [("body", 1200), ("gateway", 1405)]
    assert bench.order().status == "failed"
    ordered.poll(ordered.report("body", 1200), ordered.report("", 1405, text="the package is gone"))
    assert bench.kinds().count("component_result") == 2
    assert "message_refused" not in bench.kinds()


def test_vehicle_that_cannot_give_its_inventory_gets_no_offer(bench: Any, ordered: Any) -> None:
    ordered.open()
    assert ordered.send(Response((Status(404), Status(404)))).ends
    assert "inventory" not in bench.kinds()


def test_new_session_drops_the_one_before(bench: Any, ordered: Any) -> None:
    ordered.poll()
    ordered.open()
    assert bench.last("session_started")["session"] == "session-2"
    assert bench.kinds().count("session_ended") == 0


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (Response((Status(200),)), 400),
        (Response((Status(200), Status(200))), 400),
        (Response((Status(404), Status(200)), (MoData(ClientUri(Moid.SCOMO.value), {"scomo": {}}),)), 400),
        (
            Response((Status(200), Status(404)), (MoData(ClientUri(Moid.DEVINFO.value), {"DevInfo": {"DevID": "1"}}),)),
            403,
        ),
        (Response((Status(404), Status(404)), (), (Alert(alert_type=AlertType.CLIENT_INITIATED.value),)), 400),
    ],
)
def test_package_3_that_does_not_fit_is_refused_and_logged(
    bench: Any, ordered: Any, message: Response, status: int
) -> None:
    ordered.open()
    before = bench.kinds()
    assert ordered.raw(message.encode()).status_code == status
    assert bench.kinds() == [*before, "message_refused"]
    assert not ordered.send(ordered.data()).ends


@pytest.mark.parametrize("ended", [True, False])
def test_package_3_without_a_session_is_refused(bench: Any, car: Any, ended: bool) -> None:
    car.enrol()
    if ended:
        car.poll()
    answer = car.raw(Response((Status(200), Status(202))).encode())
    assert answer.status_code == 409
    assert "package #1 is due" in answer.json["Description"]


def test_unknown_alert_is_logged_and_the_session_goes_on(bench: Any, ordered: Any) -> None:
    start = Alert(alert_type=AlertType.CLIENT_INITIATED.value)
    strange = Alert(alert_type="urn:oma:at:lawmo:1.0:OperationComplete", data={"ResultCode": 1200})
    assert len(ordered.send(Initiation((), (start, strange))).commands) == 2
    assert bench.last("message_refused")["status"] == 404


def test_alert_without_a_package_is_refused_whole(bench: Any, ordered: Any) -> None:
    broken = Alert(alert_type=AlertType.SCOMO_COMPLETE.value, data={"ResultCode": 1200})
    before = bench.kinds()
    assert ordered.raw(Initiation((), (broken,)).encode()).status_code == 400
    assert bench.kinds() == [*before, "message_refused"]


def test_orders_in_the_store_are_the_fold_of_the_log(bench: Any, ordered: Any) -> None:
    ordered.accept()
    ordered.poll(ordered.report("body", 1405))
    events: list[ServerEvent] = bench.events()
    ordered.poll(ordered.report("gateway", 1405))
    assert fold(VIN, events).orders[0].status == "accepted"
    assert bench.order().status == "failed"


@pytest.mark.parametrize("bench", ["file"], indirect=True)
def test_server_that_restarts_in_the_middle_goes_on_from_its_file(bench: Any, ordered: Any) -> None:
    ordered.poll()
    bench.restart()
    assert ordered.answer().ends
    bench.restart()
    ordered.poll(ordered.report("body"), ordered.report("gateway"))
    assert bench.order().status == "success"
