"""A parameter server: workers compute gradients of a linear model on their own part of the data, an actor applies them."""

import numpy as np

import miniray as ray


@ray.remote
class Server:
    def __init__(self, size, rate):
        self.weights = np.zeros(size)
        self.rate = rate

    def apply(self, *gradients):
        self.weights = self.weights - self.rate * np.mean(gradients, axis=0)
        return self.weights


@ray.remote
class Worker:
    def __init__(self, seed, truth, rows=500):
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(rows, len(truth)))
        self.y = self.x @ truth + rng.normal(scale=0.1, size=rows)

    def gradient(self, weights):
        return 2 * self.x.T @ (self.x @ weights - self.y) / len(self.y)


def main(workers=3, steps=40) -> None:
    truth = np.array([3.0, -1.0, 0.5, 2.0])
    with ray.init(num_workers=2):
        server = Server.remote(len(truth), rate=0.1)
        team = [Worker.remote(seed, truth) for seed in range(workers)]
        weights = ray.put(np.zeros(len(truth)))
        for step in range(1, steps + 1):  # references only: nothing comes to this process until it is printed
            weights = server.apply.remote(*[w.gradient.remote(weights) for w in team])
            if step % 10 == 0:
                print(f"step {step:2}: error {np.abs(ray.get(weights) - truth).max():.4f}")
        print("weights:", np.round(ray.get(weights), 1).tolist())


if __name__ == "__main__":
    main()
