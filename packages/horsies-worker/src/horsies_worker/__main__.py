"""`python -m horsies_worker`: the same as `horsies worker`."""

from horsies_worker.cli import main

if __name__ == "__main__":
    main()
