"""Batch inference: the model is put once and shared without a copy; a pool of actors takes the batches in turn."""

import numpy as np

import miniray as ray
from miniray.util import ActorPool


@ray.remote
class Model:
    def __init__(self, weights):
        self.weights = weights  # a read-only view of the store: the same bytes for all actors

    def predict(self, batch):
        return (batch @ self.weights).argmax(axis=1)


def main(rows=20_000, batch=1_000) -> None:
    rng = np.random.default_rng(0)
    data, weights = rng.normal(size=(rows, 64)), rng.normal(size=(64, 10))
    with ray.init(num_workers=2):
        shared = ray.put(weights)
        pool = ActorPool([Model.remote(shared) for _ in range(2)])
        batches = (data[i:i + batch] for i in range(0, rows, batch))
        found = np.concatenate(list(pool.map(lambda model, part: model.predict.remote(part), batches)))
    print(f"{len(found)} rows in {rows // batch} batches; of each class:", np.bincount(found, minlength=10).tolist())
    assert (found == (data @ weights).argmax(axis=1)).all()
    print("the same as in one process: True")


if __name__ == "__main__":
    main()
