"""As `python -m stablekv.bench`, from the tree."""

from stablekv.bench.__main__ import run_main

if __name__ == "__main__":
    run_main()
