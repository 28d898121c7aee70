#!/usr/bin/env bash
# Builds the packages for another architecture, in a Debian root of its own, where cross compilers and the libraries of
# that architecture are installed side by side: this machine's architectures and packages stay as they are.
#
# usage: cross.sh WORK ARCH   -> WORK/packages-ARCH/*.deb, *.changes, build.log
# Prints what the packages hold, then "N passed, M failed".
set -euo pipefail
work=$(readlink -m "$1") arch=$2
here=$(dirname "$(readlink -f "$0")")
root=$work/cross-$arch out=$work/packages-$arch
umask 022

if [ -z "${CROSS_INSIDE:-}" ]; then # mounts end with this script
    CROSS_INSIDE=yes exec unshare --mount "$0" "$@"
fi
mkdir -p "$work"
# Of libraries build-dep takes those of the other architecture, of tools those of this one.
stamp=$(sed -n '/^Build-Depends/,/^Standards/p' "$here/../../debian/control" | sha256sum)
if [ "$(cat "$root.stamp" 2>/dev/null)" != "$stamp" ]; then
    echo "== making a Debian root to build for $arch in"
    rm -rf --one-file-system "$root" "$root.stamp"
    mmdebstrap --variant=apt --architectures="$(dpkg --print-architecture),$arch" --include="dpkg-dev,crossbuild-essential-$arch,ccache" \
        --customize-hook='mkdir -p "$1/build/debian"' \
        --customize-hook="copy-in '$here/../../debian/control' '$here/../../debian/changelog' /build/debian" \
        --customize-hook="chroot \"\$1\" apt-get -y --no-install-recommends -a $arch build-dep /build" \
        "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$root" ${FASTRPCD_MIRROR:+"$FASTRPCD_MIRROR"} >"$root.log" 2>&1 ||
        { tail -n 30 "$root.log"; exit 1; }
    echo "$stamp" >"$root.stamp"
fi

echo "== packages for $arch"
rm -rf --one-file-system "$root/build" "$out"
mkdir -p "$root/build/source" "$root/ccache" "$out"
(cd "$here/../.." && git ls-files -z --cached --others --exclude-standard ':!tests' | xargs -0 cp --parents -t "$root/build/source")
# What was compiled once need not be again: the compilers' links of ccache come first.
cache=${CCACHE_DIR:-${HOME:-/root}/.cache/ccache}
mkdir -p "$cache"
mount --bind "$cache" "$root/ccache"
mount -t proc proc "$root/proc"
status=0
chroot "$root" env -i PATH=/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/build \
    CCACHE_DIR=/ccache CCACHE_NOHASHDIR=1 DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" \
    sh -c 'cd /build/source && exec dpkg-buildpackage --host-arch "$1" --unsigned-source --unsigned-changes --build=binary' sh "$arch" \
    >"$out/build.log" 2>&1 || status=$?
umount "$root/proc" "$root/ccache"
if [ "$status" -ne 0 ]; then
    tail -n 60 "$out/build.log"
    exit 1
fi
rm -rf "$root/build/source"
mv "$root"/build/* "$out"

echo "== what is in them"
passed=0 failed=0
check() { # check NAME COMMAND...: the command's success
    local name=$1; shift
    if "$@"; then passed=$((passed + 1)); echo "PASS $name"; else failed=$((failed + 1)); echo "FAIL $name"; fi
}
machine() { readelf -h "$1" 2>/dev/null | sed -n 's/^ *Machine: *//p'; }
wanted=$(machine "$root"/lib/*-linux-gnu/libc.so.6 | sort -u | grep -vxF "$(machine "$(command -v readelf)")")
programs_are() {
    local file kind all=0
    while read -r file; do
        kind=$(machine "$file")
        [ -n "$kind" ] || continue # no ELF file
        all=$((all + 1))
        echo "  ${file#"$1"}: $kind"
        [ "$kind" = "$wanted" ] || return 1
    done < <(find "$1" -type f \( -perm /111 -o -name '*.so*' \))
    case $1 in *-dev) ;; *) [ "$all" -gt 0 ] ;; esac
}
for deb in "$out"/*.deb; do
    case $deb in *-dbgsym_*) continue ;; esac
    name=$(dpkg-deb -f "$deb" Package)
    check "$name is a package for $arch" [ "$(dpkg-deb -f "$deb" Architecture)" = "$arch" ]
    dpkg-deb -x "$deb" "$root/build/$name"
    check "programs of $name are for $wanted" programs_are "$root/build/$name"
done
check "there are four packages" [ "$passed" -eq 8 ]
rm -rf "$root/build"
echo "cross.sh: the packages are in $out"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
