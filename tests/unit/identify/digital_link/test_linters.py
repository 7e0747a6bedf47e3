"""Linters of the GS1 dictionary: worked examples of the General Specifications, and properties."""

import calendar
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.identify.digital_link.character_sets import CSET_82
from gongfu.identify.digital_link.check_digits import check_digit, check_pair
from gongfu.identify.digital_link.linters import LINTERS, codes

DIGITS = st.text("0123456789", max_size=30)
RIGHT = {
    "csum": ["09506000134352", "950600013437612342", "0"],
    "csumalpha": ["1987654Ad4X4bL5ttr2310c2K"],
    "gcppos1": ["9506", "9506000ABC"],
    "gcppos2": ["09506000134352"],
    "yyyymmdd": ["20240229", "20000229"],
    "yymmdd": ["240229", "000229", "991231"],
    "yymmd0": ["240200", "240229"],
    "yymmddhh": ["24022923"],
    "hh": ["00", "23"],
    "mi": ["59"],
    "ss": ["00"],
    "hhmi": ["2359"],
    "mmoptss": ["59", "5959"],
    "iso3166": ["156", "250"],
    "iso3166999": ["999", "156"],
    "iso3166alpha2": ["CN", "FR"],
    "iso3166list": ["156250", "156"],
    "iso4217": ["156", "978"],
    "iso5218": ["0", "9"],
    "winding": ["9"],
    "yesno": ["0", "1"],
    "mediatype": ["01", "10", "80", "99"],
    "importeridx": ["-", "_", "A", "z", "0"],
    "packagetype": ["1A", "8", "APE", "ZZ"],
    "iban": ["GB82WEST12345698765432", "DE89370400440532013000"],
    "pcenc": ["", "%E4%B8%AD", "50%25"],
    "hasnondigit": ["1A"],
    "hyphen": ["-", "--"],
    "nonzero": ["0001"],
    "zero": ["0"],
    "nozeroprefix": ["10"],
    "latitude": ["0000000000", "1800000000"],
    "longitude": ["3600000000"],
    "latlong": ["18000000003600000000"],
    "pieceoftotal": ["0102", "0202"],
    "posinseqslash": ["1/1", "9/10"],
    "couponcode": ["012345612345611110123"],
    "couponposoffer": ["001234561234560123456", "101234561234560123456"],
}
WRONG = {
    "csum": ["", "09506000134353", "A", "9506\u0661"],
    "csumalpha": ["", "2", "1987654Ad4X4bL5ttr2310cXK", "中22", "1" * 99 + "22", "ab c"],
    "gcppos1": ["950", "95A6", "\u0669506"],
    "gcppos2": ["0950", "0A506"],
    "yyyymmdd": ["20230229", "21000229", "20241301", "20240100", "2024010", "0000010A"],
    "yymmdd": ["230229", "240100", "241301", "2401011", "٢40101"],
    "yymmd0": ["240230", "240001"],
    "yymmddhh": ["24022924", "240229"],
    "hh": ["24", "1", "-1", "²3"],
    "mi": ["60"],
    "ss": ["60", "6"],
    "hhmi": ["2360", "2400", "23", "235959"],
    "mmoptss": ["60", "5960", "595"],
    "iso3166": ["000", "999", "15", "CHN"],
    "iso3166999": ["998"],
    "iso3166alpha2": ["XX", "cn", "C"],
    "iso3166list": ["1562", "156000"],
    "iso4217": ["000", "157"],
    "iso5218": ["3", "", "10"],
    "winding": ["2", ""],
    "yesno": ["2", "", "01"],
    "mediatype": ["00", "11", "79", "1"],
    "importeridx": ["", "AA", "+"],
    "packagetype": ["", "1a", "ZZZ"],
    "iban": ["GB82WEST12345698765433", "XX82WEST12345698765432", "GB82", "GB82west12345698765432", "GB82WEST123\u0662"],
    "pcenc": ["%", "%4", "%4G", "a%%20"],
    "hasnondigit": ["", "11"],
    "hyphen": ["", "+", "-+"],
    "nonzero": ["", "000"],
    "zero": ["1", ""],
    "nozeroprefix": ["0", "01"],
    "latitude": ["1800000001", "180000000", "-000000001"],
    "longitude": ["3600000001"],
    "latlong": ["18000000013600000000"],
    "pieceoftotal": ["0201", "0002", "0200", "010", "", "A1B2"],
    "posinseqslash": ["2/1", "0/1", "1/0", "01/2", "1", "/1", "1/", "1/2/3"],
    "couponcode": ["", "0", "7" * 21, "012345612345611110123X", "01234561234561111012", "0123456123456111101237"],
    "couponposoffer": ["", "201234561234560123456", "0012345612345601234567", "00123456123456012345"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in RIGHT.items() for text in texts])
def test_right(name: str, text: str) -> None:
    assert LINTERS[name](text) is None


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_wrong(name: str, text: str) -> None:
    assert LINTERS[name](text)


def test_there_are_examples_of_every_linter() -> None:
    aliases = {"hhmm", "key", "keyoff1", "yyyymmd0"}
    assert LINTERS.keys() - aliases == RIGHT.keys() == WRONG.keys()


@given(st.sampled_from(sorted(LINTERS)), st.text(max_size=100))
@settings(max_examples=300)
def test_no_text_breaks_a_linter(name: str, text: str) -> None:
    assert LINTERS[name](text) is None or LINTERS[name](text)


@given(DIGITS)
def test_one_check_digit_is_right(digits: str) -> None:
    right = [digit for digit in string.digits if LINTERS["csum"](digits + digit) is None]
    assert right == [check_digit(digits)]


@given(DIGITS.filter(bool), st.data())
def test_a_check_digit_finds_every_wrong_digit(digits: str, data: st.DataObject) -> None:
    whole = digits + check_digit(digits)
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.sampled_from([digit for digit in string.digits if digit != whole[at]]))
    assert LINTERS["csum"](whole[:at] + other + whole[at + 1 :])


@given(st.text(CSET_82, max_size=23), st.data())
def test_a_check_pair_finds_every_wrong_character(text: str, data: st.DataObject) -> None:
    whole = text + check_pair(text)
    assert LINTERS["csumalpha"](whole) is None
    if text:
        at = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.sampled_from([character for character in CSET_82 if character != text[at]]))
        assert LINTERS["csumalpha"](whole[:at] + other + whole[at + 1 :])


@given(st.integers(1, 9999), st.integers(0, 13), st.integers(0, 32))
def test_dates_are_those_of_the_calendar(year: int, month: int, day: int) -> None:
    real = 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
    assert (LINTERS["yyyymmdd"](f"{year:04}{month:02}{day:02}") is None) == real


@given(st.integers(1, 99), st.integers(1, 99))
def test_a_piece_is_one_of_the_total(piece: int, total: int) -> None:
    assert (LINTERS["pieceoftotal"](f"{piece:02}{total:02}") is None) == (piece <= total)
    assert (LINTERS["posinseqslash"](f"{piece}/{total}") is None) == (piece <= total)


def test_lists_have_as_many_codes_as_their_standards() -> None:
    assert len(codes("iso-3166-1 numeric")) == len(codes("iso-3166-1 alpha-2")) == 249
    assert all(len(code) == 3 for code in codes("iso-3166-1 numeric") | codes("iso-4217 numeric"))
