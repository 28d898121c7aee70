#!/usr/bin/env bash
# Asks the virtual driver, in its profile of the guest's kernel, all that the conformance list asks the real one.
#
# usage: virtual.sh BUILD OUT     BUILD: a build directory with the target conformance-virtual; OUT: "CASE ..." lines
set -euo pipefail
build=$(readlink -f "$1") out=$2
here=$(dirname "$(readlink -f "$0")")

# Sockets have short names, and build directories may have long ones.
run=$(mktemp -d)
server=
end() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" || true; fi
    rm -rf "$run"
}
trap end EXIT
trap 'exit 143' TERM INT

"$build/tests/conformance/conformance-vdsp" "$here/soc.json" "$run/socket" >"$out.log" 2>&1 &
server=$!
for _ in $(seq 100); do
    [ -S "$run/socket" ] && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
[ -S "$run/socket" ] || { echo "conformance: the virtual driver does not start:" >&2; cat "$out.log" >&2; exit 1; }
ask() {
    LD_PRELOAD=$build/vdsp/shim/libfastrpc-vdsp-shim.so FASTRPC_VDSP_SOCKET=$run/socket \
        "$build/tests/conformance/fastrpc-conformance" "$@"
}
status=0
ask --slow --only 'timeout/*' >"$run/slow" &
slow=$!
ask >"$out" || status=$?
wait "$slow" || status=$?
cat "$run/slow" >>"$out"
exit "$status"
