from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.wire.dm_json import DmError
from bench.wire.dm_uri import ClientUri, Moid

NODE = st.text("abcXYZ019._-", min_size=1, max_size=12).filter(
    lambda node: node not in ("Operation", "DownloadInstallation")
)
URIS = st.builds(
    ClientUri,
    st.sampled_from([moid.value for moid in Moid]),
    st.lists(NODE, max_size=4).map(tuple),
    st.text("abc(*)1", max_size=5),
    st.sampled_from(["", "nv=(x)/ID:7", "cv=12"]),
)


@given(URIS)
def test_client_uri_written_and_read_is_the_same(uri: ClientUri) -> None:
    lint: list[str] = []
    assert ClientUri.read(str(uri), lint) == uri
    assert lint == []


def test_client_uri_of_a_root_ends_in_two_slashes() -> None:
    assert str(ClientUri(Moid.DEVINFO.value)) == "urn:oma:mo:oma-dm-devinfo:1.0//"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("oma:mo:oma-dm-devinfo:1.0//", "urn:oma:mo:oma-dm-devinfo:1.0//"),
        ("urn:oma:mo:oma-dm-devinfo:1.2//", "urn:oma:mo:oma-dm-devinfo:1.0//"),
        ("urn:oma:mo:oma-dm-scomo:1.1//", "urn:oma:mo:oma-scomo:1.1//"),
        ("urn:oma:mo:oma-scomo:1.0//Inventory", "urn:oma:mo:oma-scomo:1.1//Inventory"),
        ("urn:oma:mo:oma-dm-fumo:1.0://", "urn:oma:mo:oma-fumo:1.0//"),
        ("urn:oma:mo:oma-dm-lawmo:1.0//Operation/Wipe", "urn:oma:mo:oma-lawmo:1.0//Operations/Wipe"),
        ("urn:oma:mo:oma-dm-accinfo:1.2//", "urn:oma:mo:oma-dm-dmacc:1.2//"),
        (
            "urn:oma:mo:oma-scomo:1.1//Download/p/Operations/DownloadInstallation",
            "urn:oma:mo:oma-scomo:1.1//Download/p/Operations/DownloadInstall",
        ),
    ],
)
def test_client_uri_alias_is_read_as_the_standard_name_and_noted(text: str, canonical: str) -> None:
    lint: list[str] = []
    assert str(ClientUri.read(text, lint)) == canonical
    assert lint
    assert ClientUri.parse(canonical) == ClientUri.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("urn:oma:mo:oma-dm-scomo:1.0// Download/p", "holds ' ' at offset 29"),
        ("urn:oma:mo:oma-scomo:1.1//Download/<PkgID>/PkgURL", "holds '<'"),
        ("urn:oma:mo:oma-scomo:1.1", "is not MOID/MIID/path"),
        ("urn:oma:mo:oma-scomo:1.1//Download//PkgURL", "empty node name"),
        ("http://host/x", "does not begin with urn:"),
        ("", "is not MOID/MIID/path"),
        ("urn:oma:mo:öma:1.0//", "holds 'ö'"),
    ],
)
def test_client_uri_that_is_none_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(DmError, match=message):
        ClientUri.parse(text)
