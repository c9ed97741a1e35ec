"""`python -m fastdht`: the command line. Rate class: command."""
from fastdht.cli import main

main(prog_name="fastdht")
