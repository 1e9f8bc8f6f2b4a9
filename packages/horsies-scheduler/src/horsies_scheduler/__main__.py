"""`python -m horsies_scheduler`."""

from horsies_scheduler.cli import main

main()
