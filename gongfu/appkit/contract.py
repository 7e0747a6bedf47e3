"""The public contract of apps. Semantic versioning applies to every name in ``__all__``.

A model is a pure function of columns, declared in ``gongfu/apps/<app>/model.py`` (the host imports that module)::

    from collections.abc import Mapping

    from gongfu.appkit.contract import Column, Port, model


    @model(
        id="pump.hydraulic-power",
        version="1.0.0",
        name="Hydraulic power",
        inputs=[Port("flow", "m3/s"), Port("head", "m", point="discharge head")],
        outputs=[Port("power", "kW", point="hydraulic power")],
        tolerance_s=5,
    )
    def hydraulic_power(columns: Mapping[str, Column], dt: Column) -> Mapping[str, Column]:
        '''P = rho g Q H (water at 20 Cel).'''
        return {"power": 998.2 * 9.80665 * columns["flow"] * columns["head"] / 1000.0}

What the host promises:

- Every column is ``float64[n]`` of the same n >= 1, in ascending source time, already converted to the port's unit.
  Arrays are read-only. Booleans come as 0.0 and 1.0.
- ``dt`` is ``float64[n]``: seconds since the previous sample set of the same asset; NaN for the first one.
- A sample set exists at a source time when every input has a good or uncertain sample there or, with ``tolerance_s``,
  a last known one that is at most that much older. It is evaluated once, even if inputs are corrected later.
- If any input of a set is bad, the outputs of that row are stored as bad, whatever the function returns.
  The worst severity of the inputs becomes the quality of the outputs; NaN or infinite outputs are stored as bad.
- What the function raises is caught, counted, and shown in the binding's status; nothing else stops.

What the function must do: return one float64 column of length n for each output port; keep no state and do no I/O
(the host may call it again with the same rows after a restart, in other groupings, and expects equal answers).
"""

from collections.abc import Callable, Sequence

from gongfu.reason.models.types import Column, ModelDefinition, ModelDefinitionError, ModelFunction, Port

__all__ = [
    "CONTRACT_VERSION",
    "Column",
    "ModelDefinition",
    "ModelDefinitionError",
    "ModelFunction",
    "Port",
    "model",
]

CONTRACT_VERSION = "0.1.0"


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
    """Declare a function as a mechanism model; the decorated name becomes the ``ModelDefinition``.

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
