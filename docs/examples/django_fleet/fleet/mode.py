"""The mode of the fleet, in the database that Django has."""

import enum
from functools import cache

from django.conf import settings
from django.db import connection
from psycopg import pq
from psycopg.conninfo import make_conninfo

from multiprocessing_intenum import IntEnumValue
from multiprocessing_intenum.postgres import PostgresRecord


class Mode(enum.IntEnum):
    NORMAL = 1
    MAINTENANCE = 2


class FleetMode(IntEnumValue[Mode]):
    pass


def conninfo() -> str:
    """Return the settings of Django's database as a connection string."""
    given = connection.get_connection_params()
    # Django adds arguments of psycopg's classes (context, cursor_factory,
    # prepare_threshold). A string has none.
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    return make_conninfo(
        "", **{name: value for name, value in given.items() if name in known}
    )


@cache
def fleet_mode() -> FleetMode:
    """Return the mode.

    It is opened when it is first asked for, so `manage.py migrate` can run before.
    """
    return FleetMode(
        "NORMAL", at=PostgresRecord(conninfo(), "mode", mirror=settings.FLEET_MIRROR)
    )
