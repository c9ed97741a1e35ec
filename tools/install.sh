#!/bin/sh
# Builds the wheel of this tree, or installs it (never the tree itself) into a virtual environment.
#   tools/install.sh build VENV
#                                            with FROM_SDIST=1 by way of the sdist, which is kept beside it
#   tools/install.sh extras VENV NAMES       extras as pip writes them: crawl, or crawl,dev
set -eu

action=$1
venv=$2
wheels=$venv/wheel

fail() { printf 'install: %s\n' "$*" >&2; exit 1; }

build_from_sdist() {     # what is tested is then what users get; nothing of an earlier build is used
    printf 'building the sdist, and the wheel from it\n'
    "$venv/bin/python" -m pip install -q build &&
        "$venv/bin/python" -m build -q --no-isolation --outdir "$wheels" . || fail "no wheel; the lines above say why"
}

build_wheel() {
    printf 'building the wheel (the first time takes about a minute)\n'
    # A deleted module must not live on in the wheel; compiled ones stay, so that only what changed is built again.
    find build -path '*/lib.*' -type f ! -name '*.so' -delete 2>/dev/null || true
    "$venv/bin/python" -m pip wheel -q --no-deps --no-build-isolation -w "$wheels" . ||
        fail "no wheel; the lines above say why"
}

install_wheel() {
    wheel=$(ls "$wheels"/fastdht-*.whl)
    printf 'installing %s with [%s]\n' "$(basename "$wheel")" "$1"
    "$venv/bin/python" -m pip install -q --use-pep517 "$wheel[$1]" ||
        fail "what fastdht needs was not installed: no network, or no package index that has it"
    # The version rarely changes, so pip would keep an older build.
    "$venv/bin/python" -m pip install -q --no-deps --force-reinstall "$wheel"
}

case $action in
build) rm -rf "$wheels"
       if [ -n "${FROM_SDIST:-}" ]; then build_from_sdist; else build_wheel; fi ;;
extras) install_wheel "$3" ;;
*) fail "unknown action $action; build or extras" ;;
esac
