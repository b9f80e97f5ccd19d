"""Monte-Carlo pi with progress: each worker's bar has a line of its own on the driver's screen."""

import random

import miniray as ray
from miniray.util.progress import tqdm


@ray.remote
def inside(worker, rounds, n):
    rng, hits = random.Random(worker), 0
    for _ in tqdm(range(rounds), desc=f"worker {worker}"):
        hits += sum(rng.random() ** 2 + rng.random() ** 2 <= 1 for _ in range(n))
    return hits


def main(workers=4, rounds=20, n=5_000) -> None:
    with ray.init(num_workers=2):
        hits = sum(ray.get([inside.remote(worker, rounds, n) for worker in range(workers)]))
    print(f"pi is about {4 * hits / (workers * rounds * n):.3f}")


if __name__ == "__main__":
    main()
