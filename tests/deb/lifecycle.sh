#!/usr/bin/env bash
# Installs, upgrades, removes and purges the packages in a scratch Debian root, and looks after each step at what is
# there (lifecycle.txt) and at what the packages' scripts asked of systemd, whose place a recorder takes.
#
# usage: lifecycle.sh WORK DEB...
# Prints every check, then "N passed, M failed".
set -euo pipefail
work=$(readlink -m "$1"); shift
here=$(dirname "$(readlink -f "$0")")
. "$here/root.sh"
. "$here/later.sh"
make_root "$work" "$@"

root=$(mktemp -d "$work/scratch-XXXXXX")
mounted=
# shellcheck disable=SC2329
clean() {
    if [ -n "$mounted" ]; then umount "$root/proc"; fi
    rm -rf --one-file-system "$root"
}
trap clean EXIT
tar -C "$root" -xf "$work/root.tar"
mount -t proc proc "$root/proc"
mounted=yes

passed=0 failed=0
check() { # check NAME COMMAND...: the command's success
    local name=$1; shift
    if "$@"; then passed=$((passed + 1)); echo "PASS $name"; else failed=$((failed + 1)); echo "FAIL $name"; fi
}

# A machine that was booted with systemd, as far as the scripts can tell. What units files say is the real systemctl's to
# tell; everything else is recorded, and units are active once they were started.
calls=$root/var/log/calls
mkdir -p "$root/run/systemd/system" "$root/run/udev" "$root/usr/local/bin"
cat >"$root/usr/local/bin/systemctl" <<'TEXT'
#!/bin/sh
echo "systemctl $*" >>/var/log/calls
case " $* " in
*' is-enabled '* | *' preset '*) exec /usr/bin/systemctl --root=/ "$@" ;;
*' is-active '*) [ -e /tmp/started ] ;;
esac
TEXT
printf '#!/bin/sh\necho "udevadm $*" >>/var/log/calls\n' >"$root/usr/local/bin/udevadm"
chmod +x "$root/usr/local/bin/systemctl" "$root/usr/local/bin/udevadm"
# The socket of a udev that runs.
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$root/run/udev/control"
inside() { chroot "$root" env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
files() { (cd "$root" && find . -xdev \( -path ./proc -o -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache -o -path ./tmp \) -prune -o -print | sort); }

# step NAME COMMAND...: the packages' scripts must not complain either.
step() {
    local name=$1; shift
    : >"$calls"
    if inside "$@" >"$work/$name.log" 2>&1; then check "$name succeeds" true; else cat "$work/$name.log"; check "$name succeeds" false; fi
    cp "$calls" "$work/$name.calls"
}
there() {
    case $1 in
    user:*) inside getent passwd "${1#*:}" >/dev/null ;;
    group:*) inside getent group "${1#*:}" >/dev/null ;;
    *) [ -e "$root$1" ] || [ -L "$root$1" ] ;;
    esac
}
holds() { if there "$1"; then [ "$2" = yes ]; else [ "$2" = no ]; fi; }
table() { # table STEP COLUMN
    local row
    while read -ra row; do
        case ${row[0]:-\#} in \#*) continue ;; esac
        check "after $1: ${row[0]}: ${row[$2]}" holds "${row[0]}" "${row[$2]}"
    done <"$here/lifecycle.txt"
}
asked() { grep -qE -- "$1" "$calls"; }
asked_not() { ! grep -E -- "$1" "$calls"; }

mkdir "$root/first"
cp "$@" "$root/first"
later_packages "$root/second" "$@"
names=()
for deb in "$@"; do names+=("$(dpkg-deb -f "$deb" Package)"); done
before=$(files)

step install sh -c 'dpkg -i /first/*.deb'
mkdir -p "$root/var/lib/fastrpcd/adsp-sensors/sensors/registry"
echo calibrated >"$root/var/lib/fastrpcd/adsp-sensors/sensors/registry/calibration"
echo '{"rules": []}' >"$root/etc/fastrpcd/policy.d/90-local.json"
table install 1
check "install starts fastrpcd" asked 'start .*fastrpcd\.service'
needs() { grep -qE "^(Requires|Wants)=.*$1" "$root/lib/systemd/system/fastrpcd.service"; }
check "fastrpcd brings its control socket along" needs fastrpcd-control.socket
check "fastrpcd brings the session socket along" needs fastrpc-session.socket
check "install hosts what is there" asked '^udevadm trigger'
check "install does not start the virtual SoC" asked_not 'start .*vdsp'
check "the installed daemon runs" inside /usr/libexec/fastrpcd --version

touch "$root/tmp/started"
step upgrade sh -c 'dpkg -i /second/*.deb'
table upgrade 2
check "upgrade restarts fastrpcd" asked 'restart .*fastrpcd\.service'
check "upgrade leaves hosts and sockets alone" asked_not '(stop|start|restart|kill) .*(fastrpc-session|fastrpc-pd|\.socket|\.slice)'
check "upgrade does not stop fastrpcd before its files change" asked_not '[^e]stop .*fastrpcd\.service'

step remove dpkg --remove "${names[@]}"
table remove 3
check "remove stops fastrpcd" asked 'stop .*fastrpcd\.service'
check "remove stops its sockets" asked 'stop .*fastrpcd-control\.socket'
check "remove stops sessions' hosts" asked 'stop .*fastrpc-session\*@\*\.service'
check "remove stops static PDs' hosts" asked 'stop .*fastrpc-pd\*@\*\.service'
check "remove gives the nodes back" asked '^udevadm trigger'

step purge dpkg --purge "${names[@]}"
table purge 4
nothing_left() {
    local left
    left=$(comm -13 <(echo "$before") <(files) | grep -vE '^\./etc/(passwd|group|shadow|gshadow)-?$' || true)
    [ -z "$left" ] || { echo "left behind:"; echo "$left"; false; }
}
check "purge leaves no file behind" nothing_left

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
