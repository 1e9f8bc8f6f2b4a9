"""A pgqueuer worker process: what `pgq run` does, by the public function behind it, on uvloop too."""

import sys

import pgqueuer
import uvloop

from benchmarks.peers.pgqueuer.app import main

if __name__ == "__main__":
    uvloop.run(pgqueuer.run(main, batch_size=int(sys.argv[1])))
