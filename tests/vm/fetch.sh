#!/usr/bin/env bash
# Fetches what the guest is made of: the newest arm64 kernel of this Debian release whose configuration has the FastRPC
# driver, its headers, and the arm64 libraries and programs that our programs need, into a sysroot.
#
# apt runs on a state of its own below WORK, so the machine's architectures, sources and packages stay as they are. A
# second run finds its stamp and asks nobody; --update asks the archive again.
#
# usage: fetch.sh WORK [--update]
# leaves: WORK/release     version of the kernel, as uname -r says it
#         WORK/kernel      boot/, the modules, usr/src/ of the headers
#         WORK/sysroot     arm64 root with -dev packages; busybox in bin/
set -euo pipefail
work=$(readlink -m "$1") update=${2:-}
here=$(dirname "$(readlink -f "$0")")
native=$(dpkg --print-architecture)

# In the guest, and what they pull in: libraries come with their -dev packages.
packages=(busybox-static dbus-daemon systemd udev util-linux libstdc++6 libsystemd-dev libspdlog-dev libfmt-dev libseccomp-dev
    libcap-ng-dev libpng-dev libssl-dev libgcrypt20-dev nlohmann-json3-dev libcli11-dev libyaml-cpp-dev)
oldest=6.12

die() { echo "vm: $*" >&2; exit 1; }

# This script is part of the stamp: a change of the list fetches anew.
stamp=$(sha256sum "$here/fetch.sh" | cut -d' ' -f1)
if [ -z "$update" ] && [ "$(cat "$work/fetched" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
rm -f "$work/fetched"

. "$here/../support/foreign_apt.sh"
foreign_apt "$work/apt" arm64
apt-get -qq update
# Flavours (rt, cloud) have another word before the architecture.
mapfile -t kernels < <(apt-cache pkgnames linux-image- | sed -n 's/^linux-image-\([0-9.]*[0-9][^-]*\(-[0-9]*\)\?-arm64\)$/\1/p' |
    sort -rV)
release=
for candidate in "${kernels[@]}"; do
    dpkg --compare-versions "${candidate%-arm64}" ge "$oldest" || break
    # 6.12-arm64 and the like are meta-packages.
    apt-cache show "linux-headers-$candidate" >/dev/null 2>&1 || continue
    fetch download "linux-image-$candidate"
    rm -rf "$work/kernel"
    mkdir -p "$work/kernel"
    dpkg --fsys-tarfile "$(deb "linux-image-$candidate" arm64)" | tar -x -C "$work/kernel" --wildcards ./boot \
        '*/drivers/misc/fastrpc.ko*' '*/drivers/rpmsg/rpmsg_core.ko*' || continue
    if grep -q '^CONFIG_QCOM_FASTRPC=m' "$work/kernel/boot/config-$candidate"; then
        release=$candidate
        break
    fi
done
[ -n "$release" ] || die "the archive has no arm64 kernel from $oldest on with CONFIG_QCOM_FASTRPC; it offers: ${kernels[*]}"
version=${release%-arm64}

fetch download "linux-headers-$release" "linux-headers-$version-common" "linux-kbuild-$version:$native"
fetch install --download-only --yes "${packages[@]}"

rm -rf "$work/sysroot"
mkdir -p "$work/sysroot"
for file in "$(deb "linux-headers-$release" arm64)" "$(deb "linux-headers-$version-common" all)" \
    "$(deb "linux-kbuild-$version" "$native")"; do
    dpkg -x "$file" "$work/kernel"
done
# The headers name their siblings by absolute paths.
sed -i "s#/usr/src/linux-headers-$version-common#$work/kernel&#" "$work/kernel/usr/src/linux-headers-$release/Makefile"

unpack_all "$work/sysroot" "${packages[@]}"
[ -x "$work/sysroot/bin/busybox" ] || die "the sysroot is incomplete"
echo "$release" >"$work/release"
echo "$stamp" >"$work/fetched"
