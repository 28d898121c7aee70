#!/usr/bin/env bash
# Writes the meson cross file for the guest: the host's arm64 compiler, and the libraries of WORK/sysroot.
#
# No --sysroot: C and C++ libraries come with the cross compiler, everything else from the sysroot.
#
# usage: cross.sh WORK   -> WORK/cross.ini, WORK/pkg-config
set -euo pipefail
work=$(readlink -m "$1")
libraries=$work/sysroot/usr/lib/aarch64-linux-gnu
launcher=
command -v ccache >/dev/null && launcher="'ccache', "
search="'-L$libraries', '-Wl,-rpath-link,$libraries:$work/sysroot/lib/aarch64-linux-gnu'"

# meson asks pkg-config of the build machine; these variables must not reach anything else.
cat >"$work/pkg-config" <<TEXT
#!/bin/sh
PKG_CONFIG_SYSROOT_DIR='$work/sysroot' PKG_CONFIG_LIBDIR='$libraries/pkgconfig:$work/sysroot/usr/share/pkgconfig' \\
    exec pkg-config "\$@"
TEXT
chmod +x "$work/pkg-config"

cat >"$work/cross.ini.new" <<TEXT
[binaries]
c = [${launcher}'aarch64-linux-gnu-gcc']
cpp = [${launcher}'aarch64-linux-gnu-g++']
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = '$work/pkg-config'
cmake = 'false'

[built-in options]
c_args = ['-isystem', '$work/sysroot/usr/include', '-isystem', '$work/sysroot/usr/include/aarch64-linux-gnu']
cpp_args = ['-isystem', '$work/sysroot/usr/include', '-isystem', '$work/sysroot/usr/include/aarch64-linux-gnu']
c_link_args = [$search]
cpp_link_args = [$search]

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
TEXT
# An unchanged file stays, so that meson does not configure again.
if cmp -s "$work/cross.ini.new" "$work/cross.ini"; then rm "$work/cross.ini.new"; else mv "$work/cross.ini.new" "$work/cross.ini"; fi
