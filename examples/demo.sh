#!/usr/bin/env bash
# The main job, inside the virtual system that ./dev demo starts: as `nobody`, filter an image on the DSP; be refused a
# signed PD; look at what fastrpcd knows, the static PDs and their files. Exits 0 only if all of it is as said.
#
# usage: demo.sh BUILD IMAGE OUTPUT
set -euo pipefail
build=$1 image=$2 output=$3
work=$FASTRPC_STACK/demo
unprivileged=(setpriv --reuid nobody --regid nogroup --clear-groups)

say() { printf '\n== %s\n' "$*"; }
die() { echo "demo: $*" >&2; exit 1; }

install -d -o nobody -g nogroup "$work"
install -m 0644 "$image" "$work/image"
mkfifo "$work/hold"
chown nobody "$work/hold"

say "as nobody: histogram, sobel3x3 and dilate3x3 on the DSP, in an unsigned PD"
"${unprivileged[@]}" "$build/examples/imaging/imaging" --module-dir "$build/examples/imaging/dsp" \
    --output "$work/edges.png" --repeat 20 --hold "$work/image" <"$work/hold" >"$work/imaging.log" 2>&1 &
imaging=$!
exec 9>"$work/hold" # its session stays open until we close this
for _ in $(seq 600); do
    [ -s "$work/edges.png" ] && grep -q '^holding' "$work/imaging.log" && break
    kill -0 "$imaging" 2>/dev/null || break
    sleep 0.1
done
cat "$work/imaging.log"
kill -0 "$imaging" 2>/dev/null || die "the image filter ended early"
[ -s "$work/edges.png" ] || die "no edges were written"

say "as nobody: a signed PD, which the policy does not give"
status=0
"${unprivileged[@]}" "$build/examples/imaging/imaging" --pd signed --module-dir "$build/examples/imaging/dsp" \
    --output "$work/signed.png" "$work/image" || status=$?
[ "$status" -eq 3 ] || die "a signed PD was not refused (exit code $status)"

say "fastrpcctl list"
"$build/ctl/fastrpcctl" list

exec 9>&-
wait "$imaging" || die "the image filter failed"

say "fastrpcctl pd list: the static PDs"
"$build/ctl/fastrpcctl" pd list
[ "$("$build/ctl/fastrpcctl" pd list | grep -c ' running ')" -eq 4 ] || die "not all static PDs run"

say "fastrpcctl files --missing: what their DSP asked for in vain"
for _ in $(seq 100); do # their firmware may still be starting
    missing=$("$build/ctl/fastrpcctl" files --missing)
    case $missing in *vdsp_absent.json*) break ;; esac
    sleep 0.1
done
echo "$missing"
case $missing in *vdsp_absent.json*) ;; *) die "the file that was left out on purpose is not named" ;; esac
cp "$work/edges.png" "$output"
say "done: the edges are in $output"
