#!/bin/sh
# Runs the rings of tests one after the other against the installed wheel, and fails when one of them does.
#   VENV=.venv tools/test.sh unit property …
#   TEST_WORKERS=4: processes at a time, for rings that do not share foreign programs
set -u

# All processes of a run draw the same choices, or they would not even collect the same tests.
export FASTDHT_TEST_SEED="${FASTDHT_TEST_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"

run() { FASTDHT_TEST_INSTALLED=1 "$VENV/bin/python" -P -m pytest -q "$@" ${PYTEST_ARGS:-}; }

failed=
for ring in "$@"; do
    [ -d "tests/$ring" ] || continue
    printf '\n== %s\n' "$ring"
    case $ring in
        typing) spread= ;;
        interop) spread="-n 2 --dist loadfile" ;;       # much waiting, little work; each file's programs are its own
        *) spread="-n ${TEST_WORKERS:-2} --dist worksteal" ;;
    esac
    # shellcheck disable=SC2086
    run "tests/$ring" $spread && continue
    # Foreign programs have tempers of their own: what failed with them is tried once more, and said.
    [ "$ring" = interop ] && printf '\nonce more, what failed with foreign programs\n' &&
        run "tests/$ring" --last-failed && continue
    failed="$failed $ring"
done
[ -z "$failed" ] || { printf '\nfailed:%s\n' "$failed" >&2; exit 1; }
printf '\nall rings passed\n'
