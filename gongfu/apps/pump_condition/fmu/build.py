"""Make the FMU: ``python -m gongfu.apps.pump_condition.fmu.build --fmi 3 FOLDER`` (needs pythonfmu or pythonfmu3).

The FMU contains the text of ``water.py`` and ``balance.py`` of this app, one after the other, and a class of a few
lines that hands variables in and out: so it cannot answer differently. What describes the installation are parameters.
"""

import argparse
import contextlib
import importlib
import io
import tempfile
from pathlib import Path

APP = Path(__file__).parents[1]
INPUTS = {"flow": "m3/h", "suction": "kPa", "discharge": "kPa", "power": "kW", "temperature": "degC"}
OUTPUTS = {"head": "m", "hydraulic_power": "kW", "efficiency": "%", "specific_energy": "kWh/m3", "npsh": "m"}
PARAMETERS = {"suction_m": 0.150, "discharge_m": 0.125, "lift_m": 0.3, "motor": 0.94}

_BODY = '''
INPUTS = {inputs!r}
OUTPUTS = {outputs!r}
PARAMETERS = {parameters!r}


class PumpBalance({base}):
    """Energy balance of a pump: total head, hydraulic power, efficiency, specific energy and NPSH (ISO 9906), water."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        {time}
        for name in INPUTS:
            setattr(self, name, 0.0)
            self.register_variable({real}(name, causality={enum}Causality.input))
        for name, value in PARAMETERS.items():
            setattr(self, name, value)
            self.register_variable(
                {real}(name, causality={enum}Causality.parameter, variability={enum}Variability.{fixed})
            )
        for name in OUTPUTS:
            setattr(self, name, float("nan"))
            self.register_variable({real}(name, causality={enum}Causality.output))

    def do_step(self, current_time, step_size):
        place = Installation(self.suction_m, self.discharge_m, self.lift_m, self.motor)
        flow, temperature, power = self.flow, self.temperature, self.power
        runs = flow >= {least_flow!r} and power >= {least_power!r}
        self.head = total_head(flow, self.suction, self.discharge, temperature, place)
        self.hydraulic_power = hydraulic_power(flow, self.head, temperature)
        self.npsh = npsh_available(flow, self.suction, temperature, place)
        self.efficiency = self.specific_energy = float("nan")
        if runs:
            self.efficiency = 100.0 * pump_efficiency(flow, self.head, power, temperature, place)
            self.specific_energy = specific_energy(flow, power)
        return {done}
'''

_FMI2 = """
from pythonfmu import Fmi2Causality, Fmi2Slave, Fmi2Variability, Real
"""
_FMI3 = """
from pythonfmu3 import Fmi3Causality, Fmi3Slave, Fmi3Variability, Float64
from pythonfmu3.fmi3slave import Fmi3StepResult
"""
_TIME3 = (
    "self.time = 0.0; self.register_variable("
    'Float64("time", causality=Fmi3Causality.independent, variability=Fmi3Variability.continuous))'
)


def source(fmi: int) -> str:
    """Return the Python source of the FMU's class for FMI 2 or 3."""
    from gongfu.apps.pump_condition.models.pump import LEAST_FLOW, LEAST_POWER

    two = fmi == 2
    body = _BODY.format(
        inputs=INPUTS,
        outputs=OUTPUTS,
        parameters=PARAMETERS,
        base="Fmi2Slave" if two else "Fmi3Slave",
        enum="Fmi2" if two else "Fmi3",
        real="Real" if two else "Float64",
        fixed="fixed",
        time="pass" if two else _TIME3,
        done="True" if two else "Fmi3StepResult()",
        least_flow=LEAST_FLOW,
        least_power=LEAST_POWER,
    )
    return _balance() + (_FMI2 if two else _FMI3) + body


def _balance() -> str:
    """Return both files of the balance as one: without what one imports of the other, and with one future import."""
    water, balance = ((APP / name).read_text(encoding="utf-8") for name in ("water.py", "balance.py"))
    head = balance.index("from __future__")
    lines = balance[head:].splitlines(keepends=True)
    return water + "".join(line for line in lines if not line.startswith(("from __future__", "from .water")))


def build(fmi: int, folder: Path) -> Path:
    """Build the FMU of FMI 2 or 3 into a folder and return its file.

    Raises:
        ModuleNotFoundError: pythonfmu or pythonfmu3 is not installed.
    """
    module = importlib.import_module("pythonfmu.builder" if fmi == 2 else "pythonfmu3.builder")
    with tempfile.TemporaryDirectory(prefix="gongfu-fmu-") as scratch:
        script = Path(scratch) / "PumpBalance.py"
        script.write_text(source(fmi), encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()):
            built = module.FmuBuilder.build_FMU(script, dest=folder, canHandleVariableCommunicationStepSize=True)
    return Path(built)


def main() -> None:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fmi", type=int, choices=(2, 3), default=3)
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    print(build(chosen.fmi, chosen.folder))


if __name__ == "__main__":
    main()
