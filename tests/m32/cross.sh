#!/usr/bin/env bash
# What a 32-bit build of the client library takes, on an x86-64 machine: the i386 libraries, fetched once into a sysroot,
# and the meson cross file for this machine's own compiler with -m32.
#
# usage: cross.sh WORK   -> WORK/cross.ini, WORK/sysroot, WORK/pkg-config
set -euo pipefail
work=$(readlink -m "$1")
here=$(dirname "$(readlink -f "$0")")
packages=(libsystemd-dev libspdlog-dev libfmt-dev libgtest-dev nlohmann-json3-dev libcli11-dev)
umask 022
mkdir -p "$work"

. "$here/../support/foreign_apt.sh"
stamp=$(sha256sum "$here/cross.sh" | cut -d' ' -f1)
if [ "$(cat "$work/fetched" 2>/dev/null)" != "$stamp" ]; then
    foreign_apt "$work/apt" i386
    # A part of the archive that can't be had may not matter: whether all packages are there is seen next.
    apt-get -qq update || echo "cross.sh: not all of the archive's lists could be fetched" >&2
    fetch install --download-only --yes "${packages[@]}"
    rm -rf "$work/sysroot"
    mkdir -p "$work/sysroot"
    unpack_all "$work/sysroot" "${packages[@]}"
    # The compiler brings those of C and C++; they must not be mixed with others.
    rm -f "$work"/sysroot/{,usr/}lib/i386-linux-gnu/{libc,libm,libpthread,libdl,librt,libgcc_s,ld-linux}.so* \
        "$work"/sysroot/usr/lib/i386-linux-gnu/libstdc++.so*
    echo "$stamp" >"$work/fetched"
fi

libraries=$work/sysroot/usr/lib/i386-linux-gnu
launcher=
command -v ccache >/dev/null && launcher="'ccache', "
# The programs run here, with these libraries, which unlike those of a guest have to be found, also by each other.
search="'-L$libraries', '-Wl,--disable-new-dtags', '-Wl,-rpath,$libraries:$work/sysroot/lib/i386-linux-gnu'"

# meson asks pkg-config of the build machine; these variables must not reach anything else.
cat >"$work/pkg-config" <<TEXT
#!/bin/sh
PKG_CONFIG_SYSROOT_DIR='$work/sysroot' PKG_CONFIG_LIBDIR='$libraries/pkgconfig:$work/sysroot/usr/share/pkgconfig' \\
    exec pkg-config "\$@"
TEXT
chmod +x "$work/pkg-config"

# The kernel's headers are the same for both word sizes, and packaged for one. (The package gcc-multilib would put them in
# the compiler's way, but it excludes the cross compilers of ./dev vm.)
include="'-isystem', '$work/sysroot/usr/include', '-idirafter', '/usr/include/x86_64-linux-gnu'"

cat >"$work/cross.ini.new" <<TEXT
[binaries]
c = [${launcher}'gcc', '-m32']
cpp = [${launcher}'g++', '-m32']
ar = 'ar'
strip = 'strip'
pkgconfig = '$work/pkg-config'
cmake = 'false'

[properties]
needs_exe_wrapper = false

[built-in options]
c_args = [$include]
cpp_args = [$include]
c_link_args = [$search]
cpp_link_args = [$search]

[host_machine]
system = 'linux'
cpu_family = 'x86'
cpu = 'i686'
endian = 'little'
TEXT
# An unchanged file stays, so that meson does not configure again.
if cmp -s "$work/cross.ini.new" "$work/cross.ini"; then rm "$work/cross.ini.new"; else mv "$work/cross.ini.new" "$work/cross.ini"; fi
