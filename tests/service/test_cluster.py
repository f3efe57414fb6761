"""The compose profile `cluster`: what it sets is read, and its balancer runs over two replicas."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from service.api.hosts import AllowedHosts
from service.settings import ServerSettings
from tests.service.conftest import ROOT, environment
from tests.service.replica.conftest import Publisher
from tests.service.serving import serving
from tests.service.test_proxies import free_ports

pytestmark = pytest.mark.long
yaml = pytest.importorskip("yaml")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = {
    name: service
    for name, service in COMPOSE["services"].items()
    if "cluster" in service.get("profiles", [])
}
NODES = [name for name in SERVICES if name.startswith("qdrant")]
SERVERS = [name for name in SERVICES if name.startswith("lsr")]
BALANCER = (ROOT / "deploy" / "balancer.conf").read_text()
OLDEST_QDRANT = (1, 19, 2)
# Settings of Qdrant's config/config.yaml, by their places there.
OF_QDRANT = {
    "cluster.enabled",
    "cluster.p2p.port",
    "storage.collection.shard_number_per_node",
    "storage.collection.replication_factor",
    "telemetry_disabled",
}
# Its flags, of `qdrant --help`.
FLAGS_OF_QDRANT = {"--uri", "--bootstrap"}


def variables(names):
    return {
        (name, variable): str(value)
        for name in names
        for variable, value in SERVICES[name].get("environment", {}).items()
    }


def default(value):
    """What a value is where the variable that it takes is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def test_there_are_three_nodes_two_servers_and_a_balancer():
    assert len(NODES) == 3
    assert len(SERVERS) == 2
    assert {*SERVICES} == {*NODES, *SERVERS, "balancer"}
    assert all(service["networks"] == ["cluster"] for service in SERVICES.values())
    # Qdrant's nodes have no key, so nobody outside reaches them.
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["balancer"]
    for name in NODES:
        image, _, tag = SERVICES[name]["image"].partition(":v")
        assert image == "qdrant/qdrant"
        assert tuple(map(int, tag.split("."))) >= OLDEST_QDRANT


def test_every_variable_of_a_node_is_a_setting_of_qdrant():
    for (_, variable), value in variables(NODES).items():
        prefix, *place = variable.split("__")
        assert prefix == "QDRANT"
        assert ".".join(place).lower() in OF_QDRANT
        assert value in ("true", "false") or value.isdecimal()
    ports = {value for (_, name), value in variables(NODES).items() if name.endswith("P2P__PORT")}
    for name in NODES:
        program, *arguments = SERVICES[name]["command"]
        given = dict(zip(arguments[::2], arguments[1::2], strict=True))
        assert program == "./qdrant"
        assert given.keys() <= FLAGS_OF_QDRANT
        # Each tells the others its own name, and all but the first ask the first to let them in.
        assert given["--uri"] == f"http://{name}:{ports.copy().pop()}"
        first = SERVICES[NODES[0]]["command"]
        assert given.get("--bootstrap") == (None if name == NODES[0] else first[-1])
        waits = SERVICES[name].get("depends_on", {})
        assert list(waits) == ([] if name == NODES[0] else NODES[:1])
        assert [volume.partition(":")[2] for volume in SERVICES[name]["volumes"]] == [
            "/qdrant/storage"
        ]


def test_every_variable_of_a_server_is_read(monkeypatch):
    read = set()
    for (_, variable), value in variables(SERVERS).items():
        if variable.startswith("LSR_SERVE_"):
            monkeypatch.setenv(variable, default(value))
        else:
            sources = " ".join(path.read_text() for path in (ROOT / "index").rglob("*.py"))
            assert f'"{variable}"' in sources, variable
        read.add(variable)
    # A name that is none is refused.
    settings = ServerSettings.load({"admin_key": "an-admin-key-of-the-tests"})
    known = {f"LSR_SERVE_{name.upper()}" for name in ServerSettings.model_fields}
    assert {name for name in read if name.startswith("LSR_SERVE_")} <= known
    assert settings.log_format == "json"
    (subnet,) = [each["subnet"] for each in COMPOSE["networks"]["cluster"]["ipam"]["config"]]
    assert settings.trusted_proxies == [subnet]
    # By the name that a client of this machine calls the balancer.
    assert AllowedHosts.of_server("0.0.0.0", settings.allow_host).allows("localhost:8080")


def test_each_server_asks_another_node_and_the_balancer_asks_all(lsr):
    asked = []
    for name in SERVERS:
        program, *command = SERVICES[name]["command"]
        assert program == "lsr"
        done = lsr(*command, "--print-config")
        assert done.returncode == 0, done.stderr
        settings = dict(
            line.split(" = ", 1) for line in done.stdout.decode().splitlines() if " = " in line
        )
        assert (settings["host"], settings["port"]) == ('"0.0.0.0"', "8000")
        address = next(each for each in command if each.startswith("qdrant://"))
        assert address in settings["paths"]
        node = address.removeprefix("qdrant://").partition(":")[0]
        assert list(SERVICES[name]["depends_on"]) == [node]
        asked.append(node)
        assert SERVICES[name]["build"]["args"]["EXTRAS"] == "[qdrant]"
    assert len({*asked}) == len(SERVERS)
    assert {*asked} <= {*NODES}
    assert re.findall(r"^\s+server (\S+):8000 ", BALANCER, re.M) == SERVERS
    assert "127.0.0.1:8080:8080" in SERVICES["balancer"]["ports"]
    assert re.search(r"^\s+listen 8080;", BALANCER, re.M)


def children(process):
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, found) for each in (child, *children(child))]


class Clients:
    """Searches through the balancer, all the time."""

    def __init__(self, address, count=3):
        self.answered, self.cut, self.failures = 0, 0, []
        self._address, self._stop = address, threading.Event()
        self._threads = [threading.Thread(target=self._search) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _search(self):
        with httpx.Client(base_url=self._address, timeout=60) as client:
            while not self._stop.is_set():
                body = {"query": {"text": "common"}, "limit": 5}
                try:
                    answer = client.post("/v1/indexes/docs/search", json=body)
                except httpx.RemoteProtocolError:
                    # The server was killed behind the head of its answer.
                    self.cut += 1
                    continue
                if answer.status_code != 200 or len(answer.json()["hits"]) != 5:
                    self.failures.append(answer.text)
                self.answered += 1

    def go_on(self, count):
        end, wanted = time.monotonic() + 120, self.answered + count
        while self.answered < wanted and not self.failures:
            assert time.monotonic() < end, "nobody is answered"
            time.sleep(0.02)
        assert not self.failures


def is_ready(address):
    try:
        return httpx.get(f"{address}/readyz", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def wait_until_ready(address):
    end = time.monotonic() + 180
    while not is_ready(address):
        assert time.monotonic() < end, f"{address} is not ready"
        time.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_requests_go_on_where_one_of_two_servers_is_killed(tmp_path):
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    publisher = Publisher(tmp_path)
    publisher.publish()
    folders = [tmp_path / name for name in SERVERS]
    for folder in folders:
        folder.mkdir()
    arguments = ["copies", "--follow", "../published"]
    with serving(folders[0], *arguments) as (_, first), serving(folders[1], *arguments) as (_, two):
        servers = [first.address(), two.address()]
        for address in servers:
            wait_until_ready(address)
        (port,) = free_ports(1)
        text = BALANCER.replace("listen 8080;", f"listen 127.0.0.1:{port};").replace(
            "/tmp/", f"{tmp_path}/"
        )
        for name, address in zip(SERVERS, servers, strict=True):
            text = text.replace(f"{name}:8000", address.removeprefix("http://"))
        file = tmp_path / "balancer.conf"
        file.write_text(text)
        options = {"cwd": tmp_path, "env": environment(tmp_path)}
        begin = ["nginx", "-p", tmp_path, "-c", file, "-e", "stderr", "-g", "daemon off;"]
        checked = subprocess.run(
            [*begin, "-t"], capture_output=True, text=True, check=False, **options
        )
        assert checked.returncode == 0, checked.stderr
        balancer = subprocess.Popen(begin, stderr=subprocess.DEVNULL, **options)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_until_ready(address)
            with Clients(address) as clients:
                clients.go_on(30)
                # Both answer.
                for each in servers:
                    counted = httpx.get(f"{each}/metrics").text
                    assert 'route="/v1/indexes/{index}/search",status="200"' in counted
                # All its processes at once, in the midst of requests.
                for process in [first.process.pid, *children(first.process.pid)]:
                    os.kill(process, signal.SIGKILL)
                clients.go_on(100)
            assert clients.failures == []
            # At most what was in flight.
            assert clients.cut <= 3
            assert httpx.get(f"{address}/metrics").status_code == 403
        finally:
            balancer.terminate()
            balancer.wait()
    publisher.collection.close()
