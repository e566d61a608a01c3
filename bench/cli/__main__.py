"""`python -m bench.cli` is `otabench`; loaded by way of this package, it minds Ctrl-C a little later."""

from bench.__main__ import main

if __name__ == "__main__":
    main()
