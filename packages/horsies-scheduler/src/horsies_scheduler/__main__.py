"""`python -m horsies_scheduler`: the same as `horsies scheduler`."""

from horsies_scheduler.cli import main

if __name__ == "__main__":
    main()
