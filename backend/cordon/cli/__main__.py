"""`python -m cordon.cli`: the same as the `cordon` command."""

from cordon.cli import main

main()
