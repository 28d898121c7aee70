#!/usr/bin/env bash
# Packs the guest's initial file system: busybox, Debian's modules and programs, ours, and the libraries that they name.
#
# usage: pack.sh WORK BUILD   -> WORK/initrd
set -euo pipefail
work=$(readlink -m "$1") build=$(readlink -m "$2")
here=$(dirname "$(readlink -f "$0")")
source=$(readlink -f "$here/../..")
sysroot=$work/sysroot root=$work/root

die() { echo "vm: $*" >&2; exit 1; }
put() { install -D -m "$1" "$2" "$root$3"; }
program() {
    put 0755 "$1" "$2"
    aarch64-linux-gnu-strip "$root$2"
}

rm -rf "$root"
mkdir -p "$root"/{dev,proc,sys,run,tmp,var,modules,usr/sbin,etc/dbus-1}
ln -s ../run "$root/var/run"
put 0755 "$sysroot/bin/busybox" /bin/busybox
for name in misc/fastrpc rpmsg/rpmsg_core; do
    xz -dc "$work/kernel/lib/modules/$(cat "$work/release")/kernel/drivers/$name.ko.xz" >"$root/modules/${name##*/}.ko"
done
aarch64-linux-gnu-strip -g -o "$root/modules/dsplink.ko" "$work/module/dsplink.ko"

# Debian's.
for name in /usr/bin/dbus-daemon /usr/bin/systemd-socket-activate /bin/udevadm /usr/bin/setpriv; do
    put 0755 "$sysroot$name" "$name"
done
mkdir -p "$root/lib/systemd"
ln -s ../../bin/udevadm "$root/lib/systemd/systemd-udevd"

# Ours, where an installation has them.
program "$build/broker/fastrpcd" /usr/libexec/fastrpcd
program "$build/daemon/host/fastrpc-pd" /usr/libexec/fastrpc-pd
program "$build/ctl/fastrpcctl" /usr/bin/fastrpcctl
program "$build/client/libfastrpc.so.1" /usr/lib/aarch64-linux-gnu/libfastrpc.so.1
program "$build/examples/imaging/imaging" /usr/lib/imaging/imaging
program "$build/examples/imaging/dsp/libimaging_skel.so" /usr/lib/imaging/dsp/libimaging_skel.so
put 0644 "$source/examples/imaging/sample.png" /usr/lib/imaging/sample.png
put 0644 "$source/systemd/60-fastrpcd.rules" /usr/lib/udev/rules.d/60-fastrpcd.rules
put 0644 "$source/systemd/org.fastrpc1.conf" /etc/dbus-1/org.fastrpc1.conf
for file in "$source"/config/demo/policy.d/*.json; do put 0644 "$file" "/etc/fastrpcd/policy.d/${file##*/}"; done
# The DSPs.
program "$build/vdsp/dsp/fastrpc-vdsp-pd" /usr/libexec/fastrpc-vdsp-pd
program "$build/tests/vm/bridge/fastrpc-vdsp-bridge" /usr/libexec/fastrpc-vdsp-bridge
program "$build/tests/vm/bridge/conformance-bridge" /usr/libexec/conformance-bridge
program "$build/tests/conformance/fastrpc-conformance" /usr/libexec/fastrpc-conformance
# Shells of the virtual DSPs: a first line that says what they are, and a real shell's kind of size.
shell() {
    mkdir -p "$root/usr/lib/dsp/$1"
    { printf 'FASTRPC-VDSP-SHELL %s %d\n' "$3" "$4"; printf '%04960d' 0; } >"$root/usr/lib/dsp/$1/$2"
}
shell cdsp fastrpc_shell_unsigned_3 unsigned 3
shell cdsp fastrpc_shell_3 signed 3
shell adsp fastrpc_shell_0 signed 0

# The libraries that all of these name, and what those name.
declare -A have
pending=()
while IFS= read -r file; do pending+=("$file"); done < <(find "$root" -type f \( -perm -u+x -o -name '*.so*' \))
while [ ${#pending[@]} -gt 0 ]; do
    file=${pending[0]}
    pending=("${pending[@]:1}")
    for name in $(readelf -d "$file" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        [ -z "${have[$name]:-}" ] || continue
        have[$name]=1
        [ ! -e "$root/usr/lib/aarch64-linux-gnu/$name" ] || continue
        for at in /lib/aarch64-linux-gnu /usr/lib/aarch64-linux-gnu /lib/aarch64-linux-gnu/systemd \
            /usr/lib/aarch64-linux-gnu/systemd /lib; do
            [ ! -e "$sysroot$at/$name" ] || break
        done
        [ -e "$sysroot$at/$name" ] || die "no package of the sysroot has $name, which ${file#"$root"} needs"
        put 0755 "$sysroot$at/$name" "$at/$name"
        pending+=("$root$at/$name")
    done
done
# Every program names its loader by this path.
[ -e "$root/lib/ld-linux-aarch64.so.1" ] || put 0755 "$sysroot/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1" /lib/ld-linux-aarch64.so.1

cp -r "$here/guest/etc/." "$root/etc/"
put 0755 "$here/guest/init" /init
mkdir "$root/suites"
cp "$here"/guest/suites/* "$root/suites/"
(cd "$root" && find . | cpio -o -H newc --quiet --owner 0:0) >"$work/initrd.new"
mv "$work/initrd.new" "$work/initrd"
