"""Several logical nodes in one process, for tests and labs: Ray's Cluster.

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    node = cluster.add_node(num_cpus=4, resources={"wheel": 1})
    miniray.init(address=cluster.address)
    ...
    cluster.remove_node(node)
    cluster.shutdown()

A node has its own resources, worker processes and store; they share the machine.  The session of this process opens with
the head node, so `connect` and `init(address=cluster.address)` only hand it out.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List, Optional

from . import _core, _init, _nodes, _session
from ._ids import node_hex

_EXTRA = ("object_store_memory", "node_name")
_IGNORED = ("dashboard_host", "dashboard_port", "include_dashboard", "num_redis_shards", "redis_port", "_system_config")


class Node:
    """A node of a Cluster: ``node_id`` (NodeID of miniray.nodes()), ``name``, ``number``."""

    def __init__(self, number: int, name: str):
        self.number = number
        self.name = name
        self.node_id = node_hex(number)

    @property
    def unique_id(self) -> str:
        """The same as node_id."""
        return self.node_id

    def is_alive(self) -> bool:
        """Is it a part of the session still?"""
        return any(n["node"] == self.number and n["alive"] for n in _session.state("nodes"))

    def __repr__(self) -> str:
        return f"<Node {self.node_id} {self.name!r}>"


def _described(args: Dict[str, Any]) -> Dict[str, Any]:
    args = {key: value for key, value in args.items() if key not in _IGNORED}
    if "node_name" in args:
        args.setdefault("name", args.pop("node_name"))
    args.setdefault("num_cpus", 1)
    return _nodes.checked(args, "add_node()", ("object_store_memory",))


class Cluster:
    """Several logical nodes in this process, each with resources, workers and a store of its own; nodes come and go."""

    def __init__(self, initialize_head: bool = False, connect: bool = False, head_node_args: Optional[Dict[str, Any]] = None,
                 shutdown_at_exit: bool = True, init_args: Optional[Dict[str, Any]] = None):
        """initialize_head: the first node now, with head_node_args (num_cpus (1), num_gpus, memory, resources, labels, name).
        init_args: for miniray.init: store, sched, policy, config, namespace and the others that are not about a node."""
        self.head_node: Optional[Node] = None
        self.worker_nodes: List[Node] = []
        self.connected = False
        self._init_args = dict(init_args or {})
        self._number = 0
        if not initialize_head and (head_node_args or connect):
            raise ValueError("Cluster(head_node_args=, connect=) without initialize_head=True: there is no node to start with")
        if initialize_head:
            self.add_node(**(head_node_args or {}))
            if connect:
                self.connect()

    @property
    def address(self) -> str:
        """For miniray.init(address=...), while this cluster runs."""
        return f"miniray:{self._number:016x}"

    def _running(self) -> bool:
        return bool(self._number) and _core.session_number() == self._number

    def add_node(self, wait: bool = True, **node_args: Any) -> Node:
        """Adds a node: num_cpus (1), num_gpus, memory, resources, labels, name, object_store_memory.  The first is the head.

        ValueError: a negative amount, a name that is taken, something that is no resource of a node."""
        node = _described(node_args)
        if self.head_node is None:
            memory = node.pop("object_store_memory", None)
            node.setdefault("name", "head")
            context = _init.init(nodes=[node], object_store_memory=memory, **self._init_args)
            self._number = _core.session_number()
            context.address_info["address"] = self.address
            self.head_node = Node(0, node["name"])
            return self.head_node
        if not self._running():
            raise RuntimeError("this cluster was shut down: make a new one")
        number = _nodes.add(node)
        added = Node(number, node.get("name", f"node{number}"))
        self.worker_nodes.append(added)
        return added

    def remove_node(self, node: Node, allow_graceful: bool = True) -> None:
        """Ends a node as if its machine was lost: its workers are killed and its objects gone.  Tasks run again elsewhere,
        lost results are computed again; what cannot be is an ObjectLostError.  ValueError for the last node."""
        if not isinstance(node, Node):
            raise TypeError(f"remove_node() takes a Node that add_node() returned, not {type(node)}")
        _core.node_remove(node.number)
        if node is self.head_node or self.head_node is not None and node.number == self.head_node.number:
            self.head_node = self.worker_nodes.pop(0)
        else:
            self.worker_nodes = [n for n in self.worker_nodes if n.number != node.number]

    def list_all_nodes(self) -> List[Node]:
        """The nodes that were added and not removed, the head first."""
        return ([self.head_node] if self.head_node else []) + list(self.worker_nodes)

    def wait_for_nodes(self, timeout: float = 30) -> None:
        """Returns when every node of the cluster is alive; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not all(node.is_alive() for node in self.list_all_nodes()):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"not all of {self.list_all_nodes()} are alive after {timeout} s")
            time.sleep(0.01)

    def connect(self, namespace: Optional[str] = None) -> Any:
        """The session, which this process has since the head node was made."""
        if not self._running():
            raise RuntimeError("there is no node yet: Cluster(initialize_head=True) or add_node() first")
        self.connected = True
        return _init.init(address=self.address, namespace=namespace)

    def shutdown(self) -> None:
        """Ends the session and all nodes; nothing if it has ended."""
        if self._running():
            _init.shutdown()
        self.head_node = None
        self.worker_nodes = []
        self.connected = False
        self._number = 0
