"""Streaming map-reduce: mappers yield partial counts as they read; the reducer takes whichever comes next."""

import collections

import miniray as ray

WORDS = "the store keeps what the workers make and the scheduler says who makes what".split()


@ray.remote(_generator_backpressure_num_objects=2)  # a mapper is at most two blocks ahead of its reader
def mapper(seed, blocks, size):
    for block in range(blocks):
        yield collections.Counter(WORDS[(seed + block * size + i) % len(WORDS)] for i in range(size))


def main(mappers=3, blocks=5, size=1_000) -> None:
    with ray.init(num_workers=2):
        streams = [mapper.remote(seed, blocks, size) for seed in range(mappers)]
        total, taken = collections.Counter(), 0
        while streams:
            ready, _ = ray.wait(streams, num_returns=1)
            try:
                total += ray.get(next(ready[0]))
                taken += 1
            except StopIteration:
                streams.remove(ready[0])
    print(f"{taken} blocks, {sum(total.values())} words")
    for word, n in sorted(total.items(), key=lambda item: (-item[1], item[0]))[:3]:
        print(f"{n:6} {word}")


if __name__ == "__main__":
    main()
