# A Debian root that has what the packages depend on and not the packages, made once. To be sourced.

# depends DEB...: what they depend on beside each other; of alternatives the first. Names that are no packages but
# provided by one are looked up on this machine, which has built with it.
depends() {
    local deb name
    for deb in "$@"; do
        dpkg-deb -f "$deb" Pre-Depends Depends | sed 's/^[A-Za-z-]*: //' | tr ',' '\n'
    done | sed 's/|.*//; s/(.*//; s/:any//; s/ //g' | grep -vE '^(|fastrpc.*|libfastrpc.*)$' | sort -u |
        while read -r name; do
            if dpkg-query -W -f '${db:Status-Status} ' "$name" 2>/dev/null | grep -q '^installed'; then
                echo "$name"
            else
                dpkg-query -W -f '${Package} ${Provides}\n' | grep -m 1 -E "[ ,]${name//./\\.}( |,|\$)" | cut -d' ' -f1
            fi
        done | sort -u
}

# make_root WORK DEB...: leaves WORK/root.tar.
make_root() {
    local work=$1; shift
    local list; list=$(printf 'systemd,udev,dbus,%s' "$(depends "$@" | paste -sd,)")
    if [ -f "$work/root.tar" ] && [ "$(cat "$work/root.stamp" 2>/dev/null)" = "$list" ]; then return; fi
    echo "== making a Debian root"
    rm -rf "$work/root" "$work/root.stamp"
    debootstrap --variant=minbase --include="$list" "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$work/root" \
        "${FASTRPCD_MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log" 2>&1 ||
        { tail -n 20 "$work/debootstrap.log"; exit 1; }
    tar -C "$work/root" -cf "$work/root.tar" .
    rm -rf "$work/root"
    echo "$list" >"$work/root.stamp"
}
