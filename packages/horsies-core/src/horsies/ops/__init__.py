"""Operations on the database: generators without I/O, one per thing that horsies does (see db/effects.py)."""
