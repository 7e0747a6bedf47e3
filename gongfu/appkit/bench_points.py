"""The points of an app on a bench: what was given and what it wrote, of one type each."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.appkit.context.messages import AskWrite
from gongfu.appkit.contract import Samples, Values
from gongfu.appkit.value_columns import fitted, given, of_stored, qualities_of, type_of
from gongfu.kernel.points import ValueType
from gongfu.kernel.quality import parse_quality


@dataclass(slots=True)
class _Series:
    value_type: ValueType
    unit: str = ""
    parts: list[Samples] = field(default_factory=list[Samples])

    def all(self) -> Samples:
        if not self.parts:
            nothing = of_stored([], self.value_type)
            return Samples(np.empty(0, np.int64), nothing, np.empty(0, np.uint8), self.unit)
        times = np.concatenate([part.times for part in self.parts])
        order = np.argsort(times, kind="stable")
        keep = np.ones(len(order), bool)
        keep[:-1] = times[order][1:] != times[order][:-1]
        order = order[keep]
        values = np.concatenate([part.values for part in self.parts])[order]
        merged = Samples(
            times[order], values, np.concatenate([part.qualities for part in self.parts])[order], self.unit
        )
        self.parts = [merged]
        return merged


class BenchPoints:
    """Points by asset and name."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], _Series] = {}

    def of(self, asset: str, point: str) -> Samples:
        """Return all samples of a point in order of time, of equal times the last that came."""
        return self._series.get((asset, point), _Series(ValueType.DOUBLE)).all()

    def listed(self) -> Iterator[tuple[str, str, str, ValueType]]:
        """Yield asset, name, unit and type of each point, in order."""
        for (asset, point), series in sorted(self._series.items()):
            yield asset, point, series.unit, series.value_type

    def take(self, asset: str, point: str, value_type: ValueType, samples: Samples) -> None:
        """Keep samples.

        Raises:
            ValueError: the point is of another type.
        """
        series = self._series.setdefault((asset, point), _Series(value_type, samples.unit))
        if series.value_type is not value_type:
            raise ValueError(f"{point!r} of {asset!r} is {series.value_type.label} and {value_type.label}")
        series.unit = series.unit or samples.unit
        series.parts.append(samples)

    def fit(
        self, asset: str, point: str, times: NDArray[np.int64], values: Values, asked: str, quality: str
    ) -> tuple[ValueType, Samples]:
        """Return values as samples of a point: of the type it has, else that is asked for, else that fits them.

        Raises:
            ValueError: they are not of this type.
        """
        column, absent = given(values)
        return self._fit(asset, point, times, column, absent, asked, quality)

    def write(self, question: AskWrite) -> None:
        """Do what ``Context.write`` asks.

        Raises:
            ValueError: the values are not of the type of the point.
        """
        times, column, absent = question.columns()
        asset, point = question.asset, question.point
        value_type, samples = self._fit(asset, point, times, column, absent, question.made_as, question.quality)
        self.take(asset, point, value_type, Samples(times, samples.values, samples.qualities, question.unit))

    def _fit(
        self,
        asset: str,
        point: str,
        times: NDArray[np.int64],
        column: NDArray[Any],
        absent: NDArray[np.bool_],
        asked: str,
        quality: str,
    ) -> tuple[ValueType, Samples]:
        series = self._series.get((asset, point))
        value_type = series.value_type if series is not None else type_of(column, asked)
        column = fitted(column, absent, value_type)
        return value_type, Samples(times, column, qualities_of(column, absent, parse_quality(quality)))
