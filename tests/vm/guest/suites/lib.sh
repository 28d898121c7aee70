# What the suites share. A check is one line: PASS name, or FAIL name reason.
logs=/run/log
mkdir -p "$logs"

failures=0
pass() { echo "PASS $1"; }
fail() {
    echo "FAIL $(echo "$*" | tr '\n' ' ')"
    failures=$((failures + 1))
}
# At the end of a suite: what its programs wrote, if there is something to find out. The console is all that leaves here.
finish() {
    [ $failures -eq 0 ] || for log in "$logs"/*; do sed "s#^#  ${log##*/}: #" "$log" | tail -n 40; done
}
# check NAME WHY COMMAND...: passes when the command does; else WHY, a command of its own, tells more.
check() {
    check_name=$1 check_reason=$2
    shift 2
    if "$@"; then pass "$check_name"; else fail "$check_name" "$(eval "$check_reason" 2>&1)"; fi
}
# eventually SECONDS COMMAND...: true as soon as the command is.
eventually() {
    eventually_until=$(($(cut -d. -f1 /proc/uptime) + $1))
    shift
    until "$@"; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt "$eventually_until" ] || return 1
        sleep 0.1
    done
}
# The words that make a command another user's, for start and for the front of a line. busybox has a setpriv too, which
# knows no users.
nobody="/usr/bin/setpriv --reuid nobody --regid nogroup --clear-groups"
host_user="/usr/bin/setpriv --reuid fastrpc-host --regid fastrpc-host --clear-groups"
broker_user="/usr/bin/setpriv --reuid fastrpcd --regid fastrpcd --clear-groups"
# start NAME COMMAND...: in the background, logging to its own file. $! is the program itself: COMMAND is no function.
start() {
    start_name=$1
    shift
    "$@" >"$logs/$start_name" 2>&1 &
}
gone() {
    for one in "$@"; do
        case $(cut -d" " -f3 "/proc/$one/stat" 2>/dev/null) in "" | Z) ;; *) return 1 ;; esac
    done
}
nodes() { echo $(cd /dev && ls -d fastrpc-* 2>/dev/null); }
