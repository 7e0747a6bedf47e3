"""What ``gongfu mechanism`` prints."""

from typing import Any

from gongfu.node.cli.output import print_json, print_table


def print_inspection(inspection: dict[str, Any], as_json: bool) -> None:
    """Print what the sandbox read from an artifact."""
    if as_json:
        print_json(inspection)
        return
    found = inspection["description"]
    print(f"{found['id'] or '(no id)'} {found['version'] or '(no version)'} {found['name']}".rstrip())
    rows = [
        (word, port["name"], port["unit"], port.get("point", ""), port["description"])
        for word, ports in (("input", found["inputs"]), ("output", found["outputs"]))
        for port in ports
    ]
    rows += [
        ("parameter", item["name"], item["unit"], item["default"], item["description"]) for item in found["parameters"]
    ]
    print_table(("what", "name", "unit", "point or default", "description"), rows, "no ports")
    for name, fact in found["facts"].items():
        print(f"{name}: {fact}")
    for warning in found["warnings"]:
        print(f"warning: {warning}")


def ports_of(model: dict[str, Any]) -> str:
    """Return the ports of a model in words."""

    def words(ports: list[dict[str, str]]) -> str:
        return ", ".join(f"{port['name']} [{port['unit']}]" for port in ports[:6]) + ("…" if len(ports) > 6 else "")

    return f"{words(model['inputs']) or 'history'} -> {words(model['outputs'])}"


def states_of(model: dict[str, Any]) -> str:
    """Return how many assets of all bindings are in which state."""
    total: dict[str, int] = {}
    for binding in model["bindings"]:
        for state, number in binding["counts"].items():
            total[state] = total.get(state, 0) + number
    return ", ".join(f"{number} {state}" for state, number in total.items() if number) or "-"


def print_bindings(model: dict[str, Any]) -> None:
    """Print the bindings of a model."""
    rows = [
        (
            one["id"],
            one["asset_path"] or " ".join(part for part in (one["assets"], one["type"]) if part) or "(deleted asset)",
            one["status"],
            ", ".join(f"{number} {state}" for state, number in one["counts"].items() if number),
            one["evaluated"],
            one["error"],
        )
        for one in model["bindings"]
    ]
    print_table(("binding", "where", "status", "assets", "rows", "why"), rows, "no bindings")


def print_jobs(found: list[dict[str, Any]]) -> None:
    """Print back-fills."""
    rows: list[tuple[Any, ...]] = []
    for one in found:
        done = one["progress"]
        what = (one["id"], one["model"], one["assets"], one["state"])
        rows.append((*what, f"{done['share']:.1%}", done["rows"], done["points"], one["error"]))
    print_table(("job", "model", "assets", "state", "done", "rows", "points", "why"), rows, "no back-fills")
