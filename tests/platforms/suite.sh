#!/usr/bin/env bash
# Runs the tests with a Python of this machine and the packages in a directory that site.sh has filled.
# usage: suite.sh PYTHON SITE [ARGUMENT OF PYTEST...]
set -euo pipefail
python=$1 site=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
(cd "$(dirname "$0")/../.." && tar cf - --exclude __pycache__ tests docs README.md CHANGELOG.md CONTRIBUTING.md pyproject.toml tox.ini LICENSE) |
    tar xf - -C "$work"
# The tests start Python by other names, and with environments of their own: so the packages are in its own directory.
cp -a "$site/." "$("$python" -c 'import site; print(site.getsitepackages()[0])')/"
ln -s "$python" "$work/bin/python"
printf '#!%s\nimport sys\nfrom multiprocessing_intenum.__main__ import main\nsys.exit(main())\n' "$python" >"$work/bin/intenum-value"
printf 'import sys, pytest\nif __name__ == "__main__":\n    sys.path.pop(0)\n    sys.exit(pytest.main())\n' >"$work/bin/run-pytest"
chmod 755 "$work/bin/intenum-value"
cd "$work"
PATH=$work/bin:$PATH "$python" "$work/bin/run-pytest" -p no:cacheprovider --color=no --tb=short "$@"
