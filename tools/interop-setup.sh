#!/bin/sh
# Installs the foreign DHT programs that tests/interop talks to, as far as this machine lets it, and says what is missing.
#   tools/interop-setup.sh [PYTHON]      PYTHON gets libtorrent; without it, `make test` does that by itself
# Debian packages need root or a sudo that asks nothing; NO_APT=1 never calls apt-get. bittorrent-dht goes into
# .cache/peers (FASTDHT_PEERS_CACHE names another folder). No service is started, and none left running.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cache=${FASTDHT_PEERS_CACHE:-$here/.cache/peers}
python=${1:-}
missing=

say() { printf '%s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }

wanted_packages() {
    has transmission-daemon || printf ' transmission-daemon'
    has rtorrent || printf ' rtorrent'
    has aria2c || printf ' aria2'
    has cc || has gcc || printf ' gcc libc6-dev'
    has node || printf ' nodejs'
    has npm || printf ' npm'
}

apt_prefix() {     # how apt-get may be called without asking anybody, if at all
    [ -z "${NO_APT:-}" ] && has apt-get || return 1
    if [ "$(id -u)" = 0 ]; then apt=env
    elif sudo -n true >/dev/null 2>&1; then apt="sudo -n env"
    else return 1; fi
}

install_packages() {
    packages=$(wanted_packages)
    [ -n "$packages" ] || return 0
    apt_prefix || { missing="$missing$packages"; say "to add: sudo apt-get install$packages"; return 0; }
    say "installing$packages (apt-get)"
    # RUNLEVEL=1 keeps transmission-daemon's service from starting: only tests start it, on loopback.
    $apt DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null || true
    # shellcheck disable=SC2086
    $apt DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $packages >/dev/null ||
        missing="$missing$packages"
}

install_bittorrent_dht() {
    lock=$here/tests/interop/peers/children/package-lock.json
    [ -d "$cache/node_modules/bittorrent-dht" ] && cmp -s "$lock" "$cache/package-lock.json" && return 0
    has npm || { missing="$missing bittorrent-dht"; return 0; }
    say "installing bittorrent-dht (npm) into $cache"
    mkdir -p "$cache"
    cp "$here/tests/interop/peers/children/package.json" "$lock" "$cache/"
    (cd "$cache" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null) || missing="$missing bittorrent-dht"
}

install_libtorrent() {
    [ -n "$python" ] || return 0
    "$python" -c 'import libtorrent' 2>/dev/null && return 0
    say "installing libtorrent (pip)"
    "$python" -m pip install -q 'libtorrent>=2.0.9' || missing="$missing libtorrent"
}

install_packages
install_bittorrent_dht
install_libtorrent
[ -z "$missing" ] || { printf 'interop-setup: not installed:%s\n' "$missing" >&2; exit 1; }
say "all peers are installed"
