# Parts of run.sh: the root that is booted, what is installed in it, and where its processes are counted.

# What a Debian machine has, beside what the programs need.
root_packages=(systemd systemd-sysv dbus dbus-broker polkitd udev libnss-systemd libpam-systemd util-linux libspdlog1.10 libfmt9
    libseccomp2 libcap-ng0 libyaml-cpp0.7 libssl3 libgcrypt20 libstdc++6)

# make_root CACHE: leaves CACHE/root, made anew when the list of packages changed.
make_root() {
    local stamp; stamp=$(printf '%s\n' "${root_packages[@]}" | sha256sum | cut -d' ' -f1)
    if [ "$(cat "$1/root.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
    echo "== making a Debian root"
    rm -rf -- "$1/root" "$1/root.stamp"
    mkdir -p "$1"
    local list; list=$(IFS=,; echo "${root_packages[*]}")
    mmdebstrap --quiet --variant=minbase --include="$list" bookworm "$1/root" || die "the Debian root cannot be made"
    systemctl --quiet --root="$1/root" disable dbus-broker.service # until a boot asks for it
    echo "$stamp" >"$1/root.stamp"
}

# install_packages DIR ROOT: all of DIR, as in an image that is made for a machine: nothing runs yet.
install_packages() {
    mkdir "$2/packages"
    cp "$1"/*.deb "$2/packages"
    chroot "$2" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
        sh -c 'dpkg --install /packages/*.deb' >"$work/install.log" 2>&1 ||
        { cat "$work/install.log" >&2; die "the packages cannot be installed in the root"; }
    rm -r "$2/packages"
}

# prepare_root ROOT SOURCE: users, the suite's unit, and a machine that boots to nothing else.
prepare_root() {
    install -D -m 0644 "$2/users.conf" "$1/usr/lib/sysusers.d/system-test.conf"
    systemd-sysusers --root="$1"
    install -m 0644 "$2/system-test.service" "$1/etc/systemd/system"
    systemctl --quiet --root="$1" enable system-test.service
    systemctl --quiet --root="$1" mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
        e2scrub_all.timer fstrim.timer systemd-tmpfiles-clean.timer
    ln -sf /dev/null "$1/etc/systemd/system/console-getty.service"
}

# A container counts its processes in a control group of its own. Where systemd is not process 1, nobody makes one.
group_roots() {
    local at
    for at in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        if [ -w "$at/cgroup.procs" ]; then echo "$at"; fi
    done
}
make_cgroups() {
    local at
    for at in $(group_roots); do mkdir -p "$at/$1"; done
}
enter_cgroups() {
    local at
    for at in $(group_roots); do echo 0 >"$at/$1/cgroup.procs"; done
}
leave_cgroups() {
    local at try
    for at in $(group_roots); do
        for try in 1 2 3 4 5 6 7 8 9 10; do
            find "$at/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
            [ -d "$at/$1" ] || break
            sleep 0.3
        done
    done
}
