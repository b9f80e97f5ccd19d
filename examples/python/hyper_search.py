"""Search for a good learning rate with early stopping: rounds of training end as they come, wait() takes the next, and a
trial that is worse than half of those before it at the same round is not trained on."""

import statistics

import miniray as ray


@ray.remote
def train(rate, x, steps):
    """Gradient descent on (x - 2)^4 + (x - 2)^2; returns where it came to, and the loss there."""
    for _ in range(steps):
        x -= rate * (4 * (x - 2) ** 3 + 2 * (x - 2))
        if abs(x) > 1e6:
            return x, float("inf")
    return x, (x - 2) ** 4 + (x - 2) ** 2


def main(rounds=4, steps=5) -> None:
    rates = [0.001, 0.003, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5]
    with ray.init(num_workers=2):
        losses = [[] for _ in range(rounds)]  # by round, of those that came so far
        running = {train.remote(rate, 0.0, steps): (rate, 0) for rate in rates}
        finished, stopped = {}, []
        while running:
            done, _ = ray.wait(list(running))
            rate, number = running.pop(done[0])
            x, loss = ray.get(done[0])
            losses[number].append(loss)
            if loss > statistics.median(losses[number]):
                stopped.append(rate)
            elif number + 1 < rounds:
                running[train.remote(rate, x, steps)] = (rate, number + 1)
            else:
                finished[rate] = loss
    best = min(finished, key=finished.get)
    print(f"{len(stopped)} of {len(rates)} trials were stopped early, {len(finished)} ran to the end")
    print(f"a good rate: {best}, with a loss below 0.01: {finished[best] < 0.01}")


if __name__ == "__main__":
    main()
