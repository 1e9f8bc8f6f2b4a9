"""The floor of enqueueing: psycopg and plain SQL, into the smallest table that can be a queue."""

import os
import uuid

import psycopg

from benchmarks.floors import INSERT, INSERT_MANY, TABLES
from benchmarks.peers.harness import serve_producer


class FloorProducer:
    def __init__(self) -> None:
        self.connection = psycopg.connect(os.environ["BENCH_DATABASE_URL"], autocommit=True)
        self.cursor = self.connection.cursor()

    def setup(self) -> None:
        self.connection.execute(TABLES.encode())

    def send_each(self, first: int, count: int) -> None:
        execute = self.cursor.execute
        for n in range(first, first + count):
            execute(INSERT, [uuid.uuid4(), f'{{"n": {n}}}'], prepare=True)

    def send_bulk(self, first: int, count: int) -> bool:
        ids = [uuid.uuid4() for _ in range(count)]
        self.cursor.execute(INSERT_MANY, [ids, [f'{{"n": {n}}}' for n in range(first, first + count)]])
        return True


if __name__ == "__main__":
    serve_producer(FloorProducer())
