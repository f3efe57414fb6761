"""What is deployed: valid by the tools that read it, and true of the server that it is about."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.snapshot_files import Manifest
from index.indexing import index_documents
from index.snapshots.store import PublishedSnapshot
from lsr.corpus.readers.corpus import Corpus
from service.api.app import create_app
from service.replica.copies import Copy
from service.replica.state import Replica
from service.settings import ServerSettings
from tests.service.conftest import ROOT, URL

yaml = pytest.importorskip("yaml")
DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "lsr.json"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
# Which Prometheus adds itself.
OF_PROMETHEUS = {"up"}
NAME = re.compile(r"\b(?:lsr|process|up)(?:_\w+)?\b(?=[\[{\s)]|$)")


def tool(name):
    if (found := shutil.which(name)) is None:
        pytest.skip(f"{name} is not installed")
    return found


def expressions():
    """Every PromQL expression of the dashboard and the alerts."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return found + [rule["expr"] for group in rules for rule in group["rules"]]


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """The names of all samples of a server that has answered a search of each kind."""
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "corpus.jsonl").write_text('{"id": "a", "text": "apple"}\n')
    made = Collection.create(folder / "all" / "fruit", encoder_fields("bm25"))
    index_documents(made, Corpus(str(folder / "corpus.jsonl")))
    made.close()
    settings = ServerSettings(paths=[folder / "all"], recall_probe=1)
    taken = PublishedSnapshot("2026-11-27T12:00:00Z", 1, "taken", Manifest(1, {}, ""))
    copies = {"fruit": Copy("fruit", taken, folder / "all" / "fruit")}
    app = create_app(settings, replica=Replica(folder / "all", copies))
    with TestClient(app, base_url=URL) as client:
        for mode in ("exact", "approximate"):
            body = {"query": {"text": "apple"}, "params": {"mode": mode}}
            assert client.post("/v1/indexes/fruit/search", json=body).status_code == 200
        for _ in range(1000):
            text = client.get("/metrics").text
            if "lsr_recall_probe_recall_count" in text:
                break
    return {
        sample.name for family in text_string_to_metric_families(text) for sample in family.samples
    }


def test_the_dashboard_and_the_alerts_name_metrics_that_there_are(metrics):
    named = {name for each in expressions() for name in NAME.findall(each)}
    assert named - OF_PROMETHEUS <= metrics
    assert {"lsr_http_requests_total", "lsr_index_up", "process_resident_memory_bytes"} <= named


def test_each_metric_is_on_the_dashboard(metrics):
    shown = " ".join(expressions())
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in metrics}
    left_out = {name for name in families if name.startswith("lsr_") and name not in shown}
    assert left_out == {"lsr_build_info"}


def test_the_panels_stand_beside_each_other():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels})


def test_prometheus_takes_its_configuration_and_every_expression(tmp_path):
    promtool = tool("promtool")
    key = tmp_path / "key"
    key.write_text("lsr_key")
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    config = (DEPLOY / "prometheus.yml").read_text()
    assert "/run/secrets/lsr-metrics-key" in config
    (tmp_path / "prometheus.yml").write_text(
        config.replace("/run/secrets/lsr-metrics-key", str(key))
    )
    rules = [
        {"record": f"shown:{place}", "expr": each.replace("$__rate_interval", "5m")}
        for place, each in enumerate(expressions())
    ]
    groups = {"groups": [{"name": "dashboard", "rules": rules}]}
    (tmp_path / "dashboard.yml").write_text(yaml.safe_dump(groups))
    for command in (("config", "prometheus.yml"), ("rules", "dashboard.yml")):
        done = subprocess.run(
            [promtool, "check", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_compose_mounts_what_there_is_and_shows_it_to_this_machine_alone():
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), (name, source)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert ("profiles" in service) == (name != "lsr")
    served = COMPOSE["services"]["lsr"]
    assert served["read_only"] is True
    assert served["cap_drop"] == ["ALL"]
    seconds = int(served["stop_grace_period"].removesuffix("s"))
    assert seconds > ServerSettings().grace_seconds + 4


def test_what_compose_sets_are_settings(monkeypatch):
    for name, value in COMPOSE["services"]["lsr"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"^\$\{\w+:-\}$", "", value))
    settings = ServerSettings.load({})
    assert settings.allow_host == ["lsr"]
    assert settings.log_format == "json"
    (scrape,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = scrape["static_configs"][0]["targets"]
    assert target.split(":")[0] in settings.allow_host
    datasource = DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (source,) = yaml.safe_load(datasource.read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    uids = {panel["datasource"]["uid"] for panel in json.loads(DASHBOARD.read_text())["panels"]}
    assert uids == {source["uid"]}


def test_the_manifests_are_valid():
    validator = pytest.importorskip("kubernetes_validate")
    assert MANIFESTS
    for path in MANIFESTS:
        for manifest in yaml.safe_load_all(path.read_text()):
            validator.validate(manifest, validator.latest_version(), strict=True)
            spoilt = json.loads(json.dumps(manifest))
            spoilt["spek"] = {}
            with pytest.raises(validator.ValidationError):
                validator.validate(spoilt, validator.latest_version(), strict=True)


def manifests():
    found = [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]
    return {each["kind"]: each for each in found}


def test_the_manifests_fit_each_other_and_the_server(tmp_path):
    found = manifests()
    (name, text), *_ = found["ConfigMap"]["data"].items()
    (tmp_path / name).write_text(text)
    settings = ServerSettings.load({}, tmp_path / name)
    pod = found["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["lsr", "serve", "--config", f"/etc/lsr/{name}"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": settings.port}
    (port,) = found["Service"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (settings.port, "http")
    labels = found["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"].items() <= labels.items()
    assert found["StatefulSet"]["spec"]["serviceName"] == found["Service"]["metadata"]["name"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    claimed = [
        each["metadata"]["name"] for each in found["StatefulSet"]["spec"]["volumeClaimTemplates"]
    ]
    assert {*claimed, *(volume["name"] for volume in pod["volumes"])} == set(mounted)
    assert [str(path) for path in settings.paths] == [mounted["data"]]
    assert pod["terminationGracePeriodSeconds"] > 5 + settings.grace_seconds + 4
    routes = create_app(ServerSettings()).openapi()["paths"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in routes
        assert container[probe]["httpGet"]["port"] in ports


def test_no_pod_runs_as_root_or_writes_beside_its_volumes():
    pod = manifests()["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"--uid {pod['securityContext']['runAsUser']}" in dockerfile
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_unit_is_valid_and_safe(tmp_path):
    analyze = tool("systemd-analyze")
    unit = (DEPLOY / "lsr.service").read_text()
    assert "/opt/lsr/bin/lsr serve" in unit
    path = tmp_path / "lsr.service"
    path.write_text(unit.replace("/opt/lsr/bin/lsr", sys.executable))
    for arguments in (["verify"], ["security", "--offline=yes", "--threshold=20"]):
        done = subprocess.run(
            [analyze, *arguments, path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Unknown" not in done.stderr
    grace = ServerSettings().grace_seconds + 4
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M).group(1)) > grace


def test_a_page_names_every_file():
    page = " ".join(each.read_text() for each in (ROOT / "docs").glob("*.md"))
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            parts = path.relative_to(ROOT)
            # By itself or by a folder within deploy/.
            named = [parts, *parts.parents[:-2]]
            assert any(f"`{each}`" in page or f"../{each})" in page for each in named), path
