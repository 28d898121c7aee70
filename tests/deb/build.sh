#!/usr/bin/env bash
# Builds the Debian packages from a copy of the source tree, so that nothing is left in it, and has lintian look at them.
#
# usage: build.sh WORK   -> WORK/packages/*.deb, *.changes, build.log
set -euo pipefail
out=$(readlink -m "$1")/packages
source=$(readlink -f "$(dirname "$(readlink -f "$0")")/../..")
umask 022

rm -rf "$out"
mkdir -p "$out/source"
(cd "$source" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$out/source")
cd "$out/source"
# debhelper gives builds a home of their own, but what was compiled once need not be again.
export CCACHE_DIR=${CCACHE_DIR:-${HOME:-/root}/.cache/ccache}
export CCACHE_BASEDIR=$out/source CCACHE_NOHASHDIR=1
dpkg-buildpackage --unsigned-source --unsigned-changes --build=binary >"$out/build.log" 2>&1 ||
    { tail -n 60 "$out/build.log"; exit 1; }
rm -rf "$out/source"
