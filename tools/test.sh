#!/bin/sh
# Runs the rings of tests one after the other against the installed wheel, and fails when one of them does.
#   VENV=.venv tools/test.sh unit property …
set -u

failed=
for ring in "$@"; do
    [ -d "tests/$ring" ] || continue
    printf '\n== %s\n' "$ring"
    FASTDHT_TEST_INSTALLED=1 "$VENV/bin/python" -P -m pytest -q "tests/$ring" ${PYTEST_ARGS:-} || failed="$failed $ring"
done
[ -z "$failed" ] || { printf '\nfailed:%s\n' "$failed" >&2; exit 1; }
printf '\nall rings passed\n'
