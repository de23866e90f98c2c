"""Makes `python -m castalia` (and `torchrun -m castalia`) the command `castalia`."""

from castalia.cli import main

main()
