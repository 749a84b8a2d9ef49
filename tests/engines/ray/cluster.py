"""A Ray of two machines, in name: a head and a second raylet with its own object store, one CPU each.

python cluster.py, with RAY_AUTH_TOKEN set: prints the address, takes `remove` (the second node goes) and
`quit` on stdin, and ends when stdin does.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster


def main() -> None:
    """Be the cluster."""
    node = {"num_cpus": 1, "object_store_memory": 128 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        second = cluster.add_node(**node)
        cluster.wait_for_nodes(timeout=300)
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line.strip() == "remove":
                cluster.remove_node(second, allow_graceful=False)
            else:
                break
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
