"""A state of record in PostgreSQL, for processes on several machines. It needs psycopg 3."""

from multiprocessing_intenum.postgres.record import PostgresRecord, confirmed

__all__ = ["PostgresRecord", "confirmed"]
