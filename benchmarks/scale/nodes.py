"""Nodes for the benchmark: fresh data directories, free ports."""

import time
from pathlib import Path

from demo.node import NodeProcess, Ports, free_port, write_configuration


def say(text: str) -> None:
    """Print progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def new_node(folder: Path, *, doors: int = 1, extra_mqtt: str = "", extra: str = "") -> NodeProcess:
    """Return a node that is not started, with its data in ``folder``.

    Args:
        folder: data directory, made here.
        doors: front door processes.
        extra_mqtt: further lines of the section ``[mqtt]``.
        extra: further sections.
    """
    folder.mkdir(parents=True)
    ports = Ports(web=free_port(), mqtt=free_port())
    configuration = folder.with_suffix(".toml")
    write_configuration(configuration, folder, ports, door_processes=doors, extra=extra)
    if extra_mqtt:
        text = configuration.read_text(encoding="utf-8")
        configuration.write_text(text.replace("[mqtt]\n", f"[mqtt]\n{extra_mqtt}"), encoding="utf-8")
    return NodeProcess(folder, configuration, ports)
