#!/usr/bin/env bash
# The tier that runs Debian's own FastRPC driver: fetches, builds, boots, and judges what the guest said. While it
# runs, the conformance list is put to the virtual driver as well; both answers make a table.
#
# usage: run.sh WORK BUILD [--update]     BUILD: of this machine, with the target conformance-virtual
#                                         --update: ask the archive for a newer kernel and libraries
# Prints every check, then "N passed, M failed". WORK/console has all that the guest said, WORK/virtual and WORK/real
# the answers in full.
set -euo pipefail
work=$(readlink -m "$1") native=$(readlink -f "$2") update=${3:-}
here=$(dirname "$(readlink -f "$0")")
source=$(readlink -f "$here/../..")
limit=600 # seconds for the guest; it needs far less, on a machine that has nothing else to do

say() { printf '== %s\n' "$*"; }
umask 022
mkdir -p "$work"

say "guest's kernel and libraries"
"$here/fetch.sh" "$work" $update
release=$(cat "$work/release")
say "Linux $release"

# Built where it is not under version control; only what changed is copied, so that make has nothing to do twice.
mkdir -p "$work/module"
for file in "$here"/module/*; do cmp -s "$file" "$work/module/${file##*/}" || cp "$file" "$work/module/"; done
# Without the BTF variable the last step asks for pahole, a tool that nothing here needs.
make -s -C "$work/kernel/usr/src/linux-headers-$release" M="$work/module" CONFIG_DEBUG_INFO_BTF_MODULES= modules

"$here/cross.sh" "$work"
build=$work/arm64
if [ ! -f "$build/build.ninja" ] || [ "$work/cross.ini" -nt "$build/build.ninja" ]; then
    rm -rf "$build"
    # Little optimisation and no debug information: the guest is for truth, not for speed, and is built from nothing.
    meson setup "$build" "$source" --cross-file "$work/cross.ini" --buildtype=plain -Doptimization=1 -Dwerror=true \
        >"$work/setup.log" || { cat "$work/setup.log" >&2; exit 1; }
fi
say "arm64 programs"
ninja -C "$build" --quiet guest >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
"$here/pack.sh" "$work" "$build"

say "boot, and the virtual driver at the same time"
"$source/tests/conformance/virtual.sh" "$native" "$work/virtual" &
virtual=$!
trap 'kill "$virtual" 2>/dev/null || true' EXIT
status=0
"$here/boot.sh" "$work" "$limit" | tr -d '\r' >"$work/console" || status=$?
grep -aE '^(==|PASS|FAIL|  )' "$work/console" || true

# The guest's word counts only when it came to its end and its kernel stayed sound.
passed=$(grep -acE '^PASS ' "$work/console" || true)
failed=$(grep -acE '^FAIL ' "$work/console" || true)
if grep -aqx '== end' "$work/console"; then
    passed=$((passed + 1))
    echo "PASS guest-comes-to-its-end"
else
    failed=$((failed + 1))
    echo "FAIL guest-comes-to-its-end (QEMU's exit code is $status); the last lines of its console:"
    tail -n 60 "$work/console"
fi
complaint='Oops|BUG:|WARNING:|Internal error|Kernel panic|UBSAN|refcount_t|list_(add|del) corruption|blocked for more than'
# The conformance program leaves the name of each case in the kernel's log.
if complaints=$(grep -aE "$complaint|\] conformance: " "$work/console" | grep -aE -B1 "$complaint"); then
    failed=$((failed + 1))
    printf 'FAIL kernel-stays-sound\n%s\n' "$complaints"
else
    passed=$((passed + 1))
    echo "PASS kernel-stays-sound"
fi
virtual_status=0
wait "$virtual" || virtual_status=$?
trap - EXIT
if [ "$virtual_status" -eq 0 ]; then
    passed=$((passed + 1))
    echo "PASS virtual-driver-answers"
else
    failed=$((failed + 1))
    echo "FAIL virtual-driver-answers (exit code $virtual_status)"
    tail -n 20 "$work/virtual.log"
fi
say "conformance: the virtual driver beside the real one"
{ grep -a '^CASE ' "$work/console" || true; } >"$work/real"
"$native/tests/conformance/conformance-compare" "$work/virtual" "$work/real" "$source/tests/conformance/explained.txt" \
    "$source/docs/conformance.md" >"$work/table" || true
sed '$d' "$work/table"
counts=$(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$work/table")
read -r rows_passed rows_failed <<<"${counts:-0 1}" # without a verdict it broke before
passed=$((passed + rows_passed))
failed=$((failed + rows_failed))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
