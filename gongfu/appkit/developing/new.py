"""A new app: a complete small one, to be changed."""

import re
import shutil
from pathlib import Path

import numpy as np

TEMPLATE = Path(__file__).parent / "template"
_NAME = re.compile(r"[a-z][a-z0-9-]{1,40}", re.ASCII)
_RATE_HZ = 100
_SECONDS = 60
_BAD = (20.0, 45.0)


class NewAppError(ValueError):
    """A new app cannot be made; the text says what to do."""


def write_new_app(name: str, parent: Path, publisher: str = "local") -> Path:
    """Write a new app into a folder of its name, and return the folder.

    Args:
        name: lower-case words with - between.
        parent: where the folder is made.
        publisher: first part of its identifier.

    Raises:
        NewAppError: the name is not fit, or the folder is there.
        OSError: it cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise NewAppError(f"{name!r} is no name of an app: write 2 to 41 of a-z, 0-9 and -, such as 'vibration'")
    if not _NAME.fullmatch(publisher.replace(".", "-")):
        raise NewAppError(f"{publisher!r} is no publisher: write lower-case words with dots, such as 'com.example'")
    folder = parent / name
    if folder.exists():
        raise NewAppError(f"{folder} is there already")
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    manifest = folder / "app.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"local.vibration"', f'"{publisher}.{name}"'), encoding="utf-8")
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "vibration.csv").write_text(made_up_recording(), encoding="utf-8")
    return folder


def made_up_recording() -> str:
    """Return a minute of the vibration of a machine, 100 values a second, as CSV; always the same.

    Noise and a sine of 25 Hz; from 20 s to 45 s ten times a second an impact that rings at 40 Hz.
    """
    random = np.random.default_rng(2026)
    times = np.arange(_RATE_HZ * _SECONDS) / _RATE_HZ
    values = 2.2 * np.sin(2 * np.pi * 25.0 * times + 0.7) + random.normal(0.0, 0.8, len(times))
    since = np.mod(times, 0.1)
    impact = 28.0 * np.exp(-since / 0.03) * np.cos(2 * np.pi * 40.0 * since)
    bad = (times >= _BAD[0]) & (times < _BAD[1])
    values[bad] += impact[bad]
    lines = [f"{time:.2f},machine 1,{value:.3f}" for time, value in zip(times, values, strict=True)]
    return "\n".join(["time,asset,vibration [mm/s]", *lines]) + "\n"
