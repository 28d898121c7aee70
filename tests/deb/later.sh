# A later version of packages, without building any. To be sourced.

# later_packages DEST DEB...: the same with a higher version, and the list of them that apt takes for an archive.
later_packages() {
    local dest=$1 deb version unpacked; shift
    mkdir -p "$dest"
    for deb in "$@"; do
        unpacked=$(mktemp -d "$dest/unpacked-XXXXXX")
        dpkg-deb -R "$deb" "$unpacked"
        version=$(dpkg-deb -f "$deb" Version)
        sed -i "s/\\(^Version: \\|(= \\)$version/\\1$version+upgrade/" "$unpacked/DEBIAN/control"
        dpkg-deb -Zgzip -z1 --root-owner-group -b "$unpacked" "$dest" >/dev/null
        rm -rf "$unpacked"
    done
    (cd "$dest" && dpkg-scanpackages . >Packages 2>/dev/null)
}
