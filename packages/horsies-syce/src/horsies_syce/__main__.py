"""`python -m horsies_syce`."""

from horsies_syce.cli import main

main()
