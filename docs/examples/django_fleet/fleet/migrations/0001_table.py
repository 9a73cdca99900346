"""The table of the library's records."""

from django.db import migrations

CREATE_TABLE = """\
CREATE TABLE IF NOT EXISTS multiprocessing_intenum (
    name text PRIMARY KEY,
    enum jsonb NOT NULL,      -- its name, the numbers of its members, the transitions
    state bigint NOT NULL,    -- the number of the member
    version bigint NOT NULL,  -- how often it has changed
    history jsonb NOT NULL    -- the last changes: [version, state, time, pid, claim]
)"""


class Migration(migrations.Migration):
    dependencies = []
    operations = [migrations.RunSQL(CREATE_TABLE, "DROP TABLE multiprocessing_intenum")]
