#!/usr/bin/env bash
# The packages, from the source tree to a machine and away again.
#
# usage: run.sh WORK   -> WORK/packages/*.deb
# Prints every check, then "N passed, M failed".
set -euo pipefail
work=$(readlink -m "$1")
here=$(dirname "$(readlink -f "$0")")
mkdir -p "$work"

echo "== packages"
"$here/build.sh" "$work"
echo "== lintian"
# As root it wants to be told that this is meant.
lintian --allow-root --fail-on error --info --pedantic --display-info "$work"/packages/*.changes >"$work/lintian.log" ||
    { cat "$work/lintian.log"; echo "FAIL lintian"; echo "0 passed, 1 failed"; exit 1; }
sed -n 's/^[WIP]: /&/p' "$work/lintian.log"
echo "== install, upgrade, remove, purge"
debs=()
for deb in "$work"/packages/*.deb; do case $deb in *-dbgsym_*) ;; *) debs+=("$deb") ;; esac; done
"$here/lifecycle.sh" "$work" "${debs[@]}"
