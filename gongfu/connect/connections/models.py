"""Thing models of what the wizard makes."""

from collections.abc import Sequence

from gongfu.connect.preview.modelling import models_of
from gongfu.connect.preview.types import ProposedPoint
from gongfu.kernel.permissions import Subject
from gongfu.thing.instances import Instances, NewInstance, NewInstances
from gongfu.thing.service import ThingModels

_AT_ONCE = 1000


class ModelMaker:
    """Makes models and lets assets be of them. Methods block on the records."""

    def __init__(self, things: ThingModels, instances: Instances) -> None:
        self._things = things
        self._instances = instances

    def make(self, subject: Subject, name: str, points: Sequence[ProposedPoint]) -> list[tuple[str, list[str]]]:
        """Publish the models of some points; return (``name@version``, child paths of the assets) of each.

        The same points under the same name give no new version: many machines of one kind share it.

        Raises:
            Problem: 400 for what a model cannot have.
        """
        made: list[tuple[str, list[str]]] = []
        for model, children in models_of(name, points):
            document, _ = self._things.create(subject, model, publish=True)
            made.append((document.reference, children))
        return made

    def bind(self, subject: Subject, path: str, made: Sequence[tuple[str, list[str]]]) -> None:
        """Let assets be of models.

        Args:
            subject: who asks.
            path: of the asset of the connection.
            made: as of ``make``.

        Raises:
            Problem: 404 or 409 for the model.
        """
        for reference, children in made:
            items = [NewInstance(path=f"{path}/{child}" if child else path) for child in children]
            for start in range(0, len(items), _AT_ONCE):
                self._instances.bind(subject, reference, NewInstances(items=items[start : start + _AT_ONCE]))
