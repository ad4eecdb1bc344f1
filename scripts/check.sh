#!/usr/bin/env sh
# Linter, formatter, type checker: the whole quick check. `scripts/check.sh --fix` mends what can be mended by itself.
set -eu
cd "$(dirname "$0")/.."
if [ "${1:-}" = "--fix" ]; then
    ruff check --fix .
    ruff format .
else
    ruff check .
    ruff format --check .
fi
mypy
