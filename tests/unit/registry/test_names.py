import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.kernel.errors import Problem
from gongfu.registry.names import check_device_name, check_filter, check_path
from gongfu.registry.passwords import check_password


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", " a", "a ", "a\n", "a\u2028b", "a" * 201, "/".join(["abcdefghi"] * 101), "a\0"]
)
def test_bad_paths(path: str) -> None:
    with pytest.raises(Problem) as raised:
        check_path(path)
    assert raised.value.status == 400


@given(
    st.lists(
        st.text("abc泵-_%. ", min_size=1, max_size=9).filter(lambda name: name == name.strip()), min_size=1, max_size=9
    )
)
def test_good_paths_are_split_into_their_names(names: list[str]) -> None:
    assert check_path("/".join(names)) == names


@pytest.mark.parametrize("name", ["", "a/b", "a+b", "#", "a:b", " a", "x" * 201, "a\tb", "\ud800"])
def test_bad_device_names(name: str) -> None:
    with pytest.raises(Problem) as raised:
        check_device_name(name)
    assert raised.value.status == 400


@pytest.mark.parametrize("text", ["", "a/#/b", "a#", "#a", "+a/b", "a/b+", "$SYS/#", "$share/g/a", "a\0b", "x" * 1001])
def test_bad_filters(text: str) -> None:
    with pytest.raises(Problem) as raised:
        check_filter(text)
    assert raised.value.status == 400


@pytest.mark.parametrize("text", ["a", "#", "+", "+/+/#", "a/+/b", "/", "a//b", "厂/泵", "x" * 1000])
def test_good_filters(text: str) -> None:
    assert check_filter(text) == text


@pytest.mark.parametrize("password", ["", "123456789", "x" * 257, "The-User-Name"])
def test_bad_passwords(password: str) -> None:
    with pytest.raises(Problem) as raised:
        check_password(password, "the-user-name")
    assert raised.value.status == 400


def test_good_password() -> None:
    assert check_password("1234567890", "the-user-name") == "1234567890"
