#!/usr/bin/env bash
# The tier that runs Debian's own FastRPC driver: fetches, builds, boots, and judges what the guest said.
#
# usage: run.sh WORK [--update]     --update: ask the archive for a newer kernel and libraries
# Prints every check, then "N passed, M failed"; the console is in WORK/console.
set -euo pipefail
work=$(readlink -m "$1") update=${2:-}
here=$(dirname "$(readlink -f "$0")")
source=$(readlink -f "$here/../..")
limit=300 # seconds for the guest; it needs far less

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

say "boot"
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
if complaints=$(grep -aE "$complaint" "$work/console"); then
    failed=$((failed + 1))
    printf 'FAIL kernel-stays-sound\n%s\n' "$complaints"
else
    passed=$((passed + 1))
    echo "PASS kernel-stays-sound"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
