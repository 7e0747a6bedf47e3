"""The shared library of an FMU: instances, initialisation, variables by rows, serialised state."""

import copy
from collections.abc import Callable, Sequence
from ctypes import byref, c_int, c_size_t, c_void_p
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gongfu.reason.models.kinds.fmi.description import Unit, Variable
from gongfu.reason.models.kinds.types import KindError, refused
from gongfu.reason.models.sandbox.types import Column, FailureReason

# FMI status: OK and Warning go on (FMI 2.0 §2.1.3, FMI 3.0 §2.2.3).
WORST_STATUS = 1
_MOST_MESSAGES = 20

# FMI type -> (name in the function, type in memory).
_TYPES_2 = {"Real": ("Real", "f8"), **dict.fromkeys(("Integer", "Enumeration"), ("Integer", "i4"))}
_TYPES_2["Boolean"] = ("Boolean", "i4")
_TYPES_3 = {
    "Float64": ("Float64", "f8"),
    "Float32": ("Float32", "f4"),
    **{f"{sign}Int{bits}": (f"{sign}Int{bits}", f"{sign.lower() or 'i'}{bits // 8}") for sign in ("", "U")
       for bits in (8, 16, 32, 64)},
    "Enumeration": ("Int64", "i8"),
    "Boolean": ("Boolean", "u1"),
}  # fmt: skip


# (instance, one address a group)
Transfer = Callable[[int, Sequence[int]], None]


class Group(NamedTuple):
    """Variables that one call sets or gets.

    Attributes:
        type: FMI type, as in the function's name.
        kind: type in memory.
        ports: names of the ports, in order.
        references: their value references, kept in memory.
        address: where the references are.
        call: function(instance, references, n, values) -> status.
    """

    type: str
    kind: str
    ports: list[str]
    references: NDArray[np.uint32]
    address: int
    call: Callable[..., int]


class Library:
    """One loaded FMU; makes instances of it."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.messages: list[str] = []
        self._number = 0
        self._template: Any = self._load()
        self._types = _TYPES_2 if unit.version == 2 else _TYPES_3
        self.inputs = self._groups("Set", unit.inputs)
        self.outputs = self._groups("Get", unit.outputs)
        self.set = self._transfer(self.inputs, "set inputs")
        self.get = self._transfer(self.outputs, "get outputs")

    def _load(self) -> Any:
        import fmpy.fmi2
        import fmpy.fmi3

        unit = self.unit
        kinds = {
            (2, False): fmpy.fmi2.FMU2Slave,
            (2, True): fmpy.fmi2.FMU2Model,
            (3, False): fmpy.fmi3.FMU3Slave,
            (3, True): fmpy.fmi3.FMU3Model,
        }
        try:
            found: Any = kinds[unit.version, unit.exchange](
                guid=unit.model.guid,
                modelIdentifier=unit.interface.modelIdentifier,
                unzipDirectory=str(unit.folder),
                instanceName="model",
            )
        except AttributeError as error:
            raise refused(f"the FMU's library lacks a function of FMI {unit.version}: {error}") from None
        except Exception as error:
            # FMPy raises bare exceptions; dlopen's own words are in them.
            text = str(error).replace(str(unit.folder), "")
            raise refused(f"the FMU's library cannot be loaded: {text[:500]}") from None
        if unit.version == 2:
            # FMI 2 hands over a table of callbacks; its logger goes through FMPy's proxy, which formats the message.
            from fmpy.logging import addLoggerProxy

            callbacks = fmpy.fmi2.fmi2CallbackFunctions()
            callbacks.logger = fmpy.fmi2.fmi2CallbackLoggerTYPE(self._log_2)
            callbacks.allocateMemory = fmpy.fmi2.defaultCallbacks.allocateMemory
            callbacks.freeMemory = fmpy.fmi2.defaultCallbacks.freeMemory
            addLoggerProxy(byref(callbacks))
            self._callbacks: Any = callbacks
        return found

    def _log_2(self, environment: Any, instance: Any, status: int, category: Any, message: bytes | None) -> None:
        del environment, instance, category
        self._log(status, message)

    def _log_3(self, environment: Any, status: int, category: Any, message: bytes | None) -> None:
        del environment, category
        self._log(status, message)

    def _log(self, status: int, message: bytes | None) -> None:
        # What is well is not kept: an FMU that says so at every step would wait for its own words to be read.
        if status == 0 or len(self.messages) >= _MOST_MESSAGES:
            return
        text = (message or b"").decode(errors="replace").strip()
        print(f"[{status}] {text[:2000]}")
        self.messages.append(text)

    def _groups(self, verb: str, variables: Sequence[Variable]) -> list[Group]:
        by_type: dict[tuple[str, str], list[Variable]] = {}
        for each in variables:
            by_type.setdefault(self._types[each.type], []).append(each)
        return [self._group(verb, name, kind, each) for (name, kind), each in by_type.items()]

    def _group(self, verb: str, name: str, kind: str, variables: Sequence[Variable]) -> Group:
        references = np.array([each.reference for each in variables], dtype=np.uint32)
        function = self.function(f"{verb}{name}")
        pointers = [c_void_p, c_void_p, c_size_t, c_void_p]
        count = len(references)
        if self.unit.version == 2:
            function.argtypes = pointers
            call = function
        else:
            function.argtypes = [*pointers, c_size_t]

            def call(instance: int, addresses: int, n: int, values: int) -> int:
                return function(instance, addresses, n, values, count)

        return Group(name, kind, [each.port for each in variables], references, references.ctypes.data, call)

    def function(self, name: str) -> Any:
        """Return a function of the library by its name without ``fmi2`` or ``fmi3``, to be given its own types."""
        function = self._template.dll[f"fmi{self.unit.version}{name}"]
        function.restype = c_int
        return function

    def instance(self) -> Any:
        """Return FMPy's object of a new instance.

        Raises:
            KindError: the FMU refused.
        """
        self._number += 1
        found = copy.copy(self._template)
        found.instanceName = f"model{self._number}"
        self.messages.clear()
        try:
            if self.unit.version == 2:
                found.instantiate(callbacks=self._callbacks, loggingOn=True)
            else:
                found.instantiate(logMessage=self._log_3, loggingOn=True)
        except Exception as error:
            raise self.failure(f"the FMU cannot be instantiated ({error})") from None
        return found

    def initialise(self, fmu: Any, parameters: list[tuple[Variable, float]], inputs: list[int]) -> None:
        """Take an instance through initialisation at time 0, with the inputs that stand at these addresses (none: the
        FMU's own start values).

        Raises:
            FMICallException: the FMU refused.
        """
        for variable, value in parameters:
            name, kind = self._types[variable.type]
            group = self._group("Set", name, kind, [variable])
            held = whole(np.array([value]), kind)
            self.check(group.call(fmu.component, group.address, 1, held.ctypes.data), f"set {variable.name}")
        if self.unit.version == 2:
            fmu.setupExperiment(tolerance=self.unit.tolerance, startTime=0.0)
            fmu.enterInitializationMode()
        else:
            fmu.enterInitializationMode(tolerance=self.unit.tolerance, startTime=0.0)
        if inputs:
            self.set(fmu.component, inputs)
        fmu.exitInitializationMode()

    def _transfer(self, groups: Sequence[Group], what: str) -> Transfer:
        """Return what sets or gets all groups of an instance from or to rows in memory, one address a group."""
        calls = [(each.call, each.address, len(each.ports)) for each in groups]
        if len(calls) == 1:
            # Most FMUs have one type: a loop costs as much as the call.
            ((only, references, count),) = calls

            def one(component: int, addresses: Sequence[int]) -> None:
                status = only(component, references, count, addresses[0])
                if status > WORST_STATUS:
                    self.check(status, what)

            return one

        def all_of_them(component: int, addresses: Sequence[int]) -> None:
            for (call, references, count), address in zip(calls, addresses, strict=True):
                status = call(component, references, count, address)
                if status > WORST_STATUS:
                    self.check(status, what)

        return all_of_them

    def check(self, status: int, what: str) -> None:
        """Raise when a call failed."""
        if status > WORST_STATUS:
            label = {2: "discard", 3: "error", 4: "fatal error"}.get(status, f"status {status}")
            raise self.failure(f"{what}: the FMU answered {label}")

    def failure(self, detail: str) -> KindError:
        """Return the error for a call that failed, with the last line that the FMU logged."""
        said = ""
        if self.messages:
            lines = [line.strip() for line in self.messages[-1].splitlines() if line.strip()]
            said = f": {lines[-1][:300]}" if lines else ""
            self.messages.clear()
        reason = FailureReason.MEMORY if "MemoryError" in said else FailureReason.RAISED
        return KindError(reason, detail + said)

    def free(self, fmu: Any) -> None:
        """Free an instance; the library stays."""
        try:
            fmu.terminate()
        except Exception:
            # It is freed all the same: terminate is not allowed after an error (FMI 2.0 §4.2.4).
            self.messages.clear()
        free = fmu.fmi2FreeInstance if self.unit.version == 2 else fmu.fmi3FreeInstance
        free(fmu.component)


def whole(column: Column, kind: str) -> NDArray[np.generic]:
    """Return finite float64 values in an FMI type: rounded and cut to its range, booleans by ``!= 0``."""
    if kind.startswith("f"):
        return column.astype(kind)
    if kind == "u1":
        return (column != 0).astype(np.uint8)
    limits = np.iinfo(kind)
    # float64 cannot hold the last numbers of 64 bits.
    return np.clip(np.rint(column), float(limits.min), np.nextafter(float(limits.max), 0)).astype(kind)
