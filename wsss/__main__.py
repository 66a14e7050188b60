"""`python -m wsss`."""

from wsss.cli import main

main(prog_name="wsss")
