"""A key-value store of several actors: a key's hash says which of them keeps it."""

import zlib

import miniray as ray


@ray.remote
class Shard:
    def __init__(self):
        self.items = {}

    def put(self, key, value):
        self.items[key] = value

    def get(self, key):
        return self.items.get(key)

    def size(self):
        return len(self.items)


class Store:
    """What its users hold; can be passed to tasks, since handles of actors can."""

    def __init__(self, shards):
        self.shards = [Shard.remote() for _ in range(shards)]

    def _of(self, key):
        return self.shards[zlib.crc32(key.encode()) % len(self.shards)]

    def put(self, key, value):
        return self._of(key).put.remote(key, value)

    def get(self, key):
        return self._of(key).get.remote(key)

    def sizes(self):
        return ray.get([shard.size.remote() for shard in self.shards])


@ray.remote
def fill(store, begin, end):
    ray.get([store.put(f"key {i}", i * i) for i in range(begin, end)])


def main(keys=1_000, shards=4) -> None:
    with ray.init(num_workers=2):
        store = Store(shards)
        ray.get([fill.remote(store, i, i + keys // 4) for i in range(0, keys, keys // 4)])
        print("key 12:", ray.get(store.get("key 12")), " a key that nobody put:", ray.get(store.get("nothing")))
        print(f"{sum(store.sizes())} keys on {shards} shards:", store.sizes())


if __name__ == "__main__":
    main()
