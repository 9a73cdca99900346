"""What docs/howto/many-values.md says of the descriptors of a value by path."""

import os
import sys

from pages import DOCS
from path_targets import strangers

PAGE = (DOCS / "howto" / "many-values.md").read_text(encoding="utf-8")

_IS_OF_IT = "os.path.exists(link := f'/proc/self/fd/{n}') and os.path.samefile(link, path)"
COUNT = f"sum({_IS_OF_IT} for n in range(256))"

HOLD = """
def hold(number):
    threads = [threading.Thread(target=status.get_lock().acquire, kwargs={"timeout": 1}) for _ in range(number)]
    with status.get_lock():
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
"""


def test_a_value_has_as_many_descriptors_as_the_page_says(tmp_path):
    path = tmp_path / "status"
    opened = 1 if sys.version_info >= (3, 13) else 2
    with strangers(1) as [process]:

        def run(line):
            assert process.ask(line) == "None"

        run(f"path = {str(path)!r}")
        run(f"exec({HOLD!r})")
        run("status = WorkerStatus('IDLE', at=path)")
        assert process.ask(COUNT) == str(opened + (os.geteuid() == 0))
        run("status.set('CALCULATING')")
        assert process.ask(COUNT) == str(opened + 1)
        run("hold(3)")
        assert process.ask(COUNT) == str(opened + 4)
        run("hold(3)")
        run("status.set('IDLE')")
        assert process.ask(COUNT) == str(opened + 4)
        run("del status")
        assert process.ask(COUNT) == "0"


def test_an_owner_has_one_more(tmp_path):
    path = tmp_path / "status"
    with strangers(1) as [process]:
        process.ask(f"path = {str(path)!r}")
        process.ask("status = WorkerStatus('IDLE', at=path)")
        process.ask("status.set('CALCULATING')")
        written = int(process.ask(COUNT))
        assert process.ask("exchange(status, 'IDLE', on_death='UNAVAILABLE')").startswith("<")
        assert process.ask(COUNT) == str(written + 1)
        process.ask("status.set('CALCULATING')")
        assert process.ask(COUNT) == str(written + 1)  # until the process ends


def test_an_owner_of_many_values_needs_as_many_as_the_page_calculates(tmp_path):
    """The sum on the page is for 300 values; what each takes does not depend on how many there are."""
    number = 20
    with strangers(1) as [process]:
        process.ask(f"path = {str(tmp_path)!r}")
        process.ask(f"values = [WorkerStatus('IDLE', at=f'{{path}}/{{n}}') for n in range({number})]")
        claimed = "all(exchange(value, 'CALCULATING', on_death='IDLE') for value in values)"
        assert process.ask(claimed) == "True"
        within = "os.path.dirname(os.path.realpath(f'/proc/self/fd/{n}')) == path"
        each = 3 if sys.version_info >= (3, 13) else 4
        assert process.ask(f"sum({within} for n in range(256))") == str(number * each)


def test_the_page_calculates_with_these_numbers():
    assert "300 values" in PAGE
    assert f"needs {300 * 3} descriptors for them, and {300 * 4:,} before Python 3.13" in " ".join(PAGE.split())
