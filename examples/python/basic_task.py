"""Tasks: a call returns a reference at once, get() waits for the value, references can be arguments."""

import miniray as ray


@ray.remote
def add(a, b):
    return a + b


@ray.remote
def square(x):
    return x * x


def main() -> None:
    with ray.init(num_workers=2):
        total = add.remote(1, 2)
        print("1 + 2 =", ray.get(total))
        print("(1 + 2) squared =", ray.get(square.remote(total)))
        print("squares:", ray.get([square.remote(i) for i in range(10)]))


if __name__ == "__main__":
    main()
