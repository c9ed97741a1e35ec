#!/bin/sh
# Runs the rings of tests one after the other against the installed wheel, and fails when one of them does.
#   VENV=.venv tools/test.sh unit property …
set -u

run() { FASTDHT_TEST_INSTALLED=1 "$VENV/bin/python" -P -m pytest -q "$@" ${PYTEST_ARGS:-}; }

failed=
for ring in "$@"; do
    [ -d "tests/$ring" ] || continue
    printf '\n== %s\n' "$ring"
    run "tests/$ring" && continue
    # Foreign programs have tempers of their own: what failed with them is tried once more, and said.
    [ "$ring" = interop ] && printf '\nonce more, what failed with foreign programs\n' &&
        run "tests/$ring" --last-failed && continue
    failed="$failed $ring"
done
[ -z "$failed" ] || { printf '\nfailed:%s\n' "$failed" >&2; exit 1; }
printf '\nall rings passed\n'
