"""DM messages: the slides' examples as golden texts, and round trips."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.wire.dm import (
    END,
    Command,
    Commands,
    DevInfo,
    DmAcc,
    Initiation,
    ManagementObject,
    MoData,
    Registration,
    Response,
    Status,
    Verb,
    bootstrap_complete,
    decode_client_message,
)
from bench.wire.dm_alert import Alert, AlertType, Mark, OperationComplete
from bench.wire.dm_json import DmError
from bench.wire.dm_scomo import (
    Component,
    DeployedState,
    Inventory,
    ScomoResult,
    download_install_node,
    is_success,
    pkg_url_node,
    result_name,
)
from bench.wire.dm_uri import ClientUri, Moid

SLIDE_DEV_INFO = {
    "DevID": "493005100592800", "Man": "Vendor", "Mod": "model-number", "DmV": "2.0", "Lang": "en",
    "DevType": "headunit", "OEM": "panasonic", "FwV": "firmware0.4", "SwV": "Vendor1.2", "HwV": "",
}  # fmt: skip


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


# Slide "Initialization Session" -----------------------------------------------------------------------


def test_initiation_as_the_slide_prints_it_is_refused_with_the_offset() -> None:
    raw = b'{"MOS": [{"MOID": "urn:oma:mo:oma-dm-devinfo:1.0", "MIID": ["miid1"], {"MOID": "x"}}]}'
    with pytest.raises(DmError, match="body is not JSON at offset 70: "):
        decode_client_message(raw)


def test_initiation_without_start_alert_counts_as_initiated_by_the_client() -> None:
    names = ("oma-dm-devinfo:1.0", "oma-dm-accinfo:1.2", "oma-fumo:1.0", "oma-dm-lawmo:1.0", "oma-dm-scomo:1.1")
    body = {"MOS": [{"MOID": f"urn:oma:mo:{name}", "MIID": ["miid1"]} for name in names]}
    message = decode_client_message(as_bytes(body))
    assert isinstance(message, Initiation)
    assert message.start_alert is AlertType.CLIENT_INITIATED
    order = (Moid.DEVINFO, Moid.DMACC, Moid.FUMO, Moid.LAWMO, Moid.SCOMO)
    assert message.mos == tuple(ManagementObject(moid.value) for moid in order)
    assert len(message.lints) == 4


def test_initiation_is_written_as_a_flat_list_with_its_start_alert() -> None:
    message = Initiation((ManagementObject(Moid.SCOMO.value),), (Alert(alert_type=AlertType.CLIENT_INITIATED.value),))
    assert message.encode() == (
        b'{"Alert":[{"AlertType":"urn:oma:at:dm:2.0:ClientInitiatedMgmt","Mark":"informational"}],'
        b'"MOS":[{"MIID":["miid1"],"MOID":"urn:oma:mo:oma-scomo:1.1"}]}'
    )
    assert Initiation.decode(message.encode()).lints == ()


def test_initiation_with_two_start_alerts_is_refused() -> None:
    alerts = [{"AlertType": AlertType.CLIENT_INITIATED.value}, {"AlertType": AlertType.BOOTSTRAP_COMPLETE.value}]
    with pytest.raises(DmError, match="2 start alerts"):
        Initiation.decode(as_bytes({"Alert": alerts}))


# Slides "Device Info" and "SCOMO" -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "commands", "lints"),
    [
        (b'{"CMD": ["GET", "urn:oma:mo:oma-dm-devinfo:1.0//"]}', (("GET", "urn:oma:mo:oma-dm-devinfo:1.0//"),), 1),
        (b'{"CMD": [["GET", "urn:oma:mo:oma-dm-scomo:1.1//"]]}', (("GET", "urn:oma:mo:oma-dm-scomo:1.1//"),), 0),
        (b'{"CMD": [["END"] ] }', (("END",),), 0),
        (b'{"CMD": [["End"]]}', (("END",),), 1),
    ],
)
def test_commands_of_the_slides_are_read(raw: bytes, commands: tuple[tuple[str, ...]], lints: int) -> None:
    message = Commands.decode(raw)
    assert tuple((command.verb.value, *command.args) for command in message.commands) == commands
    assert len(message.lints) == lints


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"CMD": [[{"END"}]]}', "not JSON at offset 16"),
        (b'{"Responsecode":"401","Description":"Unauthorized"}', "error '401' inside HTTP 200"),
        (b'{"responseCode":503}', "error 503 inside HTTP 200"),
        (b'{"CMD": [["FLY"]]}', r"CMD\[0\] begins with 'FLY'"),
        (b'{"CMD": [[]]}', r"CMD\[0\] is empty"),
        (b'{"CMD": [["GET", 1]]}', r"CMD\[0\]\[1\] is an integer, expected a string"),
        (b'{"CMD": {}}', "CMD is an object, expected a list"),
        (b"{}", "body lacks CMD; it has nothing"),
        (b"[]", "body is a list, expected an object"),
        (b"\xff{}", "body is not UTF-8 at offset 0"),
        (b'{"CMD": [], "CMD": []}', "'CMD' occurs twice"),
        (b'{"CMD": NaN}', "NaN is not a JSON value"),
        (b'{"CMD": ' + b"1" * 5000 + b"}", "number that cannot be read"),
        (b'{"CMD":' + b"[" * 200_000, "nested too deeply"),
        (b'{"CMD": [["GET", "\\ud800"]]}', "half of a surrogate pair"),
    ],
)
def test_commands_that_are_none_are_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(DmError, match=reason):
        Commands.decode(raw)


def test_device_info_answer_of_the_slide_is_read() -> None:
    body = {
        "Status": [{"sc": 200}],
        "ClientURI": "oma:mo:oma-dm-devinfo:1.0//",
        "MOData": {"DevInfo": SLIDE_DEV_INFO},
    }
    message = decode_client_message(as_bytes(body))
    assert isinstance(message, Response)
    assert message.statuses == (Status(200),)
    info = DevInfo.read(message.mo_data[0].data)
    assert (info.dev_id, info.oem, info.hw_v) == ("493005100592800", "panasonic", "")
    assert info.tree() == {"DevInfo": SLIDE_DEV_INFO}
    assert message.lints == ("MOID oma:mo:oma-dm-devinfo:1.0: urn: is missing",)


def test_scomo_answer_of_the_slide_with_client_url_is_read() -> None:
    body = {
        "Status": [{"sc": 200}],
        "ClientURL": "urn:oma:mo:oma-dm-scomo:1.1//",
        "MOData": {"scomo": {"Download": {}, "Inventory": {}}},
    }
    message = Response.decode(as_bytes(body))
    assert message.mo_data[0].client_uri == ClientUri(Moid.SCOMO.value)
    assert "ClientURL: read as ClientURI" in message.lints


def test_response_with_two_answers_lists_them_under_mos() -> None:
    data = (MoData(ClientUri(Moid.DEVINFO.value), {"a": 1}), MoData(ClientUri(Moid.SCOMO.value), {"b": 2}))
    body = json.loads(Response((Status(200), Status(200)), data).encode())
    assert [item["ClientURI"] for item in body["MOS"]] == [f"{Moid.DEVINFO}//", f"{Moid.SCOMO}//"]
    body["Data"] = body.pop("MOS")
    again = Response.decode(as_bytes(body))
    assert again.mo_data == data
    assert again.lints == ("Data: read as MOS",)


# Slides "Software Update" and "FUMO Update" -----------------------------------------------------------


def test_offer_is_written_with_server_uri_first() -> None:
    offer = Commands(
        (
            Command(Verb.HGET, ("https://dm.otabench.test/pkgurl/p1", str(pkg_url_node("p1")))),
            Command(Verb.EXEC, (str(download_install_node("p1")),)),
        )
    )
    assert offer.encode() == (
        b'{"CMD":[["HGET","https://dm.otabench.test/pkgurl/p1","urn:oma:mo:oma-scomo:1.1//Download/p1/PkgURL"],'
        b'["EXEC","urn:oma:mo:oma-scomo:1.1//Download/p1/Operations/DownloadInstall"]]}'
    )
    assert not offer.ends
    assert Commands((END,)).ends


@pytest.mark.parametrize(("code", "state"), [("ResultCode", "State"), ("resultCode", "state")])
def test_update_alert_of_the_slides_is_read_as_success(code: str, state: str) -> None:
    alert = {
        "AlertType": "urn:oma:at:scomo:1.0:OperationComplete",
        "SourceURI": "urn:oma:mo:oma-dm-scomo:1.1//Download/pkg7/Operations/DownloadInstall",
        "Mark": "Information",
        "DataType": "application/json",
        "Data": {code: 200, state: "20"},
    }
    message = decode_client_message(as_bytes({"Alert": [alert]}))
    assert isinstance(message, Initiation)
    report = OperationComplete.of(message.alerts[0])
    assert report == OperationComplete(package_id="pkg7", ecu="", result_code=200, state="20")
    assert is_success(report.result_code)
    assert any("Mark Information" in lint for lint in message.lints)


def test_operation_complete_is_written_as_the_standard_has_it() -> None:
    done = OperationComplete(package_id="p1", ecu="body", result_code=ScomoResult.OK, state="20")
    assert json.loads(Initiation(alerts=(done.alert(),)).encode())["Alert"] == [
        {
            "AlertType": "urn:oma:at:scomo:1.0:OperationComplete",
            "SourceURI": "urn:oma:mo:oma-scomo:1.1//Download/p1/Operations/DownloadInstall",
            "TargetURI": "urn:oma:mo:oma-scomo:1.1//Inventory/Deployed/body",
            "Mark": "informational",
            "DataType": "application/json",
            "Data": {"ResultCode": 1200, "Identifier": "body", "State": "20"},
        }
    ]
    failed = OperationComplete(package_id="p1", ecu="body", result_code=ScomoResult.INSTALL_FAILED)
    assert failed.alert().mark is Mark.CRITICAL


def test_operation_complete_with_integer_state_and_text_code_is_normalised() -> None:
    found = OperationComplete(package_id="p", ecu="e", result_code=1200).alert().json()
    found["Data"] = {"ResultCode": "1407", "State": 10, "Identifier": "e"}
    message = Initiation.decode(as_bytes({"Alert": [found]}))
    assert message.alerts[0].data == {"ResultCode": 1407, "State": "10", "Identifier": "e"}
    assert len(message.lints) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"SourceURI": "urn:oma:mo:oma-fumo:1.0//Update/p"}, "names no package under Download/"),
        ({"Data": {"Identifier": "e"}}, "Data lacks ResultCode"),
        ({"Data": {"Identifier": "other", "ResultCode": 1200}}, "TargetURI says 'e'"),
        ({"Data": {"ResultCode": "soon"}}, "expected an integer"),
        ({"Data": {"ResultCode": True}}, "expected an integer"),
        ({"Data": {"ResultCode": 1200, "resultcode": 1200}}, "two spellings"),
        ({"Data": {"ResultCode": 1200, "State": "done"}}, "expected a decimal string"),
        ({"Mark": "urgent"}, "Mark is 'urgent', expected one of fatal, critical"),
    ],
)
def test_operation_complete_with_a_mistake_is_refused(change: dict[str, Any], reason: str) -> None:
    found = OperationComplete(package_id="p", ecu="e", result_code=1200).alert().json() | change
    with pytest.raises(DmError, match=reason):
        OperationComplete.of(Initiation.decode(as_bytes({"Alert": [found]})).alerts[0])


def test_operation_complete_without_source_is_refused() -> None:
    with pytest.raises(DmError, match="no SourceURI"):
        OperationComplete.of(Alert(alert_type=AlertType.SCOMO_COMPLETE.value, data={"ResultCode": 1200}))


# Slide "Device Registration" --------------------------------------------------------------------------


def test_registration_of_the_slide_is_read() -> None:
    info = SLIDE_DEV_INFO | {"Ext": {"VIN": "493005100591233", "EncryptedVIN": "ABJHABD^UVBJA"}}
    body = {"ClientURI": "oma:mo:oma-dm-devinfo:1.0//", "MOData": {"DevInfo": info}}
    message = decode_client_message(as_bytes(body))
    assert isinstance(message, Registration)
    assert (message.vin, message.encrypted_vin) == ("493005100591233", "ABJHABD^UVBJA")
    assert message.dev_info.dev_type == "headunit"
    again = Registration.decode(message.encode())
    assert again == message
    assert again.lints == ()


def test_registration_answer_of_the_slide_is_read() -> None:
    tree = {"SrvID": "s", "SrvURI": "https://x/dm", "Auth": {"Trsp": {"Data": "pem", "Secret": "sealed"}}}
    found = DmAcc.decode(as_bytes({"ClientURI": "oma:mo:oma-dm-dmacc:1.2//", "MOData": {"DmAcc": tree}}))
    assert found == DmAcc("s", "https://x/dm", "pem", "sealed")
    assert DmAcc.decode(found.encode()).lints == ()


def test_registration_answer_that_hides_an_error_is_refused() -> None:
    with pytest.raises(DmError, match="error '401' inside HTTP 200"):
        DmAcc.decode(b'{"Responsecode":"401","Description":"Unauthorized"}')


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"ClientURI": "urn:oma:mo:oma-scomo:1.1//", "MOData": {}}, "a registration sends"),
        ({"ClientURI": f"{Moid.DEVINFO}//", "MOData": {}}, "MOData lacks DevInfo"),
        ({"ClientURI": f"{Moid.DEVINFO}//", "MOData": {"DevInfo": {"DevID": ""}}}, "DevID is empty"),
        ({"ClientURI": f"{Moid.DEVINFO}//", "MOData": {"DevInfo": {"DevID": "x"}}}, "DevInfo lacks Ext"),
        ({"MOData": {"DevInfo": {}}}, "body lacks ClientURI"),
        ({"x": 1}, "neither MOS nor Alert"),
    ],
)
def test_registration_with_a_mistake_is_refused(body: dict[str, Any], reason: str) -> None:
    with pytest.raises(DmError, match=reason):
        decode_client_message(as_bytes(body))


def test_bootstrap_complete_is_written_as_the_slide_has_it_but_for_the_mark() -> None:
    assert json.loads(bootstrap_complete().encode()) == {
        "Alert": [
            {
                "AlertType": "urn:oma:at:dm:2.0:BootstrapComplete",
                "Mark": "informational",
                "DataType": "application/json",
                "Data": {"ResultCode": 200, "State": ""},
            }
        ]
    }


# Inventory --------------------------------------------------------------------------------------------


def test_inventory_with_a_component_under_a_foreign_name_is_refused() -> None:
    tree = Inventory((Component("body", "BCM-APP", "1.0.0"),)).tree()
    tree["scomo"]["Inventory"]["Deployed"]["body"]["ID"] = "gateway"
    with pytest.raises(DmError, match="Deployed/body/ID is 'gateway'"):
        Inventory.read(tree, [])


def test_inventory_with_an_unknown_state_is_refused() -> None:
    tree = Inventory((Component("body", "BCM-APP", "1.0.0"),)).tree()
    tree["scomo"]["Inventory"]["Deployed"]["body"]["State"] = "30"
    with pytest.raises(DmError, match="State is 30, expected 10 or 20"):
        Inventory.read(tree, [])


def test_result_names_are_words() -> None:
    assert result_name(1407) == "validation failed"
    assert result_name(1499) == "code 1499"


# Round trips ------------------------------------------------------------------------------------------

WORDS = st.text('abcXYZ 0äß€😀\n"\\', max_size=12)
NAMES = st.text("abcXYZ019._-", min_size=1, max_size=8)
URIS = st.builds(ClientUri, st.sampled_from([moid.value for moid in Moid]), st.lists(NAMES, max_size=3).map(tuple))
DATA = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.recursive(st.none() | st.integers() | WORDS, lambda inner: st.lists(inner), max_leaves=4),
)
REPORTS = st.builds(
    OperationComplete,
    package_id=NAMES,
    ecu=NAMES,
    result_code=st.sampled_from(ScomoResult).map(int),
    state=st.sampled_from(["", "10", "20"]),
    version=WORDS,
    text=WORDS,
)
MO_DATA = st.builds(MoData, URIS, DATA)
STATUSES = st.builds(Status, st.integers(100, 1599), st.lists(URIS, max_size=2).map(tuple))


@given(st.lists(REPORTS, max_size=3))
def test_initiation_written_and_read_is_the_same(reports: list[OperationComplete]) -> None:
    start = Alert(alert_type=AlertType.CLIENT_INITIATED.value)
    message = Initiation((ManagementObject(Moid.SCOMO.value),), (start, *(report.alert() for report in reports)))
    again = decode_client_message(message.encode())
    assert again == message
    assert isinstance(again, Initiation)
    assert again.lints == ()
    assert [OperationComplete.of(alert) for alert in again.alerts[1:]] == reports


@given(st.lists(STATUSES, max_size=3).map(tuple), st.lists(MO_DATA, max_size=3).map(tuple))
def test_response_written_and_read_is_the_same(statuses: tuple[Status, ...], data: tuple[MoData, ...]) -> None:
    message = Response(statuses, data)
    assert decode_client_message(message.encode()) == message


@given(st.lists(st.builds(Command, st.sampled_from(Verb), st.lists(WORDS, max_size=2).map(tuple)), max_size=3))
def test_commands_written_and_read_are_the_same(commands: list[Command]) -> None:
    message = Commands(tuple(commands))
    again = Commands.decode(message.encode())
    assert again == message
    assert again.lints == ()


@given(st.builds(DevInfo, dev_id=NAMES, man=WORDS, sw_v=WORDS), WORDS, WORDS)
def test_registration_written_and_read_is_the_same(info: DevInfo, vin: str, sealed: str) -> None:
    message = Registration(info, vin, sealed)
    assert decode_client_message(message.encode()) == message


@given(st.builds(DmAcc, WORDS, WORDS, WORDS, WORDS))
def test_dmacc_written_and_read_is_the_same(account: DmAcc) -> None:
    assert DmAcc.decode(account.encode()) == account


@given(MO_DATA)
def test_hget_document_written_and_read_is_the_same(document: MoData) -> None:
    assert MoData.decode(document.encode()) == document


@given(st.dictionaries(NAMES, st.tuples(WORDS, WORDS, st.sampled_from(DeployedState)), max_size=4))
def test_inventory_written_and_read_is_the_same(ecus: dict[str, tuple[str, str, DeployedState]]) -> None:
    inventory = Inventory(tuple(Component(ecu, *ecus[ecu]) for ecu in sorted(ecus)))
    lint: list[str] = []
    assert Inventory.read(inventory.tree(), lint) == inventory
    assert lint == []


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Status", "MOS", "Alert", "Data", "MOData", "ClientURI", "DevInfo", "sc", "URI", "MOID", "MIID"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_client_message_of_any_json_is_read_or_refused_never_fails_otherwise(value: Any) -> None:
    try:
        message = decode_client_message(as_bytes(value))
    except DmError:
        return
    assert decode_client_message(message.encode()) == message


@given(st.binary(max_size=40))
def test_client_message_of_any_bytes_is_read_or_refused(raw: bytes) -> None:
    with pytest.raises(DmError):
        decode_client_message(raw)
