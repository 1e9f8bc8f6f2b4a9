"""Entry point of an executor: `python -m horsies_worker.child <socket fd> <marks fd>`, started by the coordinator."""

import sys

from horsies_worker.child.main import main

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
