#!/usr/bin/env bash
# Make a virtual environment with pip in it:  scripts/venv.sh PYTHON DIRECTORY
#
# Debian and Ubuntu ship Python without ensurepip (it is in the package python3-venv), so `python3 -m venv` fails on a
# fresh machine. Root gets that package installed; anybody else gets pip out of Debian's own wheel, no rights needed.
set -euo pipefail

python=${1:?usage: venv.sh PYTHON DIRECTORY}
venv=${2:?usage: venv.sh PYTHON DIRECTORY}

fail() {
    echo "castalia: $*" >&2
    exit 1
}

has_ensurepip() {
    # Debian's ensurepip imports well without its wheels, and only then fails: ask it for the version it would install.
    "$python" -c 'import venv, ensurepip; assert ensurepip.version()' 2>/dev/null
}

install_package() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    # The package of just this Python: python3-venv alone would serve only the system's default one.
    local package="python3.$("$python" -c 'import sys; print(sys.version_info.minor)')-venv"
    echo "installing $package (this Python comes without ensurepip)"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -q "$package" || { apt-get update -q && apt-get install -y -q "$package"; } || return 1
}

pip_wheel() { # print the path of a pip wheel: one that is there, else one from a downloaded package
    local directory=$1 package
    find_wheel /usr/share/python-wheels && return
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    for package in python3-pip-whl python-pip-whl; do
        if (cd "$directory" && apt-get download -q "$package" >&2); then
            dpkg-deb -x "$directory"/"$package"_*.deb "$directory"
            find_wheel "$directory/usr/share/python-wheels" && return
        fi
    done
    return 1
}

find_wheel() {
    local wheel
    for wheel in "$1"/pip-*.whl; do
        [ -f "$wheel" ] && echo "$wheel" && return
    done
    return 1
}

make_without_ensurepip() {
    local directory wheel
    "$python" -c 'import venv' 2>/dev/null || return 1
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' RETURN
    wheel=$(pip_wheel "$directory") || return 1
    echo "taking pip from Debian's own wheel (this Python comes without ensurepip)"
    "$python" -m venv --clear --without-pip "$venv" || return 1
    # A wheel is a zip file, and Python runs a package inside one: pip installs itself.
    "$venv/bin/python" "$wheel/pip" install --quiet --no-cache-dir --no-index "$wheel"
}

command -v "$python" >/dev/null ||
    fail "no '$python' here; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11"
version=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info[:2]))')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "needs Python 3.11 or newer, but '$python' is $version; name a newer one: make PYTHON=/path/to/python3.11"

if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
if has_ensurepip || { install_package && has_ensurepip; }; then
    "$python" -m venv --clear "$venv"
else
    make_without_ensurepip ||
        fail "'$python' cannot make a virtual environment with pip; install python$version-venv" \
            "(as root: apt-get install python$version-venv), or name another: make PYTHON=/path/to/python3.11"
fi
