#!/bin/sh
# Makes a virtual environment ready to build in, and says in one go what the machine lacks.
#   tools/setup.sh VENV        with PYTHON (default python3); NO_APT=1 never calls apt-get
set -eu

venv=$1
python=${PYTHON:-python3}

say() { printf '%s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
answers() { "$python" -c "$1" >/dev/null 2>&1; }

check_python() {
    command -v "$python" >/dev/null 2>&1 || fail "$python was not found; fastdht needs Python 3.11 or later (apt-get install python3)"
    answers 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is $("$python" -V 2>&1); fastdht needs Python 3.11 or later (choose another with make PYTHON=…)"
}

check_build_tools() {
    missing=
    answers 'import venv, ensurepip' || { missing="$missing python3-venv"; say "missing: the venv module of $python"; }
    answers 'import os, sysconfig as s, sys; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' ||
        { missing="$missing python3-dev"; say "missing: Python.h, the headers of $python"; }
    command -v "${CC:-gcc}" >/dev/null 2>&1 || command -v cc >/dev/null 2>&1 ||
        { missing="$missing gcc"; say "missing: a C compiler (${CC:-gcc})"; }
    [ -z "$missing" ] || fail "on Debian and Ubuntu: sudo apt-get install$missing"
}

has_sodium() { answers 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("sodium"))'; }

apt_prefix() {     # how apt-get may be called without asking anybody, if at all
    [ -z "${NO_APT:-}" ] && command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then apt=env
    elif sudo -n true >/dev/null 2>&1; then apt="sudo -n env"
    else return 1; fi
}

install_sodium() {
    has_sodium && return
    if apt_prefix; then
        say "installing libsodium23 (apt-get)"
        install="$apt DEBIAN_FRONTEND=noninteractive apt-get"
        { $install install -y -qq libsodium23 || { $install update -qq && $install install -y -qq libsodium23; }; } >/dev/null 2>&1 || true
    fi
    has_sodium || say "libsodium is missing: signed items (BEP 44) will not work, all else does; to add it: sudo apt-get install libsodium23"
}

make_venv() {
    say "creating $venv"
    "$python" -m venv --clear "$venv" || fail "$python -m venv $venv failed"
    # Built without pip's isolation: in a fresh environment each time, Cython would compile every module again.
    requires='import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"]))'
    "$venv/bin/python" -c "$requires" >"$venv/build-requires.txt"
    "$venv/bin/python" -m pip install -q -r "$venv/build-requires.txt" ||
        fail "Cython and setuptools were not installed: no network, or no package index that has them"
}

check_python
check_build_tools
install_sodium
make_venv
