"""Turn what was learnt and what is carried on into bytes and back. Numbers come back bit by bit; no code is stored."""

import io
import json
from dataclasses import asdict

import numpy as np

from .monitor import Carried
from .normal_operation import NormalOperation
from .training import Limits, Trained

FORM = 1


def pack_trained(trained: Trained) -> bytes:
    """Return what was learnt as an ``.npz`` file."""
    normal = trained.normal
    about = {
        "form": FORM,
        "lags": normal.lags,
        "shrinkage": normal.shrinkage,
        "leading": normal.leading,
        "limits": asdict(trained.limits),
        "usual": trained.usual,
        "samples": trained.samples,
        "false_alarms": trained.false_alarms,
    }
    file = io.BytesIO()
    np.savez(
        file,
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        centre=normal.centre,
        spread=normal.spread,
        components=normal.components,
        variances=normal.variances,
    )
    return file.getvalue()


def unpack_trained(data: bytes) -> Trained:
    """Return what ``pack_trained`` packed, without the likelihoods.

    Raises:
        ValueError: the data is of another form.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        about = json.loads(file["about"].tobytes())
        if about["form"] != FORM:
            raise ValueError(f"what was learnt is stored in form {about['form']}; learn again")
        normal = NormalOperation(
            centre=file["centre"],
            spread=file["spread"],
            lags=about["lags"],
            shrinkage=about["shrinkage"],
            components=file["components"],
            variances=file["variances"],
            leading=about["leading"],
        )
    return Trained(normal, Limits(**about["limits"]), about["usual"], about["samples"], about["false_alarms"], {})


def pack_carried(carried: Carried) -> bytes:
    """Return the state of a monitor as an ``.npz`` file."""
    file = io.BytesIO()
    np.savez(file, before=carried.before, average=np.array([carried.average]), falls=carried.falls)
    return file.getvalue()


def unpack_carried(data: bytes) -> Carried:
    """Return what ``pack_carried`` packed."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return Carried(file["before"], float(file["average"][0]), file["falls"])
