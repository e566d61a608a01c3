"""`python -m bench.cli` is `otabench`."""

from bench.cli import main

if __name__ == "__main__":
    main()
