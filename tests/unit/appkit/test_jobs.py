"""Times of jobs, and what a model's file needs of an app."""

import io
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.appkit.contract import App, AppError
from gongfu.appkit.cron import parse_cron
from gongfu.appkit.declarations import DeclarationError, OnJob, OnRoute
from gongfu.appkit.installed.artifacts import python_artifact

S = 10**9


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * S


@pytest.mark.parametrize(
    ("cron", "after", "following"),
    [
        ("0 3 * * *", "2026-03-01T03:00:00", "2026-03-02T03:00:00"),
        ("*/15 8-10 * * 1-5", "2026-03-06T10:50:00", "2026-03-09T08:00:00"),
        ("30 12 29 2 *", "2026-01-01T00:00:00", "2028-02-29T12:30:00"),
        ("0 0 1 * 1", "2026-03-03T00:00:00", "2026-03-09T00:00:00"),  # the 1st or a Monday: one suffices
        ("0 0 * * 7", "2026-03-07T00:00:00", "2026-03-08T00:00:00"),
    ],
)
def test_cron_times(cron: str, after: str, following: str) -> None:
    assert parse_cron(cron).next_after(ns(after)) == ns(following)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 59), st.integers(0, 23), st.integers(0, 3 * 10**8))
def test_cron_finds_the_first_minute_that_fits(minute: int, hour: int, seconds: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    found = parse_cron(f"{minute} {hour} * * *").next_after(int(start.timestamp()) * S)
    day = start.replace(hour=hour, minute=minute, second=0, microsecond=0)
    expected = day if day > start else day + timedelta(days=1)
    assert found == int(expected.timestamp()) * S


@pytest.mark.parametrize("cron", ["* * * *", "60 * * * *", "a * * * *", "5-1 * * * *", "*/0 * * * *", "* * 0 * *"])
def test_wrong_cron_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="cron"):
        parse_cron(cron)


def test_times_that_passed_are_counted() -> None:
    job = OnJob(60 * S, None, "once", 60 * S)
    assert job.next_after(61 * S) == 120 * S
    assert job.count_between(0, 59 * S) == 0
    assert job.count_between(0, 180 * S) == 3
    daily = OnJob(0, parse_cron("0 0 * * *"), "once", 60 * S)
    assert daily.count_between(ns("2026-03-01T12:00:00"), ns("2026-03-04T12:00:00")) == 3


def test_what_an_app_declares_past_the_decorators_is_refused() -> None:
    with pytest.raises(DeclarationError, match="once a second"):
        OnJob(1, None, "once", 60 * S)
    with pytest.raises(DeclarationError, match="once a second"):
        OnJob(0, None, "once", 60 * S)
    with pytest.raises(DeclarationError, match="path of a route"):
        OnRoute("GET", "no slash", "viewer")


def test_wrong_declarations_are_refused_where_they_stand() -> None:
    app = App()
    jobs: list[dict[str, Any]] = [
        {"every": ""},
        {"every": "1h", "cron": "* * * * *"},
        {"every": "10ms"},
        {"every": "1h", "timeout": "1h"},
    ]
    for wrong in jobs:
        with pytest.raises(DeclarationError):
            app.job(**wrong)
    windows: list[dict[str, Any]] = [{"window": ""}, {"window": "1s", "slide": "300ms"}, {"window": "2d"}]
    for window in windows:
        with pytest.raises(DeclarationError):
            app.on("a", **window)
    for method, path in (("PATCH", "/a"), ("GET", "a"), ("GET", "/a//b"), ("GET", "/{A}")):
        with pytest.raises(DeclarationError):
            app.route(method, path)

    @app.route("GET", "/a/{x}")
    def first(context: object, request: object) -> None: ...

    with pytest.raises(DeclarationError, match="twice"):
        app.route("GET", "/a/{y}")(first)


def test_a_model_takes_only_what_it_imports() -> None:
    files = {
        "models/crest.py": b"from ..analysis import rms\nfrom . import shared\nimport numpy\n",
        "models/shared.py": b"from ..deep.inner import f\n",
        "analysis.py": b"rms = 1\n",
        "deep/__init__.py": b"",
        "deep/inner.py": b"f = 1\n",
        "app.py": b"from .models import crest\n",
    }
    made = python_artifact("models/crest.py", files.get)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.read("MODEL") == b"models/crest.py"
        assert set(archive.namelist()) == {"MODEL", *files} - {"app.py"}
    assert python_artifact("models/crest.py", {**files, "app.py": b"other"}.get) == made
    assert python_artifact("analysis.py", files.get) == files["analysis.py"]
    with pytest.raises(AppError, match=r"models/none\.py"):
        python_artifact("models/none.py", files.get)
