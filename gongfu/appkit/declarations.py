"""What the decorators of an app note down, checked when they are used: a wrong declaration fails at import."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from gongfu.appkit.cron import Cron, parse_cron
from gongfu.appkit.order_declarations import OnOrder, OnProbe, OnReport
from gongfu.appkit.quantities import parse_duration

F = TypeVar("F", bound=Callable[..., Any])
Roles = Literal["viewer", "operator", "engineer", "admin"]

Method = Literal["GET", "POST", "PUT", "DELETE"]
METHODS: tuple[Method, ...] = ("GET", "POST", "PUT", "DELETE")
ROLES: tuple[Roles, ...] = ("viewer", "operator", "engineer", "admin")
MAX_HANDLERS = 100
_LONGEST_JOB = 600 * 10**9
_LONGEST_WINDOW = 86_400 * 10**9
_PART = re.compile(r"[A-Za-z0-9._~-]+|\{[a-z_][a-z0-9_]*\}", re.ASCII)


class DeclarationError(ValueError):
    """A decorator was given something wrong; the message says what to write."""


@dataclass(frozen=True, slots=True)
class OnPoints:
    """``App.on``; durations in nanoseconds. ``by_arrival`` is ``every``: groups by arrival instead of source time."""

    points: tuple[str, ...]
    asset: str
    type: str
    window: int
    slide: int
    lateness: int
    by_arrival: bool

    def __post_init__(self) -> None:
        if not self.points:
            raise DeclarationError('name the points: @app.on("vibration", window="10s")')
        if not 10_000_000 <= self.window <= _LONGEST_WINDOW:
            raise DeclarationError("a window is 10 ms to 1 d long")
        if self.slide <= 0 or self.window % self.slide or self.window // self.slide > 1000:
            raise DeclarationError("window must be a whole multiple of slide, at most 1,000 times")
        if self.lateness > _LONGEST_WINDOW:
            raise DeclarationError("lateness is at most 1 d")


@dataclass(frozen=True, slots=True)
class OnJob:
    """``App.job``: an interval in nanoseconds, or a ``Cron``."""

    every: int
    cron: Cron | None
    missed: Literal["once", "skip"]
    timeout: int

    def __post_init__(self) -> None:
        if not 10**9 <= self.timeout <= _LONGEST_JOB:
            raise DeclarationError("timeout of a job is 1 s to 10 min")
        if self.missed not in ("once", "skip"):
            raise DeclarationError("missed is 'once' or 'skip'")
        if self.cron is None and self.every < 10**9:
            raise DeclarationError("a job runs at most once a second")

    def next_after(self, moment: int) -> int:
        """Return the first time after a moment, both UTC ns."""
        if self.cron is not None:
            return self.cron.next_after(moment)
        return (moment // self.every + 1) * self.every

    def count_between(self, after: int, until: int) -> int:
        """Return how many times are in ``(after, until]``, at most 10,000."""
        if self.cron is None:
            return min(until // self.every - after // self.every, 10_000)
        count = 0
        while (after := self.cron.next_after(after)) <= until and count < 10_000:
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class OnRoute:
    """``App.route``."""

    method: Method
    path: str
    role: Roles

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise DeclarationError(f"role is one of {', '.join(ROLES)}")
        checked_route(self.method, self.path)

    def match(self, method: str, parts: list[str]) -> dict[str, str] | None:
        """Return the values of the parts in braces when the route answers a call, else None."""
        own = self.path.strip("/").split("/") if self.path.strip("/") else []
        if method != self.method or len(own) != len(parts):
            return None
        found: dict[str, str] = {}
        for wanted, given in zip(own, parts, strict=True):
            if wanted.startswith("{"):
                found[wanted[1:-1]] = given
            elif wanted != given:
                return None
        return found


@dataclass(slots=True)
class Declared:
    """All that an app declares, in order; a function's number is its place."""

    points: list[tuple[OnPoints, Callable[..., Any]]] = field(default_factory=list[tuple[OnPoints, Callable[..., Any]]])
    jobs: list[tuple[OnJob, Callable[..., Any]]] = field(default_factory=list[tuple[OnJob, Callable[..., Any]]])
    routes: list[tuple[OnRoute, Callable[..., Any]]] = field(default_factory=list[tuple[OnRoute, Callable[..., Any]]])
    orders: list[tuple[OnOrder, Callable[..., Any]]] = field(default_factory=list[tuple[OnOrder, Callable[..., Any]]])
    probes: list[tuple[OnProbe, Callable[..., Any]]] = field(default_factory=list[tuple[OnProbe, Callable[..., Any]]])
    reports: list[tuple[OnReport, Callable[..., Any]]] = field(
        default_factory=list[tuple[OnReport, Callable[..., Any]]]
    )
    started: list[Callable[..., Any]] = field(default_factory=list[Callable[..., Any]])
    health: list[Callable[..., Any]] = field(default_factory=list[Callable[..., Any]])

    def add_points(self, handler: OnPoints) -> Callable[[F], F]:
        """Note a function for points."""

        def note(function: F) -> F:
            _unique([name_of(other) for _, other in self.points], function)
            self.points.append((handler, function))
            return function

        return note

    def add_job(self, job: OnJob) -> Callable[[F], F]:
        """Note a job."""

        def note(function: F) -> F:
            _unique([name_of(other) for _, other in self.jobs], function)
            self.jobs.append((job, function))
            return function

        return note

    def add_route(self, route: OnRoute) -> Callable[[F], F]:
        """Note a route."""

        def note(function: F) -> F:
            shape = (route.method, re.sub(r"\{.*?\}", "{}", route.path))
            if any((known.method, re.sub(r"\{.*?\}", "{}", known.path)) == shape for known, _ in self.routes):
                raise DeclarationError(f"{route.method} {route.path} is declared twice")
            self.routes.append((route, function))
            return function

        return note

    def add_order(self, order: OnOrder) -> Callable[[F], F]:
        """Note what carries out orders of a kind."""

        def note(function: F) -> F:
            if any(known.kind == order.kind for known, _ in self.orders):
                raise DeclarationError(f"orders {order.kind!r} are carried out by two functions")
            self.orders.append((order, function))
            return function

        return note

    def add_probe(self, probe: OnProbe) -> Callable[[F], F]:
        """Note a probe."""

        def note(function: F) -> F:
            if any(known.name == probe.name for known, _ in self.probes):
                raise DeclarationError(f"probe {probe.name!r} is declared twice")
            self.probes.append((probe, function))
            return function

        return note

    def add_report(self, report: OnReport) -> Callable[[F], F]:
        """Note a report."""

        def note(function: F) -> F:
            if any(known.kind == report.kind for known, _ in self.reports):
                raise DeclarationError(f"report {report.kind!r} is declared twice")
            self.reports.append((report, function))
            return function

        return note

    def add_started(self, function: F) -> F:
        """Note what runs at the start."""
        self.started.append(function)
        return function

    def add_health(self, function: F) -> F:
        """Note a check."""
        self.health.append(function)
        return function

    def lines(self) -> list[str]:
        """Return a line for each, for people."""
        return [
            *(f"on {', '.join(handler.points)} of {handler.asset}: {name_of(f)}" for handler, f in self.points),
            *(f"job: {name_of(function)}" for _, function in self.jobs),
            *(f"{route.method} {route.path}: {name_of(function)}" for route, function in self.routes),
            *(f"orders {order.kind}, seen by {order.effect}: {name_of(function)}" for order, function in self.orders),
            *(f"probe {probe.name}: {name_of(function)}" for probe, function in self.probes),
            *(f"report {report.kind}: {name_of(function)}" for report, function in self.reports),
        ]


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function is known by: state and positions are kept under this name over upgrades."""
    return str(getattr(function, "__name__", "function"))


def _unique(names: list[str], function: Callable[..., Any]) -> None:
    if name_of(function) in names:
        raise DeclarationError(f"two functions are called {name_of(function)}; their states would be one")
    if len(names) >= MAX_HANDLERS:
        raise DeclarationError(f"an app has at most {MAX_HANDLERS} functions of a kind")


def duration(text: str, what: str) -> int:
    """Return nanoseconds of a duration.

    Raises:
        DeclarationError: it is not one.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise DeclarationError(f"{what}: {error}") from None


def at_times(every: str, cron: str) -> tuple[int, Cron | None]:
    """Return the times of a job.

    Raises:
        DeclarationError: not exactly one of both is given, or it is wrong.
    """
    if bool(every) == bool(cron):
        raise DeclarationError('a job has either every="1h" or cron="0 3 * * *"')
    if cron:
        try:
            return 0, parse_cron(cron)
        except ValueError as error:
            raise DeclarationError(str(error)) from None
    return duration(every, "every"), None


def checked_route(method: str, path: str) -> tuple[Method, str]:
    """Return method and path.

    Raises:
        DeclarationError: they are not as documented.
    """
    by_name: dict[str, Method] = {name: name for name in METHODS}
    known = by_name.get(method)
    if known is None:
        raise DeclarationError(f"method of a route is one of {', '.join(METHODS)}, not {method!r}")
    parts = path[1:].split("/") if path != "/" else []
    if not path.startswith("/") or not all(_PART.fullmatch(part) for part in parts):
        raise DeclarationError(f"path of a route is written as '/series/{{asset}}', not {path!r}")
    return known, path
