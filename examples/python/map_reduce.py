"""Map-reduce as a tree: squares of many numbers are mapped in blocks and added pairwise, all by references."""

import miniray as ray


@ray.remote
def map_block(begin, end):
    return sum(x * x for x in range(begin, end))


@ray.remote
def reduce_pair(a, b):
    return a + b


def tree(refs):
    """One reference to the sum of all: each level adds neighbours; nothing comes to this process meanwhile."""
    while len(refs) > 1:
        pairs = [reduce_pair.remote(refs[i], refs[i + 1]) for i in range(0, len(refs) - 1, 2)]
        refs = pairs + refs[len(pairs) * 2:]
    return refs[0]


def main(n=100_000, blocks=16) -> None:
    with ray.init(num_workers=2):
        step = n // blocks
        mapped = [map_block.remote(i * step, n if i == blocks - 1 else (i + 1) * step) for i in range(blocks)]
        total = ray.get(tree(mapped))
        print(f"sum of the squares below {n}: {total}")
        assert total == (n - 1) * n * (2 * n - 1) // 6


if __name__ == "__main__":
    main()
