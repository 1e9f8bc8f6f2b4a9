"""`python -m horsies_cli`."""

from horsies_cli.main import main

main()
