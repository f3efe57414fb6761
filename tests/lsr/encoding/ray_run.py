"""A corpus encoded on two machines of a cluster, of which one is killed; prints what happened.

Run as a program: python ray_run.py FOLDER
"""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

# As this test wants it: a cluster that no other machine sees. Before Ray is imported.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.packaged import DEFAULT_ENCODER
from lsr.encoding.progress import Progress
from lsr.encoding.ray_address import RayAddress
from lsr.encoding.ray_cluster import RayCluster
from lsr.encoding.runs import encode_items
from tests.lsr.vectors.shards import file_output

TEXTS = 960
CHUNK_SIZE = 16
DELIVERED = 6
STORE = 100 << 20


def corpus():
    """Texts of many lengths, an empty one, a repeated id and a broken line."""
    for number in range(TEXTS):
        text = " ".join(f"word{(number * each) % 97} sense" for each in range(number % 40))
        yield Item("memory", number + 1, Document(f"d{number}", text))
        if number % 50 == 7:
            yield Item("memory", number + 1, None, "broken")
            yield Item("memory", number + 1, Document("d3", "again"))


class Killing(Progress):
    """Kills a machine once so many chunks have come back."""

    def __init__(self, kill):
        self._kill, self.delivered, self.killed = kill, 0, False

    def chunk(self, totals):
        self.delivered += 1
        if self.delivered == DELIVERED:
            self._kill()


def main(folder):
    from ray.cluster_utils import Cluster

    encoder = load_encoder(DEFAULT_ENCODER)
    one = file_output(encoder, folder / "one.safetensors", "csr")
    encode_items(encoder, corpus(), one, chunk_size=CHUNK_SIZE)
    one.finish()

    machine = {"num_cpus": 1, "object_store_memory": STORE, "node_ip_address": "127.0.0.1"}
    machines = Cluster(
        initialize_head=True,
        head_node_args=machine
        | {
            "include_dashboard": False,
            "_system_config": {
                "health_check_initial_delay_ms": 0,
                "health_check_period_ms": 1000,
                "health_check_failure_threshold": 3,
            },
        },
    )
    second = machines.add_node(**machine)
    cluster = RayCluster(RayAddress.parse(f"ray://{machines.address}"), corpus)
    progress = Killing(partial(machines.remove_node, second, allow_graceful=False))
    output = file_output(encoder, folder / "cluster.safetensors", "csr")
    started = time.perf_counter()
    report = encode_items(
        encoder, corpus(), output, chunk_size=CHUNK_SIZE, progress=progress, cluster=cluster
    )
    output.finish()
    told = {
        "seconds": time.perf_counter() - started,
        "encoded": report.encoded,
        "rejected": report.rejected,
        "tokens": report.tokens,
        "begun": cluster.begun,
        "lost": second.node_id,
        "delivered": DELIVERED,
        "repeated": cluster.repeated,
    }
    machines.shutdown()
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
