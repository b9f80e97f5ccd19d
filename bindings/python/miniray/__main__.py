"""`python -m miniray` is the command `miniray`."""

from miniray.cli import main

main()
