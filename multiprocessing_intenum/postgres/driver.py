"""psycopg, or an error that says what to install. No other module imports it."""

from __future__ import annotations

try:
    import psycopg
    from psycopg import conninfo, generators, pq
    from psycopg.waiting import Ready
except ImportError as _error:  # psycopg's own text says which library it looked for
    _message = f'this needs psycopg 3: pip install "multiprocessing-intenum[postgres]" "psycopg[binary]" ({_error})'
    raise ImportError(_message) from None

__all__ = ["Ready", "conninfo", "generators", "pq", "psycopg"]
