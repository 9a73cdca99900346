#!/usr/bin/env bash
# Unpacks the wheel and what its tests need, without anything compiled, for any processor and any Python from 3.11 on.
# usage: site.sh DIRECTORY
set -euo pipefail
directory=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# From 6.140 on, hypothesis has no pure wheel.
python3 -m pip -q download -d "$work" --only-binary :all: --python-version 3.11 --platform any --implementation py --abi none \
    'pytest>=8' 'hypothesis>=6.100,<6.140' 'sybil[pytest]>=9' 'filelock>=3.20' 'typing-extensions>=4.13' 'wrapt>=2.2,<3'
python3 -m pip -q wheel --no-deps -w "$work" "$root"
rm -rf "$directory"
mkdir -p "$directory"
for wheel in "$work"/*.whl; do python3 -m zipfile -e "$wheel" "$directory"; done
