"""Where a task or actor may run: ``f.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False))``."""

from __future__ import annotations


class NodeAffinitySchedulingStrategy:
    """On one node, by its NodeID (see miniray.nodes()).  soft: elsewhere when that node cannot; else an error when it is gone."""

    def __init__(self, node_id: str, soft: bool):
        try:
            int(str(node_id), 16)
        except ValueError:
            raise ValueError(f"node_id is a NodeID of miniray.nodes(), not {node_id!r}") from None
        if not isinstance(soft, bool):
            raise TypeError(f"soft is a bool, not {type(soft)}")
        self.node_id = str(node_id)
        self.soft = soft

    def __repr__(self) -> str:
        return f"NodeAffinitySchedulingStrategy(node_id={self.node_id!r}, soft={self.soft})"


__all__ = ["NodeAffinitySchedulingStrategy"]
