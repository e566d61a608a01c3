"""The vehicle file's addresses and habits: what each mode means on the wire, and every mistake refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.errors import InputError
from bench.core.records import BRS, FD, CanAddress
from bench.description.load import BenchFiles
from bench.wire.isotp import IsoTpAddress

HEAD = 'schema = 1\nname = "mine"\nvin = "ZZZ00TABENCH00009"\ndev_id = "IMEI:490154203237559"\n'
ECU = (
    '[[ecus]]\nid = "{0}"\npersonality = "body_controller"\nrecipe = "{2}"\nchannel = "can0"\nhardware_id = "HW"\n'
    'software_id = "APP"\ninstalled = {{ version = "1", release_counter = 1, size_bytes = 16 }}\n{1}\n'
)
BENCH = (
    'schema = 1\nname = "mine"\nvehicle = "mine"\nclock = "virtual"\n[power]\ndriver = "sim"\n'
    '[server]\ndriver = "sim"\n[agent]\ndriver = "sim"\n[[channels]]\nname = "can0"\ndriver = "sim"\n'
    "bitrate_bit_s = 500_000\n"
)
IDS = "request_id = 0x7A0\nresponse_id = 0x7A8\n"
EXTENDED = 'addressing = "extended"\nrequest_id = 0x6F1\nresponse_id = 0x640\ntarget_address = 0x40\n'


@dataclass
class Files:
    """A folder of bench and vehicle file."""

    folder: Path

    def load(self, *ecus: str, vehicle: str = "", fd: bool = True, recipe: str = "single_bank") -> BenchFiles:
        """Read a vehicle whose ECUs (`one`, `two`, ...) have these keys."""
        names = ("one", "two", "three")
        text = HEAD + vehicle + "".join(ECU.format(n, keys, recipe) for n, keys in zip(names, ecus, strict=False))
        bench = BENCH + ("data_bitrate_bit_s = 2_000_000\n" if fd else "")
        for kind, content in (("benches", bench), ("vehicles", text)):
            (self.folder / kind).mkdir(exist_ok=True)
            (self.folder / kind / "mine.toml").write_text(content)
        return load_bench(self.folder / "benches" / "mine.toml")

    def refusal(self, *ecus: str, vehicle: str = "", fd: bool = True, recipe: str = "single_bank") -> str:
        """Return why it is refused; fails when it is not."""
        with pytest.raises(InputError) as caught:
            self.load(*ecus, vehicle=vehicle, fd=fd, recipe=recipe)
        return str(caught.value)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize(
    ("keys", "address"),
    [
        (IDS, IsoTpAddress.normal(0x7A0, 0x7A8)),
        (
            "id_29_bit = true\nrequest_id = 0x1ABCDE01\nresponse_id = 0x2\n",
            IsoTpAddress.normal(0x1ABCDE01, 0x2, id_29_bit=True),
        ),
        ('addressing = "normal_fixed"\ntarget_address = 0x21\n', IsoTpAddress.normal_fixed(0xF1, 0x21)),
        (
            'addressing = "normal_fixed"\ntarget_address = 0x21\nsource_address = 0xF9\nid_29_bit = true\n',
            IsoTpAddress.normal_fixed(0xF9, 0x21),
        ),
        (EXTENDED, IsoTpAddress.extended(0x6F1, 0x640, 0xF1, 0x40)),
        (
            EXTENDED + "id_29_bit = true\nsource_address = 0\n",
            IsoTpAddress.extended(0x6F1, 0x640, 0, 0x40, id_29_bit=True),
        ),
        ('addressing = "mixed"\naddress_extension = 0x99\n' + IDS, IsoTpAddress.mixed(0x7A0, 0x7A8, 0x99)),
        (
            'addressing = "mixed"\nid_29_bit = true\naddress_extension = 0x99\ntarget_address = 0x21\n',
            IsoTpAddress.mixed_fixed(0xF1, 0x21, 0x99),
        ),
    ],
)
def test_keys_of_an_ecu_are_its_address_for_tester_and_ecu(files: Files, keys: str, address: IsoTpAddress) -> None:
    vehicle = files.load(keys).vehicle
    (ecu,) = vehicle.spec().ecus
    assert vehicle.ecus[0].address() == address
    assert (ecu.request_id, ecu.response_id, ecu.id_29_bit) == (address.tx_id, address.rx_id, address.id_29_bit)
    assert (ecu.request_extension, ecu.response_extension) == (address.tx_extension, address.rx_extension)
    assert ecu.addressing == address.mode


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ("", CanAddress(0x7DF)),
        ("functional_id = 0x700\n", CanAddress(0x700)),
        ('[functional.can0]\naddressing = "normal_fixed"\n', CanAddress(0x18DB33F1, id_29_bit=True)),
        (
            '[functional.can0]\naddressing = "normal_fixed"\ntarget_address = 0xFE\nsource_address = 0xF9\n',
            CanAddress(0x18DBFEF9, id_29_bit=True),
        ),
        ('[functional.can0]\naddressing = "extended"\nrequest_id = 0x6F1\n', CanAddress(0x6F1, extension=0x33)),
        (
            '[functional.can0]\naddressing = "mixed"\nid_29_bit = true\naddress_extension = 0x99\n',
            CanAddress(0x18CD33F1, id_29_bit=True, extension=0x99),
        ),
        ("[functional.can0]\nid_29_bit = true\nrequest_id = 0x700\n", CanAddress(0x700, id_29_bit=True)),
        ("[functional.can1]\nrequest_id = 0x700\n", CanAddress(0x7DF)),
    ],
)
def test_functional_address_of_a_channel(files: Files, keys: str, place: CanAddress) -> None:
    vehicle = files.load(IDS, vehicle=keys).vehicle
    tester = vehicle.functional_address("can0")
    assert vehicle.spec().functional_address("can0") == place
    assert CanAddress(tester.tx_id, tester.id_29_bit, tester.tx_extension) == place


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", ["ecus.0.request_id", "normal addressing with 11 bits needs request_id, response_id"]),
        (
            "request_id = 0x7A0\n",
            ["ecus.0.response_id", "no such key", "add response_id", "needs request_id, response_id"],
        ),
        (IDS + "target_address = 1\n", ["ecus.0.target_address", "1", "has request_id, response_id"]),
        (IDS + "source_address = 1\n", ["ecus.0.source_address"]),
        ("request_id = 0x800\nresponse_id = 1\n", ["ecus.0.request_id", "0x800", "2047 (0x7FF)", "id_29_bit = true"]),
        (
            "id_29_bit = true\nrequest_id = 0x20000000\nresponse_id = 1\n",
            ["ecus.0.request_id", "0x20000000", "0x1FFFFFFF"],
        ),
        ('addressing = "sideways"\n' + IDS, ["ecus.0.addressing", "sideways", "normal_fixed", "mixed"]),
        ('addressing = "normal_fixed"\n', ["ecus.0.target_address", "normal_fixed addressing with 29 bits"]),
        ('addressing = "normal_fixed"\ntarget_address = 0x100\n', ["ecus.0.target_address", "0x100", "0xFF"]),
        ('addressing = "normal_fixed"\ntarget_address = 1\n' + IDS, ["ecus.0.request_id", "target_address"]),
        ('addressing = "normal_fixed"\nid_29_bit = false\ntarget_address = 1\n', ["ecus.0.id_29_bit", "true"]),
        (EXTENDED.replace("target_address = 0x40", ""), ["ecus.0.target_address", "extended"]),
        (EXTENDED + "address_extension = 1\n", ["ecus.0.address_extension", "source_address"]),
        ('addressing = "mixed"\n' + IDS, ["ecus.0.address_extension", "mixed addressing with 11 bits"]),
        ('addressing = "mixed"\nid_29_bit = true\naddress_extension = 1\n' + IDS, ["ecus.0.request_id"]),
        (IDS + "isotp = { tx_dl = 63 }\n", ["ecus.0.isotp.tx_dl", "63", "48", "64"]),
        (IDS + 'isotp = { tx_dl = 64, frames = "classic" }\n', ["ecus.0.isotp.frames", "classic", "tx_dl is 64"]),
        (IDS + 'isotp = { frames = "quick" }\n', ["ecus.0.isotp.frames", "quick", "fd_without_brs"]),
        (IDS + "isotp = { padding = 256 }\n", ["ecus.0.isotp.padding", "256", "255"]),
        (IDS + 'isotp = { padding = "some" }\n', ["ecus.0.isotp.padding", "some", "none"]),
        (IDS + "isotp = { tx_dl = 12, tx_dl_min = 16 }\n", ["ecus.0.isotp.tx_dl_min", "16", "12"]),
        (
            IDS + 'isotp = { tx_dl = 64, tx_dl_min = 16, padding = "none" }\n',
            ["ecus.0.isotp.tx_dl_min", "16", 'padding = "none"'],
        ),
        (IDS + "isotp = { block_size = 256 }\n", ["ecus.0.isotp.block_size", "256", "255"]),
        (IDS + "isotp = { max_length = 7 }\n", ["ecus.0.isotp.max_length", "7", "8"]),
        (IDS + "isotp = { dlc = 8 }\n", ["ecus.0.isotp.dlc", "tx_dl_min", "max_length"]),
    ],
)
def test_mistake_in_an_ecus_address_or_habits_is_refused_by_file_key_and_allowed(
    files: Files, keys: str, words: list[str]
) -> None:
    refusal = files.refusal(keys)
    for word in ["vehicles/mine.toml", *words]:
        assert word in refusal


def test_same_address_byte_behind_one_identifier_is_refused_and_another_one_is_not(files: Files) -> None:
    mixed = 'addressing = "mixed"\naddress_extension = {}\n' + IDS
    assert len(files.load(mixed.format(1), mixed.format(2), mixed.format(3)).vehicle.ecus) == 3
    assert "can0 0x7A0 with address byte 0x02 stands twice" in files.refusal(mixed.format(2), mixed.format(2))


def test_extended_addresses_may_share_the_request_identifier(files: Files) -> None:
    other = EXTENDED.replace("0x640", "0x641").replace("0x40", "0x41")
    assert len(files.load(EXTENDED, other).vehicle.ecus) == 2


def test_extended_ecus_that_answer_alike_are_refused(files: Files) -> None:
    """The address byte of an answer is the tester's: on one identifier two ECUs could not be told apart."""
    other = EXTENDED.replace("target_address = 0x40", "target_address = 0x41")
    assert "can0 0x640 with address byte 0xF1 stands twice" in files.refusal(EXTENDED, other)
    assert len(files.load(EXTENDED, other + "source_address = 0xF2\n").vehicle.ecus) == 2


def test_identifier_with_and_without_address_byte_is_refused(files: Files) -> None:
    plain = "request_id = 0x6F1\nresponse_id = 0x7A8\n"
    assert "0x6F1 is also used with an address byte" in files.refusal(EXTENDED, plain)


def test_same_number_as_base_and_extended_identifier_is_two_addresses(files: Files) -> None:
    assert len(files.load(IDS, "id_29_bit = true\n" + IDS).vehicle.ecus) == 2


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("functional_id = 0x7A0\n", ["functional_id 0x7A0 is an ECU's own identifier"]),
        ("functional_id = 0x800\n", ["functional_id", "0x800", "0x7FF"]),
        ("[functional.can0]\nrequest_id = 0x7A8\n", ["functional.can0 0x7A8 is an ECU's own identifier"]),
        ("[functional.can0]\n", ["functional.can0.request_id", "needs request_id"]),
        ("[functional.can0]\nrequest_id = 1\nresponse_id = 2\n", ["functional.can0.response_id", "has request_id"]),
        ('[functional.can0]\naddressing = "mixed"\nrequest_id = 1\n', ["functional.can0.address_extension"]),
        ("[functional.can0]\nrequest_id = 1\nisotp = { tx_dl = 9 }\n", ["functional.can0.isotp.tx_dl", "9"]),
    ],
)
def test_mistake_in_a_functional_address_is_refused(files: Files, keys: str, words: list[str]) -> None:
    refusal = files.refusal(IDS, vehicle=keys)
    for word in ["vehicles/mine.toml", *words]:
        assert word in refusal


@pytest.mark.parametrize(
    ("keys", "vehicle", "key"),
    [
        ("isotp = { tx_dl = 64 }\n", "", "ecus.one.isotp"),
        ('isotp = { frames = "fd" }\n', "", "ecus.one.isotp"),
        ("", "isotp = { tx_dl = 64 }\n", "ecus.one.isotp"),
        ("", "[functional.can0]\nrequest_id = 1\nisotp = { tx_dl = 64 }\n", "functional.can0.isotp"),
    ],
)
def test_fd_frames_on_a_classic_bus_are_refused(files: Files, keys: str, vehicle: str, key: str) -> None:
    refusal = files.refusal(IDS + keys, vehicle=vehicle, fd=False)
    for word in ("vehicles/mine.toml", key, "can0", "data_bitrate_bit_s"):
        assert word in refusal
    assert files.load(IDS + keys, vehicle=vehicle).vehicle.ecus


def test_block_longer_than_the_testers_messages_is_refused_with_both_files(files: Files) -> None:
    refusal = files.refusal(IDS + "isotp = { max_length = 4094 }\n")
    for word in (
        "recipes/single_bank.toml",
        "memory.block_limit_bytes",
        "4095",
        "4094",
        "isotp.max_length",
        "mine.toml",
    ):
        assert word in refusal


def test_keys_of_an_ecu_take_the_place_of_the_vehicles(files: Files) -> None:
    vehicle = files.load(
        IDS + 'isotp = { padding = "none", tx_dl = 8 }\n',
        EXTENDED,
        vehicle="isotp = { tx_dl = 64, padding = 0, st_min = 5, max_length = 5000, extra_gap_ms = 2 }\n",
    ).vehicle
    one, two = (vehicle.habits(ecu) for ecu in vehicle.ecus)
    assert (one.params().padding, one.tx_dl, one.st_min, one.frame_flags) == (None, 8, 5, 0)
    assert (two.params().padding, two.tx_dl, two.st_min, two.frame_flags) == (0, 64, 5, FD | BRS)
    assert one.params().max_length == 5000
    assert two.params().n_cs_ms == 2


def test_keys_that_contradict_the_vehicles_are_refused(files: Files) -> None:
    refusal = files.refusal(IDS + "isotp = { tx_dl = 8 }\n", vehicle="isotp = { tx_dl = 64, tx_dl_min = 64 }\n")
    for word in ("vehicles/mine.toml", "ecus.0.isotp.tx_dl_min", "64", "8 to tx_dl, which is 8"):
        assert word in refusal


def test_keys_that_fit_the_vehicles_alone_are_taken(files: Files) -> None:
    vehicle = files.load(IDS + "isotp = { tx_dl_min = 64 }\n", vehicle="isotp = { tx_dl = 64 }\n").vehicle
    assert vehicle.habits(vehicle.ecus[0]).params().tx_dl_min == 64


def test_fallback_of_functional_requests_is_refused(files: Files) -> None:
    keys = "[functional.can0]\nrequest_id = 1\nisotp = { classic_fallback = true }\n"
    assert "functional.can0.isotp.classic_fallback" in files.refusal(IDS, vehicle=keys)


@pytest.mark.parametrize("name", ["two_ecu_car", "one_ecu_van"])
def test_vehicles_that_name_no_address_keys_have_the_defaults_of_before(name: str) -> None:
    bench = {"two_ecu_car": "sim", "one_ecu_van": "sim_van"}[name]
    vehicle = load_bench(data_root() / "benches" / f"{bench}.toml").vehicle
    body = vehicle.ecus[0]
    assert body.address() == IsoTpAddress.normal(0x7A0, 0x7A8)
    assert vehicle.functional_address("can0").tx_id == 0x7DF
    params = vehicle.habits(body).params()
    assert (params.padding, params.tx_dl, params.block_size, params.st_min, params.max_length) == (0xCC, 8, 0, 0, 4095)


def test_second_tester_of_an_ecu_reaches_the_vehicles_driver(files: Files) -> None:
    keys = IDS + "second_tester = { request_id = 0x7B0, response_id = 0x7B8 }\n"
    vehicle = files.load(keys).vehicle
    assert vehicle.spec().ecus[0].second_tester == (0x7B0, 0x7B8)
    assert len(vehicle.ecus[0].places()) == 4


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ("request_id = 0x800, response_id = 0x7B8", "up to 2047"),
        ("request_id = 0x7DF, response_id = 0x7B8", "is an ECU's own identifier"),
        ("request_id = 0x7B0", "response_id"),
    ],
)
def test_second_tester_on_an_impossible_identifier_is_refused(files: Files, ids: str, words: str) -> None:
    assert words in files.refusal(IDS + f"second_tester = {{ {ids} }}\n")
