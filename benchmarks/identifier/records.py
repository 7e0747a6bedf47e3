"""Records to measure with: pumps of a factory, seven attributes, 165 bytes with their key.

Of each record eight bytes are random (16 hexadecimal digits); model, day and batch vary as they do in a factory, maker
and link go with the model. Names are invented; numbers of records count up.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gongfu.identify.templates.types import Attribute, DataType, Template, TemplateState

PUMP = Template(
    name="pump",
    title={"en": "Pump", "zh": "泵"},
    industry="C34",
    attributes=(
        Attribute(name="model", index=2000, required=True, max_length=40),
        Attribute(name="maker", index=2001, required=True),
        Attribute(name="serial", index=2002, required=True, pattern="[0-9a-f]{16}"),
        Attribute(name="made", index=2003, type=DataType.DATE),
        Attribute(name="batch", index=2004),
        Attribute(name="power", index=2005, type=DataType.DECIMAL, minimum=0, unit="kW"),
        Attribute(name="url", index=2006, type=DataType.URL),
    ),
    state=TemplateState.PUBLISHED,
)
NAMES = tuple(attribute.name for attribute in PUMP.attributes)
_MODELS = 500
_MAKERS = 40
_DAYS = 336


def prefix_name(number: int) -> str:
    """Return the name of an enterprise's prefix, below a root that nobody has been allocated."""
    return f"99.{1000 + number // 1000}.{number % 1000 + 1}"


def suffix(number: int) -> str:
    """Return the suffix of a record."""
    return f"P{number:09d}"


def _taken(texts: list[str], places: np.ndarray) -> pa.Array:
    return pa.array(texts).take(pa.array(places))


def _joined(*parts: pa.Array | str) -> pa.Array:
    scalars = [pa.scalar(part) if isinstance(part, str) else part for part in parts]
    return pc.call_function("binary_join_element_wise", [*scalars, pa.scalar("")])


def numbers(first: int, count: int, width: int) -> pa.Array:
    """Return numbers from ``first`` on as texts of so many digits."""
    digits = np.arange(first, first + count, dtype=np.int64)[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10
    data = (digits + ord("0")).astype(np.uint8)
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data.tobytes())])


def random_hexadecimal(generator: np.random.Generator, count: int) -> pa.Array:
    """Return texts of 16 random digits."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    raw = generator.integers(0, 256, (count, 8), np.uint8)
    data = np.empty((count, 16), np.uint8)
    data[:, 0::2], data[:, 1::2] = digits[raw >> 4], digits[raw & 15]
    offsets = np.arange(0, (count + 1) * 16, 16, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data.tobytes())])


def table(first: int, count: int, seed: int = 1, *, suffixes: pa.Array | None = None) -> pa.Table:
    """Return records ``first`` to ``first + count``: the column ``suffix`` and the attributes."""
    generator = np.random.default_rng((seed, first))
    batches = numbers(first // 500, count // 500 + 1, 6).take(pa.array(np.arange(count) // 500))
    return pa.table(
        {
            "suffix": _joined("P", numbers(first, count, 9)) if suffixes is None else suffixes,
            "serial": random_hexadecimal(generator, count),
            "batch": _joined("B2026", batches),
            **_varied(count),
        }
    )


@lru_cache(maxsize=4)
def _varied(count: int) -> dict[str, pa.Array]:
    """Return the columns that have few different values; drawn once for tables of a size."""
    generator = np.random.default_rng(count)
    models = generator.integers(0, _MODELS, count)
    model_names = [f"QLP-{model:04d}-{'ABCDEFGH'[model % 8]}" for model in range(_MODELS)]
    makers = [f"Example Pump Works No. {maker:02d} Co., Ltd." for maker in range(_MAKERS)]
    days = [f"2026-{day // 28 + 1:02d}-{day % 28 + 1:02d}" for day in range(_DAYS)]
    powers = [f"{75 + model % 5 * 15}.{model % 10}" for model in range(_MODELS)]
    links = [f"https://example.com/products/pumps/qlp-{model:04d}" for model in range(_MODELS)]
    return {
        "model": _taken(model_names, models),
        "maker": _taken(makers, models % _MAKERS),
        "made": _taken(days, generator.integers(0, _DAYS, count)),
        "power": _taken(powers, models),
        "url": _taken(links, models),
    }


def tables(first: int, count: int, size: int) -> Iterator[pa.Table]:
    """Yield records in parts."""
    for start in range(first, first + count, size):
        yield table(start, min(size, first + count - start))
