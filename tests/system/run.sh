#!/usr/bin/env bash
# The installed system, booted: a Debian root with real systemd, bus and polkit, the packages installed in it, and the
# suite of test-system inside. Three times: without any DSP, with the virtual SoC as the unit that developers use, and
# with that and the other bus, which alone of the two lets users in that are made for one service (DynamicUser=).
#
# The root is made once and kept below CACHE; what a run changes is an overlay of its own. Everything runs in process and
# mount namespaces that end with this script, so nothing is left running or mounted, however it ends.
#
# usage: run.sh CACHE BUILD PACKAGES [FILTER]
#   BUILD has the programs of the suite. Ends with "N passed, M failed"; with FILTER only those tests, on the virtual SoC.
#   FASTRPCD_IDLE_SECONDS: how long Idle.* watches the machine at rest; 30 if not set.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cache=$(readlink -m "$1") build=$(readlink -f "$2") packages=$(readlink -f "$3") filter=${4:-}
idle=${FASTRPCD_IDLE_SECONDS:-30}
limit=$((290 + idle)) # seconds for one boot; all of them need little more than that
. "$here/root.sh"
. "$here/../deb/later.sh"

die() { echo "system: $*" >&2; exit 1; }

if [ -z "${SYSTEM_WORK:-}" ]; then
    make_root "$cache"
    work=$(mktemp -d "$cache/run-XXXXXX")
    group=fastrpcd-system-$$
    inside=
    cleanup() {
        if [ -n "$inside" ]; then pkill -KILL -P "$inside" || true; fi # process 1 of the namespace, and all with it
        leave_cgroups "$group"
        rm -rf -- "$work"
    }
    trap cleanup EXIT
    trap 'exit 130' INT TERM
    make_cgroups "$group"
    SYSTEM_WORK=$work SYSTEM_GROUP=$group timeout --foreground -s KILL $((limit + 140)) \
        unshare --mount --pid --fork --kill-child --mount-proc "$here/run.sh" "$@" &
    inside=$!
    wait "$inside" || true
    inside=
    passed=$(cat "$work"/out/*.log | grep -cE "^\[       OK \]" || true)
    failed=$(cat "$work"/out/*.log | grep -cE "^\[  FAILED  \] [A-Za-z0-9_]+\.[A-Za-z0-9_]+ \(" || true)
    boots=(none virtual broker)
    if [ -n "$filter" ]; then boots=(virtual); fi
    for name in "${boots[@]}"; do # a suite that crashed or hung
        if ! grep -qx "ended 0" "$work/out/$name.end" 2>/dev/null && [ "$failed" -eq 0 ]; then failed=1; fi
    done
    rm -rf -- "$cache/logs"
    cp -r "$work/out" "$cache/logs"
    echo "system: logs are in $cache/logs"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
fi

work=$SYSTEM_WORK
enter_cgroups "$SYSTEM_GROUP"
mkdir -p "$work/upper" "$work/overlay" "$work/root" "$work/out" "$work/test/modules"
mount -t tmpfs run /run # what systemd-nspawn keeps of its containers
mount -t overlay overlay -o "lowerdir=$cache/root,upperdir=$work/upper,workdir=$work/overlay" "$work/root"
root=$work/root

install_packages "$packages" "$root"
later_packages "$work/test/upgrade" "$packages"/*.deb
echo "deb [trusted=yes] file:/test/upgrade ./" >"$work/test/upgrade/sources.list"
install -m 0755 "$build/tests/system/test-system" "$build/tests/integration/fastrpc-caller" "$work/test"
install -m 0644 "$build/tests/unit/vdsp_dsp/libtest_skel.so" "$work/test/modules"
prepare_root "$root" "$here"

# boot NAME FILTER: boots, runs the tests that FILTER names and shows what they print as they do.
boot() {
    local name=$1 log=$work/out/$1.log
    printf "FILTER=%s\nLOG=/out/%s\nLIMIT=%s\nIDLE_SECONDS=%s\n" "$2" "$name" "$limit" "$idle" >"$work/test/environment"
    : >"$log"
    echo "== $3"
    tail -n +1 -F "$log" 2>/dev/null &
    local tail=$!
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout -s TERM -k 10 $((limit + 20)) systemd-nspawn --quiet --directory="$root" --boot \
        --machine="fastrpcd-$name" --register=no --keep-unit --private-network --console=pipe \
        --link-journal=no --bind-ro="$work/test:/test" --bind="$work/out:/out" </dev/null >"$work/out/$name.console" 2>&1 ||
        echo "system: the container ended with code $?"
    sleep 0.2
    kill "$tail" 2>/dev/null || true
    wait "$tail" 2>/dev/null || true
}

[ -n "$filter" ] || boot none 'NoDsp.*' "on a machine without a DSP"
systemctl --quiet --root="$root" enable fastrpc-vdsp.service
boot virtual "${filter:--NoDsp.*:Container.*}" "on the virtual SoC"
if [ -z "$filter" ]; then
    systemctl --quiet --root="$root" enable dbus-broker.service
    boot broker 'Users.*:Container.*:CtlService.*' "on the virtual SoC, with dbus-broker"
fi
