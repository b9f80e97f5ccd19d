"""Monte-Carlo pi: results are taken as they come, by wait()."""

import random

import miniray as ray


@ray.remote
def inside(seed, n):
    rng = random.Random(seed)
    return sum(rng.random() ** 2 + rng.random() ** 2 <= 1 for _ in range(n))


def main(tasks=20, n=20_000) -> None:
    with ray.init(num_workers=2):
        pending = [inside.remote(seed, n) for seed in range(tasks)]
        hits = done = 0
        while pending:
            ready, pending = ray.wait(pending, num_returns=min(5, len(pending)))
            hits += sum(ray.get(ready))
            done += len(ready)
            print(f"after {done * n} points: {4 * hits / (done * n):.4f}")


if __name__ == "__main__":
    main()
