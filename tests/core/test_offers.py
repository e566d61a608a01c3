"""What parts offer is found by port and part; what nobody offers is refused by name."""

from __future__ import annotations

import pytest

from bench.core.errors import InputError
from bench.core.offers import Offers, Port

LAMP = Port[str]("lamp")
KEY = Port[int]("ignition key", of_bench=True)


def test_each_part_offers_its_own() -> None:
    offers = Offers()
    offers.offer(LAMP, "left lamp", "left")
    offers.offer(LAMP, "right lamp", "right")
    assert offers.find(LAMP, "left") == "left lamp"
    assert offers.find(LAMP, "right") == "right lamp"
    assert offers.parts(LAMP) == ("left", "right")


def test_what_a_bench_has_once_is_found_from_every_part() -> None:
    offers = Offers()
    offers.offer(KEY, 7)
    assert (offers.find(KEY), offers.find(KEY, "left")) == (7, 7)
    assert offers.has(KEY, "anybody")
    assert offers.parts(KEY) == ()


def test_what_nobody_offers_is_refused_with_who_does() -> None:
    offers = Offers()
    offers.offer(LAMP, "left lamp", "left")
    assert not offers.has(LAMP, "rear")
    with pytest.raises(InputError, match="nothing on this bench offers 'lamp' of 'rear'") as error:
        offers.find(LAMP, "rear")
    assert (error.value.found, error.value.allowed) == ("rear", "left")
    with pytest.raises(InputError, match="nothing on this bench offers 'ignition key'") as error:
        offers.find(KEY)
    assert error.value.allowed == "nothing: no part of it does"


def test_nothing_is_offered_twice() -> None:
    offers = Offers()
    offers.offer(LAMP, "left lamp", "left")
    with pytest.raises(ValueError, match="lamp of left is offered twice"):
        offers.offer(LAMP, "another", "left")
