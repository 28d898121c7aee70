# For scripts that need Debian packages of another architecture: apt on a state of its own below a directory, so the
# machine's architectures, sources and packages stay as they are. To be sourced.

# foreign_apt DIR ARCH: from here on apt speaks of ARCH, and keeps what it knows in DIR.
foreign_apt() {
    local native suite ID='' VERSION_CODENAME=''
    apt=$1
    native=$(dpkg --print-architecture)
    . /etc/os-release
    [ "$ID" = debian ] || { echo "$0: this takes Debian packages of this machine's release, and this is ${ID:-unknown}" >&2; exit 1; }
    local mirror=${FASTRPCD_VM_MIRROR:-http://deb.debian.org}
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    for suite in "debian $VERSION_CODENAME" "debian $VERSION_CODENAME-updates" \
        "debian-security $VERSION_CODENAME-security"; do
        echo "deb $mirror/${suite% *} ${suite#* } main"
    done >"$apt/sources.list"
    # The machine's own apt.conf.d still counts: it may name a proxy.
    cat >"$apt/apt.conf" <<TEXT
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Architecture "$2";
APT::Architectures { "$2"; "$native"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
TEXT
    export APT_CONFIG=$apt/apt.conf
}

# Downloads into $apt/cache/archives, each file once; a hook of the machine that empties the cache has no say here.
fetch() { (cd "$apt/cache/archives" && apt-get -qq -o APT::Keep-Downloaded-Packages=true "$@"); }

# The downloaded file of package $1, of architecture $2.
deb() {
    local version
    version=$(apt-cache policy "$1:$2" | sed -n 's/^ *Candidate: //p')
    echo "$apt/cache/archives/$1_${version//:/%3a}_$2.deb"
}

# Unpacks the packages $2... and all they need, which fetch install --download-only has left here, into $1.
unpack_all() {
    local root=$1; shift
    # "Inst NAME (VERSION ORIGIN [ARCHITECTURE])", whether or not the file is here already.
    apt-get -qq --simulate --yes install "$@" |
        sed -n 's/^Inst \([^ :]*\)[^ ]* (\([^ ]*\) .*\[\([a-z0-9]*\)\]).*/\1 \2 \3/p' | while read -r name package arch; do
        case $name in
        debconf | rpcsvc-proto) continue ;;              # for package scripts and builds, which never run
        libc6-dev | libc-dev-bin | linux-libc-dev) continue ;; # the compiler has its own
        esac
        echo "$apt/cache/archives/${name}_${package//:/%3a}_$arch.deb"
    done | xargs -P 2 -I{} dpkg -x {} "$root"
    # Links from the root of that system are links from here while we build.
    find "$root" -type l -lname '/*' -printf '%l %p\n' | while read -r target link; do
        ln -sfr "$root$target" "$link"
    done
}
