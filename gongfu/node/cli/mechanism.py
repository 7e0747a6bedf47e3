"""``gongfu mechanism``: mechanism models (机理模型); ``gongfu model`` is about thing models (物模型)."""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import click

from gongfu.node.cli.failures import FAILED, Failure
from gongfu.node.cli.mechanism_output import ports_of, print_bindings, print_inspection, print_jobs, states_of
from gongfu.node.cli.node_api import NodeApi, connect, segment
from gongfu.node.cli.options import node_options
from gongfu.node.cli.output import print_json, print_table

_KINDS = {
    ".py": "python",
    ".zip": "python",
    ".fmu": "fmu",
    ".onnx": "onnx",
    ".sql": "sql",
    ".csv": "table",
    ".json": "table",
}
_POLL_S = 0.5


@click.group("mechanism")
def command() -> None:
    """Register, bind, call and back-fill mechanism models (机理模型)."""


@command.command("register")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--kind", type=click.Choice(["python", "fmu", "onnx", "table", "sql"]), help="Default: by the file's name."
)
@click.option("--id", "key", help="Dotted name, such as pump.power; default: what the artifact says.")
@click.option("--version", help="major.minor.patch; default: what the artifact says.")
@click.option("--name", help="Title.")
@click.option("--spec", "spec_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="JSON file with further members of the definition: ports, step_s, limits, quota.")  # fmt: skip
@click.option("--preview", is_flag=True, help="Say what the sandbox reads from it, and register nothing.")
@node_options
def register(
    file: Path,
    kind: str | None,
    key: str | None,
    version: str | None,
    name: str | None,
    spec_file: Path | None,
    preview: bool,
    as_json: bool,
    **node: Any,
) -> None:
    """Register FILE (.py, .fmu, .onnx, a table or .sql) as a version of a model; it becomes the current one."""
    kind = kind or _KINDS.get(file.suffix.lower())
    if kind is None:
        raise click.UsageError(f"--kind is needed: nothing is known of files like {file.name}")
    spec = _definition(spec_file) if spec_file else {}
    api = connect(**node)
    inspection = _send(api, file, kind)
    if preview:
        print_inspection(inspection, as_json)
        return
    spec["kind"] = kind
    spec |= {member: value for member, value in (("id", key), ("version", version)) if value}
    if name:
        spec["name"] = {"en": name}
    document = api.post("/models", {"spec": spec, "sha256": inspection["sha256"]})
    for warning in inspection["description"]["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    if as_json:
        print_json(document)
    else:
        print(f"{document['id']} {document['version']} ({document['kind']}): {ports_of(document)}")


def _definition(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:
        raise click.UsageError(f"{file.name} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError(f"{file.name} must be one JSON object with members of the definition")
    return dict[str, Any](found)


def _send(api: NodeApi, file: Path, kind: str) -> dict[str, Any]:
    with file.open("rb") as content:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
        return json.loads(b"".join(api.upload("/models:inspect", content, headers, {"kind": kind})))


@command.command("list")
@node_options
def list_(as_json: bool, **node: Any) -> None:
    """List models with what their bindings do."""
    models = connect(**node).get("/models")
    if as_json:
        print_json(models)
        return
    rows = [
        (
            one["id"],
            one["version"],
            one["kind"],
            one["owner"] or "people",
            len(one["bindings"]),
            states_of(one),
            ports_of(one),
        )
        for one in models
    ]
    print_table(("model", "version", "kind", "owner", "bindings", "assets", "ports"), rows, "no models")


@command.command("show")
@click.argument("model")
@node_options
def show(model: str, as_json: bool, **node: Any) -> None:
    """Show a model: ports, parameters, versions, bindings."""
    found = connect(**node).get(f"/models/{segment(model)}")
    if as_json:
        print_json(found)
        return
    print(f"{found['id']} {found['version']} ({found['kind']}) {found['name']}")
    if found["description"]:
        print(found["description"].strip().splitlines()[0])
    rows = [(word, port["name"], port["unit"], port["point"], port["description"])
            for word in ("inputs", "outputs") for port in found[word]]  # fmt: skip
    rows += [
        ("parameter", item["name"], item["unit"], item["default"], item["description"]) for item in found["parameters"]
    ]
    print_table(("what", "name", "unit", "point or default", "description"), rows, "no ports")
    print(
        f"versions: {', '.join(one['version'] + (' (current)' if one['current'] else '') for one in found['versions'])}"
    )
    print_bindings(found)


@command.command("assets")
@click.argument("model")
@click.argument("binding", type=int)
@click.option("--state", type=click.Choice(["running", "waiting", "refused", "failing"]))
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@node_options
def assets(model: str, binding: int, state: str | None, limit: int, as_json: bool, **node: Any) -> None:
    """List the assets of a binding: running, waiting for which point, refused why."""
    items = connect(**node).items(f"/models/{segment(model)}/bindings/{binding}/assets", limit, state=state)
    if as_json:
        print_json(items)
        return
    rows = [
        (one["asset_path"], one["status"], one["evaluated"], one["failed"], one["incomplete"], one["reason"])
        for one in items
    ]
    print_table(("asset", "status", "rows", "failed", "incomplete", "why"), rows, "no assets")


@command.command("bind")
@click.argument("model")
@click.option("--asset", help="Path of one asset.")
@click.option("--assets", help="Glob of asset paths, such as 'hall/**'; those that come later bind by themselves.")
@click.option("--type", "type_", help="With --assets: only assets of this thing model, such as pump.")
@click.option(
    "--point", "points", multiple=True, metavar="PORT=POINT", help="Point of an input, where it is not the port's."
)
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Value of a parameter.")
@click.option("--version", help="Version that runs; default: always the current one.")
@click.option("--assume-units", is_flag=True, help="Points that declare no unit have the port's.")
@node_options
def bind(
    model: str,
    asset: str | None,
    assets: str | None,
    type_: str | None,
    points: tuple[str, ...],
    parameters: tuple[str, ...],
    version: str | None,
    assume_units: bool,
    as_json: bool,
    **node: Any,
) -> None:
    """Bind a model to one asset (--asset), or to all that match (--assets, --type)."""
    body = {
        "asset": asset or "",
        "assets": assets or ("**" if type_ and not asset else ""),
        "type": type_ or "",
        "points": dict(_pair(one, "--point") for one in points),
        "parameters": {name: _number(value) for name, value in (_pair(one, "--parameter") for one in parameters)},
        "version": version or "",
        "assume_units": assume_units,
    }
    found = connect(**node).call("PUT", f"/models/{segment(model)}/bindings", body)
    if as_json:
        print_json(found)
    else:
        print_bindings(found)


@command.command("unbind")
@click.argument("model")
@click.option("--asset", help="Path of the asset of a binding to one asset.")
@click.option("--binding", type=int, help="Id of a binding, as `show` tells it.")
@node_options
def unbind(model: str, asset: str | None, binding: int | None, as_json: bool, **node: Any) -> None:
    """Remove a binding; what the model wrote stays."""
    if (asset is None) == (binding is None):
        raise click.UsageError("give --asset or --binding")
    connect(**node).call("DELETE", f"/models/{segment(model)}/bindings", query={"asset": asset, "binding": binding})
    print_json({}) if as_json else print("removed")


@command.command("invoke")
@click.argument("model")
@click.argument("values", nargs=-1, metavar="[PORT=VALUE[,VALUE…]]…")
@click.option("--unit", "units", multiple=True, metavar="PORT=UNIT", help="UCUM unit of the values, such as t=Cel.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Value of a parameter.")
@click.option("--version", help="Version to call; default: the current one.")
@click.option("--from", "time_from", help="Of a SQL model: RFC 3339 time.")
@click.option("--to", "time_to", help="Of a SQL model: RFC 3339 time.")
@click.option("--asset", help="Of a SQL model: path of the asset.")
@node_options
def invoke(
    model: str,
    values: tuple[str, ...],
    units: tuple[str, ...],
    parameters: tuple[str, ...],
    version: str | None,
    time_from: str | None,
    time_to: str | None,
    asset: str | None,
    as_json: bool,
    **node: Any,
) -> None:
    """Call a model with columns of values: gongfu mechanism invoke pump.power flow=0.1,0.2 head=30,32."""
    body: dict[str, Any] = {
        "units": dict(_pair(one, "--unit") for one in units),
        "parameters": {name: _number(value) for name, value in (_pair(one, "--parameter") for one in parameters)},
        "version": version or "",
    }
    if time_from or time_to:
        body |= {"from": time_from or "", "to": time_to or "", "asset": asset or ""}
    else:
        columns = {name: text.split(",") for name, text in (_pair(one, "PORT=VALUE") for one in values)}
        body["columns"] = {name: [_number(item) for item in items] for name, items in columns.items()}
    answer = connect(**node).post(f"/models/{segment(model)}:invoke", body)
    if as_json:
        print_json(answer)
        return
    head = [f"{name} [{answer['units'][name]}]" for name in answer["columns"]]
    rows = list(zip(*answer["columns"].values(), strict=True))
    if answer["times"]:
        head, rows = ["time", *head], [(at, *row) for at, row in zip(answer["times"], rows, strict=True)]
    print_table(head, rows, "no rows")


@command.command("backfill")
@click.argument("model")
@click.option("--from", "time_from", required=True, help="RFC 3339 time of the first samples.")
@click.option("--to", "time_to", required=True, help="RFC 3339 time before which samples are taken.")
@click.option("--assets", default="**", show_default=True, help="Glob: of the bound assets, those that match.")
@click.option("--version", help="Version to compute with; default: the one each binding runs.")
@click.option("--wait", is_flag=True, help="Wait until it is over; status 1 when it failed.")
@node_options
def backfill(
    model: str, time_from: str, time_to: str, assets: str, version: str | None, wait: bool, as_json: bool, **node: Any
) -> None:
    """Compute a model over history."""
    api = connect(**node)
    body = {"from": time_from, "to": time_to, "assets": assets, "version": version or ""}
    job = api.post(f"/models/{segment(model)}:backfill", body)
    while wait and job["state"] in ("waiting", "running", "cancelling"):
        time.sleep(_POLL_S)
        job = api.get(f"/model-jobs/{job['id']}")
        if not as_json and sys.stderr.isatty():
            print(f"\r{job['progress']['share']:7.1%}", end="", file=sys.stderr)
    if as_json:
        print_json(job)
    else:
        print_jobs([job])
    if job["state"] == "failed":
        raise Failure(job["error"], "look at `gongfu mechanism jobs`", FAILED)


@command.command("jobs")
@click.option("--model", help="Only of this model.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--cancel", type=int, metavar="JOB", help="Cancel a job.")
@node_options
def jobs(model: str | None, limit: int, cancel: int | None, as_json: bool, **node: Any) -> None:
    """List back-fills, newest first; cancel one."""
    api = connect(**node)
    found = [api.post(f"/model-jobs/{cancel}:cancel", None)] if cancel else api.items("/model-jobs", limit, model=model)
    if as_json:
        print_json(found)
    else:
        print_jobs(found)


@command.command("usage")
@click.option("--model", help="Only of this model.")
@click.option("--hours", type=click.IntRange(1), default=24, show_default=True)
@node_options
def usage(model: str | None, hours: int, as_json: bool, **node: Any) -> None:
    """Show who called what."""
    found = connect(**node).get("/model-usage", model=model, hours=hours)
    if as_json:
        print_json(found)
        return
    rows = [(one["model"], one["caller"], one["calls"], one["rows"], one["cpu_s"], one["failures"], one["refused"])
            for one in found["items"]]  # fmt: skip
    print_table(("model", "caller", "calls", "rows", "CPU s", "failures", "over quota"), rows, "no calls")


@command.command("quota")
@node_options
def quota(as_json: bool, **node: Any) -> None:
    """Show what the tenant uses of its room for artifacts and of its back-fills."""
    found = connect(**node).get("/model-quota")
    if as_json:
        print_json(found)
        return
    used, most = (f"{found[name] / 2**20:.1f} MiB" for name in ("artifact_bytes", "artifact_bytes_most"))
    rows = [(f"artifacts ({found['artifacts']})", used, most),
            ("back-fills", found["backfills"], found["backfills_most"])]  # fmt: skip
    print_table(("what", "used", "quota"), rows, "")


@command.command("use")
@click.argument("model")
@click.argument("version")
@node_options
def use(model: str, version: str, as_json: bool, **node: Any) -> None:
    """Let a version be the current one: bindings that name none run it from now on."""
    found = connect(**node).call("PUT", f"/models/{segment(model)}/current", {"version": version})
    print_json(found) if as_json else print(f"{found['id']} {found['version']}")


@command.command("remove")
@click.argument("model")
@click.option("--version", help="Only this version; default: the model with its versions and bindings.")
@node_options
def remove(model: str, version: str | None, as_json: bool, **node: Any) -> None:
    """Remove a model or a version; what it wrote stays."""
    connect(**node).call("DELETE", f"/models/{segment(model)}", query={"version": version})
    print_json({}) if as_json else print("removed")


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{option} must be NAME=VALUE, not {text!r}")
    return name, value


def _number(text: str) -> float | None:
    """Return a number; None for ``nan`` and ``null``, which JSON has as null."""
    if text.strip().lower() in ("nan", "null", ""):
        return None
    try:
        value = float(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise click.UsageError(f"{text!r} is not a number")
    return value
