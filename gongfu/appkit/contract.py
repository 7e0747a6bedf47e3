"""The public contract of apps. Semantic versioning applies to every name in ``__all__``; docs/apps.md explains it.

An app is a folder with ``app.toml`` (who it is, what it needs) and ``app.py``::

    from gongfu.appkit.contract import App, Context, Window

    app = App()


    @app.on("vibration", window="10s")
    def watch(context: Context, window: Window) -> None:
        samples = window["vibration"].good
        rms = float((samples.values**2).mean() ** 0.5)
        context.write(window.asset, "vibration rms", [window.end], [rms], unit="mm/s")
        if rms > 4.5:
            context.raise_alarm("rms", window.asset, f"RMS {rms:.1f} mm/s", priority="high", time=window.end)
        else:
            context.return_alarm("rms", window.asset, time=window.end)

What the host promises:

- The app runs in a process of its own that has no network, no files but its own, no environment and no secrets.
  Its functions are called one at a time, so they need no locks. What one raises is logged and shown, and stops nothing.
- Whatever is not asked for in ``app.toml`` is refused with ``PermissionError``, which says what to ask for.
- Windows are by source time and asset, and do not depend on the order in which samples arrive within ``lateness``.
  Each is given at least once: again after a crash, with the same samples and the same ``state``. What a function keeps
  in ``window.state`` is stored together with the position in the data, so nothing is counted twice.
- Points written, alarms raised and events published are durable when the call returns; the same ones again change
  nothing. So a function that follows from its window alone gives, over any crash, what it gives without one.

What the app must do: take times from the window, never from the clock; bring its functions to an end within their time
(30 s, routes 10 s, jobs as they say); write its records so that the same window again changes nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.alarm_texts import Text
from gongfu.appkit.declarations import (
    Declared,
    OnJob,
    OnPoints,
    OnRoute,
    Roles,
    at_times,
    checked_route,
    duration,
    name_of,
)
from gongfu.appkit.manifest import CONTRACT_VERSION
from gongfu.appkit.model_declaration import model
from gongfu.appkit.order_declarations import OnOrder, OnProbe, OnReport
from gongfu.appkit.orders import Order, Question, Seen
from gongfu.appkit.records import Records
from gongfu.appkit.report_cells import Cell, Period
from gongfu.appkit.routes import Request, Response
from gongfu.appkit.ruling import AppRule, Priority, Verdict, carry_out
from gongfu.appkit.samples import Samples, Window
from gongfu.appkit.value_columns import TypeName
from gongfu.reason.models.types import Column, ModelDefinition, ModelDefinitionError, ModelFunction, Port

__all__ = [
    "CONTRACT_VERSION",
    "App",
    "AppError",
    "Cell",
    "Column",
    "Context",
    "JobRun",
    "ModelDefinition",
    "ModelDefinitionError",
    "ModelFunction",
    "Order",
    "Period",
    "PointInfo",
    "Port",
    "Question",
    "Records",
    "Request",
    "Response",
    "Samples",
    "Seen",
    "Verdict",
    "Window",
    "model",
]

# What is written to a point: numbers, true and false, or text; None where there is no value.
Values = Sequence[float | None] | Sequence[bool | None] | Sequence[str | None] | NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound=Callable[[Window], Verdict])


class AppError(Exception):
    """A route or call cannot be answered; ``status`` is the HTTP status, the text is for the caller."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class PointInfo:
    """A point the app may read or write: path of its asset, name, UCUM unit, thing model of its asset, access, type of
    its values."""

    asset: str
    point: str
    unit: str
    type: str
    access: Literal["read", "write"]
    value_type: TypeName = "double"


@dataclass(frozen=True, slots=True)
class JobRun:
    """A run of a job: the time it is for, UTC nanoseconds; ``missed`` says how many times passed without one."""

    scheduled: int
    missed: int = 0


class Context(Protocol):
    """What an app can do: exactly what its manifest asks for and its installation granted.

    Every method may raise ``PermissionError`` (not granted; the text says what to ask for in ``app.toml``), and
    ``AppError`` (the node cannot do it now, or the arguments are wrong).
    """

    @property
    def app(self) -> str:
        """Identifier of the app."""
        ...

    @property
    def version(self) -> str:
        """Version of the app."""
        ...

    @property
    def records(self) -> Records:
        """Tables of the app."""
        ...

    def now(self) -> int:
        """Return the time, UTC nanoseconds: the virtual one in tests."""
        ...

    def granted(self, name: str) -> bool:
        """Return whether what is asked for under a name in ``app.toml`` was granted: optional things may be refused.

        Raises:
            AppError: 404, nothing there has this name.
        """
        ...

    def log(self, text: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Write a line to the log of the app."""
        ...

    def points(self, asset: str = "**", point: str = "*") -> list[PointInfo]:
        """Return the points among those granted whose asset and name match the globs, at most 10,000."""
        ...

    def latest(self, asset: str, point: str) -> Samples:
        """Return the newest sample of a point, or no sample."""
        ...

    def history(self, asset: str, point: str, start: int, end: int, limit: int = 100_000) -> Samples:
        """Return samples of a point with source times in ``[start, end)``, the first ``limit``."""
        ...

    def write(
        self,
        asset: str,
        point: str,
        times: Sequence[int],
        values: Values,
        unit: str = "",
        quality: str = "good",
        type: TypeName | Literal[""] = "",
    ) -> None:
        """Write samples of a point, which is made if it is not there; durable on return.

        Values are stored as the type of the point, exactly, or refused with 400: no text at a number, no fraction and
        no number that went through a float beyond 2^53 at an integer, no number at a boolean.

        Args:
            asset: path of an asset that is there.
            point: name of the point.
            times: n source times, UTC nanoseconds.
            values: n values, all numbers, all true or false, or all text. None is stored as *bad, no data*, NaN and
                infinities as *bad, not a number*.
            unit: UCUM code, taken when the point is made.
            quality: ``good``, ``uncertain`` or ``bad``, of all.
            type: of the point when it is made; by default ``double`` for numbers, whole ones too, ``boolean`` for true
                and false, ``string`` for text.
        """
        ...

    def raise_alarm(
        self,
        key: str,
        asset: str,
        message: Text,
        *,
        time: int,
        point: str = "",
        priority: Priority = "medium",
        value: float | None = None,
    ) -> None:
        """Raise the alarm of a key at an asset, unless it is raised; ``message`` may be ``{"zh": …, "en": …}``."""
        ...

    def return_alarm(self, key: str, asset: str, *, time: int, value: float | None = None) -> None:
        """Say that the condition of the alarm of a key at an asset is no more; nothing happens if it was not raised."""
        ...

    def publish(self, kind: str, asset: str, data: Mapping[str, Any], *, time: int) -> None:
        """Note an event of an asset; its source is ``app:<id>``, its text ``data`` as JSON, at most 4,000 bytes."""
        ...

    def invoke(self, model: str, columns: Mapping[str, Sequence[float]]) -> dict[str, NDArray[np.float64]]:
        """Return the outputs of a mechanism model for n rows of inputs."""
        ...

    def put_object(self, data: bytes) -> str:
        """Keep a file of at most 16 MiB; return its name, the SHA-256 of the content."""
        ...

    def get_object(self, name: str) -> bytes:
        """Return a file that was kept."""
        ...


class App:
    """What an app does: its module has one, as ``app = App()``, and registers functions with it."""

    def __init__(self) -> None:
        self.declared = Declared()

    def on(
        self,
        *points: str,
        asset: str = "**",
        type: str = "",
        window: str = "",
        every: str = "",
        slide: str = "",
        lateness: str = "2s",
    ) -> Callable[[F], F]:
        """Call a function ``(context, window)`` with samples as they come, separately for each asset.

        Args:
            points: names of points, or globs.
            asset: glob over asset paths.
            type: only assets of this thing model.
            window: length of the windows, which begin at whole multiples of it since 1970 (source time).
            every: instead of ``window``: what came, at most so often (by arrival). Groups may differ after a crash.
            slide: how often a window ends, ``window`` if empty; ``window`` must be a whole multiple.
            lateness: how long after its end (source time of the asset) a window waits for stragglers.
        """
        handler = OnPoints(
            points=points,
            asset=asset,
            type=type,
            window=duration(window or every, "window or every"),
            slide=duration(slide or window or every, "slide"),
            lateness=duration(lateness, "lateness"),
            by_arrival=bool(every),
        )
        return self.declared.add_points(handler)

    def rule(
        self,
        *points: str,
        window: str,
        asset: str = "**",
        type: str = "",
        slide: str = "",
        lateness: str = "2s",
        priority: Priority = "medium",
        limit: float | None = None,
        direction: Literal["above", "below"] = "above",
        deadband: float = 0.0,
        on_delay: str = "0s",
        off_delay: str = "0s",
        point: str = "",
        message: Text = "",
    ) -> Callable[[R], R]:
        """Raise an alarm by what a pure function ``(window)`` finds, separately for each asset. ``needs.alarms``.

        The function has no context and keeps nothing. With ``limit`` it returns a number, which direction, limit and
        deadband judge; without, True or False; None when it cannot tell, which changes nothing. The alarm's key is the
        name of the function. It is a short form of ``on`` with ``raise_alarm`` and ``return_alarm``.

        Args:
            points, asset, type, window, slide, lateness: as of ``on``.
            priority, limit, direction, deadband: as in rules as data.
            on_delay: how long the condition holds, ends of windows, before the alarm is raised.
            off_delay: how long it does not, before the alarm returns.
            point: that the alarm names; by default the name of the function. Rationalisation finds the alarm by it.
            message: template with ``{asset} {point} {value} {limit} {rule}``, or one in each of ``zh`` and ``en``.
        """
        delays = duration(on_delay, "on_delay"), duration(off_delay, "off_delay")

        def note(function: R) -> R:
            name = name_of(function)
            rule = AppRule(name, priority, direction, limit, deadband, *delays, point or name, message)

            def watch(context: Context, window: Window) -> None:
                carry_out(rule, function, context, window)

            watch.__name__ = name
            self.on(*points, asset=asset, type=type, window=window, slide=slide, lateness=lateness)(watch)
            return function

        return note

    def job(
        self, *, every: str = "", cron: str = "", missed: Literal["once", "skip"] = "once", timeout: str = "60s"
    ) -> Callable[[F], F]:
        """Call a function ``(context, run)`` at times.

        Args:
            every: interval; the times are whole multiples of it since 1970, UTC.
            cron: instead of ``every``: ``minute hour day month weekday`` in UTC, with ``*``, ``,``, ``-`` and ``/``.
            missed: what happens when the node or the app did not run: one run for all, or none.
            timeout: how long it may take, at most 10 min.
        """
        return self.declared.add_job(OnJob(*at_times(every, cron), missed, duration(timeout, "timeout")))

    def route(self, method: str, path: str, *, role: Roles | None = None) -> Callable[[F], F]:
        """Answer ``/v1/apps/<id>/api<path>`` by a function ``(context, request)``.

        Args:
            method: ``GET``, ``POST``, ``PUT`` or ``DELETE``.
            path: such as ``/machines/{number}``; a part in braces takes one level. Give paths of assets, which have
                slashes, as query parameters.
            role: the least a caller must be; by default ``viewer`` for GET and ``operator`` for the others.

        The function returns what can be JSON, or a ``Response``; ``AppError`` gives another status.
        """
        least: Roles = role or ("viewer" if method == "GET" else "operator")
        return self.declared.add_route(OnRoute(*checked_route(method, path), least))

    def order_kind(self, kind: str, *, effect: str, timeout: str = "60s") -> Callable[[F], F]:
        """Carry out orders of a kind of nodes above by a function ``(context, order)``, each once.

        It runs inside a transaction of the app's records, which also notes that the order was carried out: over any
        crash both happen, or none. What it returns (a text or None) is told to the issuer; what it raises makes the
        order failed, with its text. Whether the effect is there only the probe says.

        Args:
            kind: described in ``provides.order_kinds`` and asked for in ``needs.orders``.
            effect: name of the ``probe`` that sees it; ``timeout``: how long the function may take, at most 9 min.
        """
        return self.declared.add_order(OnOrder(kind, effect, duration(timeout, "timeout")))

    def probe(self, name: str, *, timeout: str = "10s") -> Callable[[F], F]:
        """Look at an effect by a function ``(context, question)`` that returns ``Seen``.

        It only looks: whatever would change something raises ``PermissionError``. What it raises counts as nothing
        seen, with its text as evidence. It is asked again until it sees what is expected, or time is up.

        Args:
            name: in kebab case; others than the app's own orders may ask it if ``needs.probes`` names it.
            timeout: how long a look may take, at most 45 s.
        """
        return self.declared.add_probe(OnProbe(name, duration(timeout, "timeout")))

    def report(self, kind: str, *, every: str = "1min", late: str = "0s", timeout: str = "30s") -> Callable[[F], F]:
        """Report to nodes above by a function ``(context, period)`` that returns all ``Cell`` of the period.

        That replaces what was reported of the period before. Each is asked for while it lasts and once after it.

        Args:
            kind: of the report, in ``needs.reports``; declared at this node or one above (``gongfu report``).
            every: how often it is asked for; ``timeout``: how long it may take, at most 9 min.
            late: how long after its end a period is asked for again, so that late data corrects it.
        """
        times = (duration(every, "every"), duration(late, "late"), duration(timeout, "timeout"))
        return self.declared.add_report(OnReport(kind, *times))

    def started(self, function: F) -> F:
        """Call a function ``(context)`` whenever the process of the app starts, before anything else."""
        return self.declared.add_started(function)

    def health(self, function: F) -> F:
        """Call a function ``(context)`` after installation and upgrade: what it raises makes the node go back."""
        return self.declared.add_health(function)

    def __iter__(self) -> Iterator[str]:
        """Yield what is declared, for people."""
        return iter(self.declared.lines())
