"""`python -m salesops` is the command `salesops`."""

from salesops.cli import main

main(prog_name="salesops")
