"""Deployment files against the tools they are for: systemd, Compose schema, nats-server, Helm, Kubernetes schemas."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from gongfu.bus.server import find_server
from gongfu.node.configuration import Configuration, load_configuration

PACKAGING = Path(__file__).parents[3] / "packaging"
CHART = PACKAGING / "helm" / "gongfu"
FILLED = {"INSTANCE": "door-0", "ROLE": "door", "NATS_TOKEN": "t", "HISTORY_PASSWORD": "h", "RECORDS_PASSWORD": "r"}
KUBERNETES = "1.31"
KEY = {"GONGFU_DEVICE_KEY": "0" * 64}


@pytest.mark.parametrize("unit", sorted((PACKAGING / "systemd").glob("*.service")), ids=lambda path: path.name)
def test_systemd_takes_the_unit(unit: Path, tmp_path: Path) -> None:
    # Only the programs are looked for: they are not installed where tests run.
    text = unit.read_text().replace("/opt/gongfu/bin/", "/usr/bin/").replace("/usr/bin/gongfu", "/usr/bin/env gongfu")
    copy = tmp_path / unit.name
    copy.write_text(text.replace("/usr/bin/python ", "/usr/bin/env python "))
    told = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    # The unit's own complaints name it; the machine's other units are not our subject.
    stem = unit.stem.partition("@")[0]
    assert [line for line in told.stderr.splitlines() if stem in line and "not-found" not in line] == []
    if os.path.isdir("/run/systemd/system"):
        assert told.returncode == 0, told.stderr


def test_a_wrong_unit_would_be_seen(tmp_path: Path) -> None:
    wrong = tmp_path / "gongfu-wrong.service"
    wrong.write_text("[Service]\nExecStart=/usr/bin/env true\nNoNewPrivilege=yes\n")
    told = subprocess.run(["systemd-analyze", "verify", str(wrong)], capture_output=True, text=True, check=False)
    assert "gongfu-wrong" in told.stderr


def test_compose_file_follows_the_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    told = subprocess.run(
        [*command, str(PACKAGING / "compose" / "compose.yaml")], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout


def test_compose_services_are_complete() -> None:
    compose = yaml.safe_load((PACKAGING / "compose" / "compose.yaml").read_text())
    profiles: dict[str, set[str]] = {}
    for name, service in compose["services"].items():
        for profile in service["profiles"]:
            profiles.setdefault(profile, set()).add(name)
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (PACKAGING / "compose" / source).is_file(), source
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        if service["image"].startswith("gongfu"):
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]
    assert profiles["single"] == {"gongfu"}
    assert {f"nats-{n}" for n in (1, 2, 3)} | {"postgres"} < profiles["cluster"]


def test_nats_server_takes_its_configuration() -> None:
    told = subprocess.run(
        [find_server(), "-t", "-c", PACKAGING / "compose" / "nats.conf"],
        env={"NATS_TOKEN": "token", "NATS_ROUTE_PASSWORD": "route"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr


def _loaded(template: str, folder: Path) -> Configuration:
    """Return the configuration that a machine reads: with names and secrets where the start command puts them."""
    for name, value in FILLED.items():
        assert f"@{name}@" in template
        template = template.replace(f"@{name}@", value)
    file = folder / "gongfu.toml"
    file.write_text(template)
    return load_configuration(file, environ={**KEY, "HOME": str(folder)})


def test_gongfu_takes_the_configurations_of_the_compose_file(tmp_path: Path) -> None:
    single = load_configuration(PACKAGING / "compose" / "gongfu.toml", environ={"HOME": str(tmp_path)})
    assert single.mqtt.host == "0.0.0.0"
    cluster = _loaded((PACKAGING / "compose" / "cluster.toml").read_text(), tmp_path)
    assert cluster.cluster.instance == "door-0"
    assert cluster.cluster.roles == ("door",)
    assert len(cluster.nats.servers) == len(cluster.history.urls) == 3
    assert cluster.records_url == "postgresql+psycopg://gongfu:r@postgres/gongfu"


def _render(values: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name="plant", namespace="prod")
    found: dict[str, list[dict[str, Any]]] = {}
    for text in rendered.values():
        for document in yaml.safe_load_all(text):
            if document:
                found.setdefault(document["kind"], []).append(document)
    return found


VALUES: list[dict[str, Any]] = [
    {},
    {"history": {"urls": ["http://a:8123", "http://b:8123"]}, "extraConfig": "[quotas]\nburst_seconds = 3.0\n"},
    {"history": {"urls": ["http://a:8123"], "cluster": "main"}, "networkPolicy": {"enabled": False}},
    {
        "door": {"replicas": 3, "service": {"type": "LoadBalancer"}},
        "storageClass": "fast",
        "imagePullSecrets": [{"name": "pull"}],
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "plant", "operator": "Exists"}],
        "networkPolicy": {"mqttFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "webFrom": [{"namespaceSelector": {}}]},
    },
]


def test_helm_lints_the_chart() -> None:
    found = helm.lint(str(CHART))
    assert found["errors"] == []
    # 1 is information: the chart has no icon.
    assert [one for one in found["messages"] if one["severity"] > 1] == []


@pytest.mark.parametrize("values", VALUES, ids=range(len(VALUES)))
def test_kubernetes_takes_what_helm_renders(values: dict[str, Any], tmp_path: Path) -> None:
    found = _render(values)
    for documents in found.values():
        for document in documents:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
    configuration = _loaded(found["ConfigMap"][0]["data"]["gongfu.toml"], tmp_path)
    assert configuration.cluster.instance == "door-0"
    wanted = values.get("history", {}).get("urls", ["http://clickhouse:8123"])
    assert list(configuration.history.urls) or [configuration.history.url] == wanted
    assert configuration.history.cluster == values.get("history", {}).get("cluster", "")


def _pods(found: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for owner in (*found["StatefulSet"], *found["Deployment"]):
        template = owner["spec"]["template"]
        labels = template["metadata"]["labels"]
        assert owner["spec"]["selector"]["matchLabels"].items() <= labels.items()
        yield labels["app.kubernetes.io/component"], template["spec"], labels


def test_pods_have_no_rights_and_are_watched() -> None:
    found = _render({})
    roles: set[str] = set()
    for role, pod, labels in _pods(found):
        roles.add(role)
        container = pod["containers"][0]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]["memory"]
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        claims = {"data"} if role != "web" else set()
        assert mounts == {volume["name"] for volume in pod["volumes"]} | claims
        if role == "web":
            assert container["livenessProbe"]["httpGet"]["path"] == "/v1/health"
        for kind in ("PodDisruptionBudget", "NetworkPolicy"):
            selectors = [
                one["spec"].get("selector", one["spec"].get("podSelector"))["matchLabels"] for one in found[kind]
            ]
            assert sum(selector.items() <= labels.items() for selector in selectors) == 1, kind
    assert roles == {"door", "worker", "web"}
    for service in found["Service"]:
        matching = [pod for _, pod, labels in _pods(found) if service["spec"]["selector"].items() <= labels.items()]
        assert len(matching) == 1
        named = {port["name"] for port in matching[0]["containers"][0].get("ports", [])}
        assert {port["targetPort"] for port in service["spec"].get("ports", [])} <= named


@pytest.mark.parametrize(
    "wrong",
    [
        {"nats": {"servers": [], "replicas": 3}},
        {"nats": {"servers": ["nats://a:4222"], "replicas": 2}},
        {"history": {"urls": ["clickhouse:8123"], "user": "x"}},
        {"door": {"replicas": 0, "resources": {}}},
        {"dor": {}},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmError):
        _render(wrong)
