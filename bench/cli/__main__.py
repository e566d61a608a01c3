"""`python -m bench.cli` is `otabench`; loaded by way of this package, it minds Ctrl-C a little later."""

from bench.cli import exit_code_of
from bench.process.command import run

if __name__ == "__main__":
    run(lambda: exit_code_of)
