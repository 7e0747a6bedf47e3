"""Compiled models: what the data path asks of a model, once for all assets of the type.

The hot path knows two arrays by series id, the least and the greatest value that is taken without a further look
(``Screen``). What is outside, or cannot be said by two numbers, is judged point by point (``CompiledModel.judge``).
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gongfu.kernel.points import EXACT_INTEGER_LIMIT, Series, ValueType
from gongfu.thing.types import Model, Policy, Property, value_type_of

# No value is between these: such points are always judged one by one.
_NEVER = (inf, -inf)
# Every value is between these.
ALWAYS = (-inf, inf)


class Violation(StrEnum):
    """Why a value is not what the model of its asset says."""

    TYPE = "model_type"
    RANGE = "model_range"
    UNKNOWN = "model_unknown_point"


class PropertyCheck:
    """What is asked of the values of one property.

    Attributes:
        name: name of the property.
        value_type: type of the point.
        unit: UCUM code, empty for none.
        text: what a new point is described by.
        policy: what becomes of values that are out of range.
        limits: bounds that a double takes without a further look.
        tested: bounds do not say all; ``fault`` does.
    """

    __slots__ = (
        "_choices", "_high", "_length", "_low", "limits", "name", "policy", "tested", "text", "unit", "value_type",
    )  # fmt: skip

    def __init__(self, name: str, item: Property, policy: Policy) -> None:
        self.name = name
        self.value_type = value_type_of(item.data_type)
        self.unit = item.unit
        self.text = item.description or item.titles.zh or item.titles.en
        self.policy: Policy = item.on_violation or policy
        self._low, self._high = item.minimum, item.maximum
        self._choices = frozenset(item.choices)
        self._length = item.max_length
        self.tested = False
        self.limits = self._limits()

    def fault(self, value: Any) -> str:
        """Return what is wrong with a value of the right type, empty for nothing.

        Args:
            value: a finite float, an int, a bool, or the text of a string or of JSON.
        """
        if self._low is not None and value < self._low:
            return f"{value} is below the minimum {self._low}{self._with_unit()}"
        if self._high is not None and value > self._high:
            return f"{value} is above the maximum {self._high}{self._with_unit()}"
        if self._length is not None and len(value) > self._length:
            return f"{len(value)} characters, at most {self._length}"
        if self._choices and value not in self._choices:
            return "not one of the choices of the model"
        return ""

    def _limits(self) -> tuple[float, float]:
        if self.policy == "accept":
            return ALWAYS
        if self._choices or self._length is not None:
            self.tested = True
            return _NEVER
        low = -inf if self._low is None else self._low
        high = inf if self._high is None else self._high
        if any(isinstance(bound, int) and abs(bound) > EXACT_INTEGER_LIMIT for bound in (low, high)):
            self.tested = True
            return _NEVER
        return float(low), float(high)

    def _with_unit(self) -> str:
        return f" {self.unit}" if self.unit else ""


class CompiledModel:
    """A model with all it inherits, as the data path uses it; shared by all its assets, never changed.

    Attributes:
        reference: ``name@version``.
        checks: by name of the property.
        unknown, type: policies for points that the model does not have, or has with another type.
    """

    __slots__ = ("checks", "reference", "type", "unknown")

    def __init__(self, reference: str, model: Model) -> None:
        self.reference = reference
        rules = model.validation
        self.unknown: Policy = rules.unknown
        self.type: Policy = rules.type
        self.checks: Mapping[str, PropertyCheck] = {
            name: PropertyCheck(name, item, rules.range) for name, item in model.properties.items()
        }

    def takes(self, name: str) -> bool:
        """Return whether an asset may have a point of a name."""
        return name in self.checks or self.unknown != "reject"

    def limits(self, name: str, value_type: ValueType) -> tuple[float, float]:
        """Return the bounds between which values of a point are taken without a further look."""
        check = self.checks.get(name)
        if check is None:
            return ALWAYS if self.unknown == "accept" else _NEVER
        if check.value_type is not value_type and self.type != "accept":
            return _NEVER
        return check.limits if check.value_type is value_type else ALWAYS

    def test(self, name: str, value_type: ValueType) -> Callable[[Any], str] | None:
        """Return what says of a value of the right type whether something is wrong, where bounds cannot; else None."""
        check = self.checks.get(name)
        return check.fault if check is not None and check.value_type is value_type and check.tested else None

    def judge(self, name: str, value_type: ValueType, value: Any) -> tuple[Violation, Policy, str] | None:
        """Return what is wrong with a value, what becomes of it, and words for it; None when nothing is.

        Args:
            name: name of the point.
            value_type: type that the point has.
            value: as ``PropertyCheck.fault``.
        """
        check = self.checks.get(name)
        if check is None:
            if self.unknown == "accept":
                return None
            return Violation.UNKNOWN, self.unknown, f"{self.reference} has no such property"
        if check.value_type is not value_type:
            if self.type == "accept":
                return None
            text = f"the point is {value_type.label}, {self.reference} says {check.value_type.label}"
            return Violation.TYPE, self.type, text
        if check.policy == "accept":
            return None
        text = check.fault(value)
        return (Violation.RANGE, check.policy, text) if text else None


class Binding:
    """A model of one asset, and the points of the asset by series id."""

    __slots__ = ("model", "names")

    def __init__(self, model: CompiledModel) -> None:
        self.model = model
        self.names: dict[int, str] = {}

    def note(self, points: Mapping[str, Series]) -> None:
        """Note points of the asset."""
        self.names.update((series.series, name) for name, series in points.items())


class Screen:
    """Bounds of all points of assets with a model, by series id. Not thread safe.

    Attributes:
        active: whether there are any; else nothing need be asked.
    """

    __slots__ = ("_high", "_low", "active")

    def __init__(self) -> None:
        self.active = False
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.active = False
        # The last entry stands for all series beyond: they have no model.
        self._low: NDArray[np.float64] = np.full(1, -inf)
        self._high: NDArray[np.float64] = np.full(1, inf)

    def release(self, series: Iterable[int]) -> None:
        """Forget the bounds of points of an asset that has no model any more."""
        for key in series:
            if key < len(self._low) - 1:
                self._low[key], self._high[key] = ALWAYS

    def bind(self, model: CompiledModel, points: Mapping[str, Series]) -> None:
        """Note the bounds of points of an asset of a model."""
        for name, series in points.items():
            low, high = model.limits(name, series.value_type)
            key = series.series
            if key >= len(self._low) - 1:
                if (low, high) == ALWAYS:
                    continue
                self._grow(key)
            self._low[key], self._high[key] = low, high
        self.active = True

    def inside(self, series: NDArray[np.uint32], values: NDArray[Any]) -> NDArray[np.bool_]:
        """Return ``bool`` of the shape of ``values``: those within the bounds of their series; NaN is not."""
        low = self._low.take(series, mode="clip")
        high = self._high.take(series, mode="clip")
        return (values >= low) & (values <= high)

    def _grow(self, key: int) -> None:
        size = max(1024, 2 * key)
        low, high = np.full(size + 1, -inf), np.full(size + 1, inf)
        low[: len(self._low) - 1], high[: len(self._high) - 1] = self._low[:-1], self._high[:-1]
        self._low, self._high = low, high
