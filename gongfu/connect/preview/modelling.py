"""From a proposal to thing models: assets with the same points are of one model. Pure."""

from collections.abc import Sequence

from gongfu.connect.preview.types import ProposedPoint
from gongfu.thing.names import fit_model_name, fit_text
from gongfu.thing.report import Report
from gongfu.thing.types import MAX_MEMBERS, Model, Property

_TEXT = 1000


def models_of(name: str, points: Sequence[ProposedPoint]) -> list[tuple[Model, list[str]]]:
    """Return models, and by each the child paths of its assets ("" is the asset of the connection).

    The model of the connection's own asset, or the only one, has the name; others have that of their first asset after
    it. An asset with more points than a model may have is left without one.

    Args:
        name: of the model.
        points: those that are to be made.
    """
    members: dict[str, dict[str, Property]] = {}
    for point in points:
        address = point.address
        members.setdefault(address.asset, {})[address.point] = Property(
            data_type=address.value_type,  # pyright: ignore[reportArgumentType]
            unit=address.unit,
            deadband=address.deadband,
            writable=address.writable,
            description=fit_text(point.description, _TEXT, Report(), ""),
        )
    shapes: dict[tuple[tuple[str, Property], ...], list[str]] = {}
    for child in sorted(members):
        if len(members[child]) <= MAX_MEMBERS:
            # What stands in the description may differ from pump to pump.
            shape = tuple(sorted((point, _plain(item)) for point, item in members[child].items()))
            shapes.setdefault(shape, []).append(child)
    found: list[tuple[Model, list[str]]] = []
    for children in shapes.values():
        child = children[0]
        text = name if not child or len(shapes) == 1 else f"{name} {child.rpartition('/')[2]}"
        found.append((Model(name=_free(text, found), properties=members[child]), children))
    return found


def _plain(item: Property) -> Property:
    return Property(data_type=item.data_type, unit=item.unit, deadband=item.deadband, writable=item.writable)


def _free(text: str, found: Sequence[tuple[Model, list[str]]]) -> str:
    """Return a name that a model may have and none of the others has."""
    name = fit_model_name(text, Report(), "")
    taken = {model.name for model, _ in found}
    number = 2
    free = name
    while free in taken:
        free = f"{name[:90]} {number}"
        number += 1
    return free
