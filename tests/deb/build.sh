#!/usr/bin/env bash
# Builds the Debian packages from a copy of the source tree, so that nothing is left in it. Packages that are there
# already and of the same sources stay.
#
# usage: build.sh WORK [BUILD MESON_OPTION...]   -> WORK/packages/*.deb, *.changes, build.log
#   With BUILD, a build directory for tests that was set up with these options, the packages are compiled as that is and
#   lie as it does beside its sources. So ccache, which goes by both, has nearly all objects, and packages cost little.
set -euo pipefail
out=$(readlink -m "$1")/packages
source=$(readlink -f "$(dirname "$(readlink -f "$0")")/../..")
umask 022

options="nocheck parallel=$(nproc)"
tree=$out/tree/s
if [ $# -gt 1 ]; then
    options+=" noautodbgsym"
    build=$tree
    way=$(realpath --relative-to="$2" "$source") # e.g. ../..
    for step in ${way//\// }; do if [ "$step" = .. ]; then build+=/b; else tree+=/$step; fi; done
    export FASTRPCD_DH=--builddirectory=$build FASTRPCD_MESON="--buildtype=debugoptimized ${*:3}"
    export DEB_CPPFLAGS_SET='' DEB_CFLAGS_SET='' DEB_CXXFLAGS_SET=''
fi
export DEB_BUILD_OPTIONS=$options

# What packages are made of; they are built without tests.
sources() { (cd "$source" && git ls-files -z --cached --others --exclude-standard ':!tests' ':!dev' ':!.ci'); }
stamp=$({ sources | (cd "$source" && xargs -0 sha256sum); echo "$* $options"; cat "$0"; } | sha256sum)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

rm -rf "$out"
mkdir -p "$tree"
sources | (cd "$source" && xargs -0 cp --parents -t "$tree")
# dpkg leaves its packages beside the sources; debhelper gives builds a home of their own, and a language.
export CCACHE_DIR=${CCACHE_DIR:-${HOME:-/root}/.cache/ccache} CCACHE_BASEDIR=$out CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=locale
(cd "$tree" && dpkg-buildpackage --unsigned-source --unsigned-changes --build=binary) >"$out/build.log" 2>&1 ||
    { tail -n 60 "$out/build.log"; exit 1; }
mv "$(dirname "$tree")"/*.{deb,changes,buildinfo} "$out"
rm -rf "$out/tree"
echo "$stamp" >"$out/stamp"
