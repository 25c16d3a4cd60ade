#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Puts together what is in the image, and nothing else: the program, the shared libraries that it
# needs, the charsets of iconv, the roots of TLS, the names of one user, the config to begin with.
# No shell, no package manager, no setuid file. Runs in the build stage of deploy/Dockerfile, and on
# any machine that built the program (tests/e2e/container.py does it).
#
# usage: deploy/image-root.sh PROGRAM DIR
#
# DIR must not be there; DIR/root becomes the image's root, DIR/state/ringpost what a new volume
# begins with. Libraries are this machine's own: the image is of the distribution that the program
# was built on. For scanners, var/lib/dpkg/status.d says which packages they are of.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
die() { printf 'image-root: ERROR: %s\n' "$*" >&2; exit 1; }

# Everything that ldd finds, and what glibc and the gateway load by name later.
libraries() {
    ldd "$1" | awk '$2 == "=>" {print $3} $1 ~ /^\// {print $1}'
    ldconfig -p | awk '$1 == "libgcc_s.so.1" && /x86-64|AArch64/ && !n++ {print $NF}'
}

copy_library() {
    local from=$1 name
    name=$(basename "$from")
    mkdir -p "$root$(dirname "$from")"
    cp -L "$from" "$root$(dirname "$from")/$name"
    readlink -f "$from" >>"$list"
}

copy_charsets() {
    local libc folder
    libc=$(ldd "$program" | awk '$1 == "libc.so.6" {print $3}')
    folder=$(dirname "$(readlink -f "$libc")")/gconv
    folder=/usr/lib/${folder#*/lib/}
    [ -f "$folder/gconv-modules" ] || die "no charsets in $folder: install libc-bin, libc6"
    mkdir -p "$root$folder"
    cp -RL "$folder/." "$root$folder/"
    rm -f "$root$folder/gconv-modules.cache" # of this machine; made anew where iconvconfig is
    if command -v iconvconfig >/dev/null; then
        iconvconfig --nostdlib -o "$root$folder/gconv-modules.cache" "$folder"
    fi
    readlink -f "$folder/UTF-16.so" >>"$list"
}

copy_names() {
    mkdir -p "$root/etc/ssl/certs"
    [ -f /etc/ssl/certs/ca-certificates.crt ] || die "no roots: install ca-certificates"
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    printf 'root:x:0:0::/:\nringpost:x:65532:65532::/var/lib/ringpost:\n' >"$root/etc/passwd"
    printf 'root:x:0:\nringpost:x:65532:\n' >"$root/etc/group"
    printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
    cp /etc/os-release "$root/etc/os-release"
}

# One file a package, as scanners of images without a package manager expect it.
describe_packages() {
    local package paths name copyright
    mkdir -p "$root/var/lib/dpkg/status.d"
    # a package may say /lib for what lies in /usr/lib
    paths=$(sed 'p; s|^/usr/|/|' "$list")
    { dpkg-query -S $paths 2>/dev/null || true; echo ca-certificates:; } |
        sed 's/:\( .*\)\{0,1\}$//; s/, /\n/g' | sort -u | while read -r package; do
        name=${package%%:*}
        dpkg-query -s "$package" |
            grep -E '^(Package|Status|Maintainer|Architecture|Source|Version):' \
                >"$root/var/lib/dpkg/status.d/$name"
        copyright=usr/share/doc/$name/copyright
        [ ! -f "/$copyright" ] || install -Dm 644 "/$copyright" "$root/$copyright"
    done
}

[ $# = 2 ] || { sed -n '/^# usage/,/^#$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
program=$(readlink -f "$1") root=$2/root
[ -x "$program" ] || die "no program $1"
[ ! -e "$2" ] || die "$2 is there already"
umask 022
mkdir -p "$root"
root=$(cd "$root" && pwd)
list=$(mktemp)
trap 'rm -f "$list"' EXIT

# one /usr: what is in /lib is in /usr/lib
mkdir -p "$root"/{usr/bin,usr/lib,usr/lib64,etc/ringpost,tmp,proc,sys,dev,run}
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
install -m 755 "$program" "$root/usr/bin/ringpost"
strip --strip-debug "$root/usr/bin/ringpost" # symbols stay: a crash can be read
libraries "$program" | sort -u | while read -r library; do copy_library "$library"; done
copy_charsets
copy_names
install -m 644 "$here/container.conf" "$root/etc/ringpost/ringpost.conf"
install -Dm 644 "$here/../LICENSE" "$root/usr/share/doc/ringpost/copyright"
describe_packages
chmod 1777 "$root/tmp"
install -d -m 700 "$2/state/ringpost" # whose it is, COPY --chown says
