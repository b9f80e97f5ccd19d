"""`python -m miniray` is the command `miniray`."""

from miniray.cli import main

if __name__ == "__main__":
    main()
