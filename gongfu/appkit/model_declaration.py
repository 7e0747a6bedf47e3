"""How an app declares a mechanism model: a decorator over a pure function of columns."""

from collections.abc import Callable, Sequence

from gongfu.reason.models.types import ModelDefinition, ModelFunction, Port


def model(
    *,
    id: str,
    version: str,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    name: str = "",
    description: str = "",
    tolerance_s: float = 0.0,
) -> Callable[[ModelFunction], ModelDefinition]:
    """Declare a pure function of columns as a mechanism model; the decorated name becomes the ``ModelDefinition``.

    The function gets ``(columns, dt)``: ``float64[n]`` by input port, read-only, in ascending source time and converted
    to the port's unit, and ``float64[n]`` seconds since the previous row of the asset (NaN for the first). It returns
    one ``float64[n]`` for each output port, keeps no state and does no I/O: the host may call it again with the same
    rows in other groupings and expects equal answers. A row exists when every input has a good or uncertain sample
    there, or with ``tolerance_s`` a last one at most that much older. Bad inputs make bad outputs, as do NaN and
    infinity.

    Args:
        id: dotted lower-case name, unique on the node.
        version: ``major.minor.patch``.
        inputs: input ports with UCUM units.
        outputs: output ports; each becomes a point of the asset the model is bound to.
        name: title for people; default: the id.
        description: default: the function's docstring.
        tolerance_s: how old the last known sample of another input may be, in seconds of source time.

    Raises:
        ModelDefinitionError: the declaration is wrong; the message says what to change.
    """

    def declare(function: ModelFunction) -> ModelDefinition:
        return ModelDefinition(
            id=id,
            version=version,
            name=name or id,
            description=description or (function.__doc__ or "").strip(),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            function=function,
            tolerance_s=tolerance_s,
        )

    return declare
