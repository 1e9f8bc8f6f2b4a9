"""Runs operations of core on one of the worker's own connections."""

import psycopg

from horsies.db.effects import Op, Run
from horsies.sql import Statements
from horsies_worker.link import Link


class LinkRunner:
    """A driver of operations that do not wait, each statement a transaction."""

    def __init__(self, link: Link, statements: Statements) -> None:
        self._link = link
        self._statements = statements

    async def run[R](self, op: Op[R]) -> R:
        """The operation's result; what the database raises is thrown into the operation first."""
        try:
            effect = next(op)
            while True:
                if not isinstance(effect, Run):
                    raise TypeError(f"an operation of the worker cannot {type(effect).__name__.lower()}")
                try:
                    rows = await self._link.execute(self._statements[effect.name], effect.params)
                except psycopg.Error as error:
                    effect = op.throw(error)
                else:
                    effect = op.send(rows)
        except StopIteration as stop:
            result: R = stop.value
            return result
        finally:
            op.close()
