#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Installs everything that building (and, on request, testing) Ringpost needs, on Debian 12 or 13:
# the distribution's packages, plus liburing and wolfSSL built from the distribution's source
# packages into PREFIX as static libraries. Versions and hashes: deploy/deps.versions.
#
# usage: deploy/deps.sh [--tests] [--peers] [--clang] [--image] [--system-wolfssl] PREFIX
#
#   --tests           also the compilers, clients and sample messages that tests/run.sh uses, and
#                     what --image installs
#   --peers           also the mail servers that bench/run.sh measures beside Ringpost, unpacked to
#                     PREFIX/peers/NAME: nothing is installed, no user made, no daemon started
#   --clang           also clang, for building with it
#   --image           also what deploy/image.sh builds the container's image with
#   --system-wolfssl  take the distribution's wolfSSL (TLS some 20 times slower) and build none
#
# Works as root or with sudo; never asks. Downloads, logs and build trees are kept under
# RINGPOST_CACHE (default ~/.cache/ringpost); when nothing has changed a run takes 0.1 s.
# Afterwards: meson setup -Dpkg_config_path=PREFIX/lib/pkgconfig ..., and what was built stands in
# PREFIX/share/ringpost/deps.txt. Fails with the end of the log of the step that failed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RINGPOST_CACHE:-$HOME/.cache/ringpost}
jobs=$(nproc)
want_tests=no want_peers=no want_clang=no want_image=no
want_system_wolfssl=no prefix=
began=$SECONDS changed=no undo_policy=no

# One line a package: name, then what for. ${python} stands for the distribution's (python3.11).
packages_build='
gcc               compiler
libc6-dev         C library headers
make              builds liburing and wolfSSL
meson             builds Ringpost
ninja-build       builds Ringpost
pkg-config        finds libraries
python3           meson, tests, tidy.py
libjemalloc-dev   allocator
libcmocka-dev     unit tests
libconfig-dev     config file syntax
libmicrohttpd-dev metrics, health and console pages
libcrypt-dev      password hashes
libsodium-dev     the same: argon2id
libjansson-dev    JSON of OAuth tokens
libsqlite3-dev    directory: SQLite
libldap-dev       directory: LDAP
libpq-dev         directory: PostgreSQL
libcurl4-gnutls-dev directory: HTTP, and token introspection
libhiredis-dev    moved users in a Redis
libseccomp-dev    the filter of system calls
autoconf          wolfSSL has no ready configure
automake          the same
libtool           the same
patch             the patches of the distribution and ours
xz-utils          unpacks the patches of the distribution
ca-certificates   roots for outgoing TLS
'
packages_clang='
clang             second compiler; sanitizer builds
libclang-rt-dev   run-time libraries of the sanitizers
llvm              names and lines in sanitizer reports
'
packages_tests='
valgrind          uninitialised memory in fibers, once more without recompiling
util-linux        setarch: sanitizers dislike random memory layout
openssl           s_client: a TLS peer that is not wolfSSL; test certificates
curl              SMTP, IMAP and POP3 client
isync             mbsync: IMAP client that keeps a mailbox in step
mutt              the mail reader of a person
fetchmail         POP3 and IMAP fetcher
swaks             SMTP client with every switch
libnet-ssleay-perl TLS for it
telnet            a person typing
netcat-openbsd    raw bytes, half-closed connections
gnutls-bin        gnutls-cli: a second TLS peer
testssl.sh        grades what a TLS port offers
libgsasl-dev      a SASL client that is not ours
libssl-dev        a TLS client that is not ours, in the process of a test
gsasl             the same at the command line
chromium          the browser that looks at the pages of ringpost-bench
chromium-driver   the same, driven by a test
'
# No daemon is among them, and no user needs to be mapped: they are run by root.
packages_image='
podman            builds and runs images without a daemon
runc              starts what podman made ready
mmdebstrap        makes the base of the build stage of packages
python3-yaml      reads the compose files and manifests, in tests/e2e/container.py
'
# Unpacked under PREFIX/tests/root, not installed: no daemon starts, no port or file is taken.
packages_unpacked='
postfix                             smtp-source and smtp-sink: load, and a next hop
lib${python}-testsuite              50 awkward messages of the e-mail package tests
spamassassin                        one ham and one spam sample
golang-github-jhillyerd-enmime-dev  100 MIME samples, many of them broken
slapd                               an LDAP server, for tests/e2e/directories.py
libodbc2                            slapd needs it
libltdl7                            the same
libwrap0                            the same
redis-server                        a Redis, for tests/e2e/control.py
redis-tools                         the program itself
liblzf1                             redis-server needs it
'
binaries_unpacked='smtp-source smtp-sink'
# A mail server a line: folder under PREFIX/peers, then packages, which are unpacked there with what
# they depend on and this machine has not. bench/peers/peer.py says how they are run.
packages_peers_tests='
postfix   postfix
dovecot   dovecot-imapd dovecot-pop3d dovecot-lmtpd dovecot-managesieved
cyrus     cyrus-imapd cyrus-pop3d
'
packages_peers='
nginx     nginx libnginx-mod-mail
exim      exim4-daemon-light
opensmtpd opensmtpd
'

wolfssl_flags='
--disable-dependency-tracking --enable-static --disable-shared --disable-examples
--disable-crypttests --enable-sp --enable-sp-asm --enable-tls13 --enable-tlsv12 --disable-oldtls
--enable-session-ticket --enable-alpn --enable-sni --enable-supportedcurves
--enable-extended-master --enable-ocsp --enable-ocspstapling --enable-crl --enable-curve25519
--enable-ed25519 --enable-hkdf --enable-keying-material --enable-secure-renegotiation-info
--enable-harden --enable-pwdbased --enable-altcertchains --enable-cryptocb --disable-dh
--disable-des3 --enable-smallcache --enable-certgen --enable-keygen
'
wolfssl_flags_x86_64='--enable-intelasm --enable-aesni'
wolfssl_flags_aarch64='--enable-armasm'
wolfssl_cflags='-O2 -g -fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2'
wolfssl_cflags+=' -DWOLFSSL_ALWAYS_VERIFY_CB' # a good certificate of a client is seen too
wolfssl_needs='HAVE_KEYING_MATERIAL HAVE_SESSION_TICKET HAVE_ALPN'
wolfssl_needs_x86_64='WOLFSSL_AESNI WOLFSSL_SP_X86_64_ASM'

say() { printf 'deps: %s\n' "$*"; }
warn() { printf 'deps: WARNING: %s\n' "$*" >&2; }
die() { printf 'deps: ERROR: %s\n' "$*" >&2; exit 1; }

# logged LOG COMMAND...: runs quietly; on failure shows the end of the log and returns non-zero.
logged() {
    local log=$cache/log/$1.log
    shift
    "$@" >"$log" 2>&1 </dev/null && return 0
    { printf 'deps: failed: %.90s ...\n' "$*"; tail -n 25 "$log" | sed 's/^/  | /'
      printf 'deps: whole log: %s\n' "$log"; } >&2
    return 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then env "$@"
    elif ! command -v sudo >/dev/null; then die "not root and no sudo; run as root: $*"
    elif [ -t 0 ]; then sudo env "$@"
    else sudo -n env "$@" || die "sudo wants a password; run as root: $*"
    fi
}

usage() { sed -n '/^# usage/,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        --tests) want_tests=yes want_clang=yes want_image=yes ;;
        --image) want_image=yes ;;
        --peers) want_peers=yes ;;
        --clang) want_clang=yes ;;
        --system-wolfssl) want_system_wolfssl=yes ;;
        -h|--help) usage; exit 0 ;;
        -*) die "unknown option $1; see $0 --help" ;;
        *) [ -z "$prefix" ] || die "two prefixes: $prefix and $1"; prefix=$1 ;;
        esac
        shift
    done
    [ -n "$prefix" ] || die "no PREFIX given; usage: $0 [--tests] [--peers] PREFIX"
    command -v apt-get >/dev/null ||
        die "this script knows Debian 12 and 13 only; elsewhere install liburing >= 2.9 and" \
            "wolfSSL >= 5.7 by hand and point pkg-config at them"
}

# --- packages of the distribution -----------------------------------------------------------------

names_of() { awk 'NF {print $1}' <<<"$1"; }

missing_of() {
    local installed
    installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null |
        awk '$1 ~ /^.i/ {print $2}')
    printf '%s\n' "$@" | grep -vxF -e "$installed" || true
}

# apt_get LOG ARGUMENTS...: as root, waiting for other users of the package database.
apt_get() {
    local log=$1 try
    shift
    for try in 1 2 3 4 5 6; do
        as_root DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y \
            -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" \
            >"$cache/log/$log.log" 2>&1 </dev/null && return 0
        grep -q 'Could not get lock' "$cache/log/$log.log" || break
        say "another program holds the package database, waiting (try $try)"
        sleep 10
    done
    tail -n 25 "$cache/log/$log.log" | sed 's/^/  | /' >&2
    return 1
}

# No service of an installed package starts, unless the machine has a rule of its own.
forbid_services() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    as_root sh -c 'printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d
                   chmod 755 /usr/sbin/policy-rc.d'
    undo_policy=yes
}

allow_services() {
    [ "$undo_policy" = no ] || as_root rm -f /usr/sbin/policy-rc.d
    undo_policy=no
}

install_packages() {
    local missing start=$SECONDS
    missing=$(missing_of "$@")
    [ -n "$missing" ] || return 0
    changed=yes
    say "packages: installing" $missing
    apt_get apt-update update || warn "the package lists could not be refreshed; using the old ones"
    forbid_services
    apt_get apt-install install --no-install-recommends -o Dpkg::Options::=--force-confold \
        $missing ||
        die "these packages could not be installed:" $missing "- see above; is the network there?"
    allow_services
    missing=$(missing_of "$@")
    [ -z "$missing" ] || die "still missing after installing:" $missing
    say "packages: done in $((SECONDS - start)) s"
}

# --- source packages ------------------------------------------------------------------------------

# First archive address in this machine's own apt sources that ends in $1 ("debian").
archive_address() {
    local files
    files=$(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.sources \
        /etc/apt/sources.list.d/*.list 2>/dev/null) || true
    [ -n "$files" ] || return 0
    awk -v end="/$1/?\$" '/^URIs:/ || $1 == "deb" {
        for (i = 2; i <= NF; i++) if ($i ~ /:\/\// && $i ~ end) { print $i; exit } }' $files
}

# A private apt of its own lists, so that nothing on the machine changes. Sets the array apt.
open_private_apt() {
    local suite=$1 root=$2 key=/usr/share/keyrings/debian-archive-keyring.gpg main security signed=
    main=$(archive_address debian)
    [ -n "$main" ] || { warn "no Debian archive in this machine's apt sources"; return 1; }
    security=$(archive_address debian-security)
    [ ! -e $key ] || signed="[signed-by=$key] "
    mkdir -p "$root"/{lists/partial,cache/archives/partial,state}
    : >"$root/state/status"
    printf 'deb-src %s%s %s main\n' "$signed" "$main" "$suite" \
        "$signed" "${security:-${main%/}-security}" "$suite-security" >"$root/sources.list"
    apt=(apt-get -q -o "Dir::Etc::sourcelist=$root/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State=$root/state" -o "Dir::State::lists=$root/lists"
        -o "Dir::State::status=$root/state/status" -o "Dir::Cache=$root/cache"
        -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root)
    logged "apt-update-$suite" "${apt[@]}" update ||
        warn "not every list of $suite could be read; going on with those that were"
}

is_file() { [ -f "$1" ] && [ "$(sha256sum <"$1")" = "$2  -" ]; }

value() { local name=$1; printf '%s' "${!name}"; }

download_source() {
    local name=$1 work=$2 version suite orig hash
    version=$(value "${name}_version") suite=$(value "${name}_suite")
    orig=$(value "${name}_orig_file") hash=$(value "${name}_orig_sha256")
    local -a apt
    mkdir -p "$work/out"
    open_private_apt "$suite" "$work/apt" || return 1
    cd "$work/out"
    apt+=(source --only-source --download-only)
    if ! logged "$name-fetch" "${apt[@]}" "$name=$version"; then
        warn "$name $version is not to be had from $suite; trying its present revision"
        logged "$name-fetch" "${apt[@]}" "$name" || return 1
    fi
    is_file "$orig" "$hash" || { warn "$orig has not the hash in deps.versions"; return 1; }
    mv "$orig" "$cache/src/$orig"
    mv "${name}"_*.debian.tar.* "$cache/src/"
}

# Sets source_orig and source_debian to verified files in the cache.
fetch_source() {
    local name=$1 work debian hash
    source_orig=$cache/src/$(value "${name}_orig_file")
    debian=$(value "${name}_debian_file") hash=$(value "${name}_debian_sha256")
    if ! is_file "$source_orig" "$(value "${name}_orig_sha256")" ||
        ! is_file "$cache/src/$debian" "$hash"; then
        rm -f "$cache/src/${name}_"*
        say "$name $(value "${name}_version"): fetching the source package"
        work=$(mktemp -d "$cache/fetch.XXXXXX")
        (download_source "$name" "$work") || { rm -rf "$work"; return 1; }
        rm -rf "$work" # 70 MB of lists
    fi
    source_debian=$cache/src/$debian
    [ ! -f "$source_debian" ] || { is_file "$source_debian" "$hash" && return 0; }
    source_debian=$(ls "$cache/src/${name}_"*.debian.tar.* | tail -n 1)
    warn "$name: using the patches of ${source_debian##*/} instead of $debian (signed by the" \
        "archive, not pinned here): update deploy/deps.versions"
}

# Unpacks to $1 the tarball, then the distribution's patches, then ours for package $2.
unpack_source() {
    local tree=$1 name=$2 patch
    rm -rf "$tree"
    mkdir -p "$tree"
    tar xf "$source_orig" -C "$tree" --strip-components=1
    tar xf "$source_debian" -C "$tree"
    if [ -f "$tree/debian/patches/series" ]; then
        while read -r patch; do
            case $patch in ''|'#'*) continue ;; esac
            patch -d "$tree" -p1 <"$tree/debian/patches/$patch"
        done <"$tree/debian/patches/series"
    fi
    for patch in "$here/patches/$name"-*.patch; do
        [ -e "$patch" ] || continue
        if patch -d "$tree" -R -p1 --dry-run <"$patch" >/dev/null 2>&1; then
            echo "already there: $patch"
        else
            patch -d "$tree" -p1 <"$patch" || { echo "does not apply: $patch"; return 1; }
        fi
    done
}

# --- what is built --------------------------------------------------------------------------------

stamp_file() { printf '%s/share/ringpost/%s.stamp' "$prefix" "$1"; }

# Everything that the outcome of building $1 depends on, as one hash; the rest are flags.
build_key() {
    local name=$1 patch
    shift
    { grep "^${name}_" "$here/deps.versions"
      for patch in "$here/patches/$name"-*.patch; do [ ! -e "$patch" ] || cat "$patch"; done
      echo "$prefix $*"; uname -m; "${CC:-cc}" --version | head -n 1; } | sha256sum | cut -c1-32
}

up_to_date() {
    local name=$1 key=$2 stamp
    stamp=$(stamp_file "$name")
    [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$key" ] || return 1
    grep -q '^system' <(sed -n 2p "$stamp") || [ -f "$prefix/lib/lib${name#lib}.a" ]
}

# stamp NAME KEY TEXT: done; TEXT says for people and for an SBOM what was taken.
stamp() {
    printf '%s\n%s\n' "$2" "$3" >"$(stamp_file "$1")"
    write_manifest
}

write_manifest() {
    local each
    for each in liburing wolfssl; do
        [ -f "$(stamp_file $each)" ] || continue
        printf '%s: %s\n' $each "$(sed -n 2p "$(stamp_file $each)")"
    done >"$prefix/share/ringpost/deps.txt"
}

describe() {
    local name=$1
    printf 'built from %s %s, sha256 %s, %s' "${source_orig##*/}" "$(value "${name}_version")" \
        "$(value "${name}_orig_sha256")" "${source_debian##*/}"
}

liburing_of_system() {
    local version
    version=$(apt-cache policy liburing-dev 2>/dev/null | awk '/Candidate:/ {print $2}')
    [ -n "$version" ] && dpkg --compare-versions "$version" ge "$liburing_upstream" || return 1
    install_packages liburing-dev
    rm -rf "$prefix"/lib/liburing* "$prefix"/include/liburing* "$prefix/lib/pkgconfig/liburing.pc"
    stamp liburing "$1" "system liburing-dev $version"
    say "liburing: the distribution's own $version is new enough"
}

make_liburing() {
    cd "$1"
    ./configure --prefix="$prefix" --libdir="$prefix/lib" --libdevdir="$prefix/lib" --cc="${CC:-cc}"
    make -j"$jobs" -C src ENABLE_SHARED=0
    make install ENABLE_SHARED=0
    rm -rf "$prefix"/share/man "$prefix"/man "$prefix"/lib/liburing-ffi.a \
        "$prefix/lib/pkgconfig/liburing-ffi.pc"
}

build_liburing() {
    local key tree=$cache/build/liburing start=$SECONDS
    key=$(build_key liburing static)
    ! up_to_date liburing "$key" || return 0
    changed=yes
    rm -f "$(stamp_file liburing)"
    ! liburing_of_system "$key" || return 0
    fetch_source liburing ||
        die "the source package liburing $liburing_version could not be had; with a network try" \
            "again, or put $liburing_orig_file and $liburing_debian_file into $cache/src"
    logged liburing-unpack in_subshell unpack_source "$tree" liburing ||
        die "liburing: not unpacked"
    logged liburing-build in_subshell make_liburing "$tree" || die "liburing: not built"
    rm -rf "$tree"
    stamp liburing "$key" "$(describe liburing)"
    say "liburing $liburing_upstream: built in $((SECONDS - start)) s"
}

# A function called with || does not stop at its first error, this does.
in_subshell() {
    export here cache jobs prefix source_orig source_debian
    local name
    for name in unpack_source make_liburing make_wolfssl; do export -f "${name?}"; done
    bash -euo pipefail -c '"$@"' deps "$@"
}

make_wolfssl() {
    cd "$1"
    shift
    [ -x configure ] || autoreconf -fi
    # shellcheck disable=SC2154
    ./configure --prefix="$prefix" --libdir="$prefix/lib" "$@"
    make -j"$jobs"
    make install
    rm -rf "$prefix/share/doc/wolfssl" "$prefix"/lib/libwolfssl.la "$prefix/bin/wolfssl-config"
}

check_wolfssl() {
    local options=$prefix/include/wolfssl/options.h needs=$wolfssl_needs each
    [ "$(uname -m)" != x86_64 ] || needs="$needs $wolfssl_needs_x86_64"
    for each in $needs; do
        grep -q "^#define $each\b" "$options" ||
            die "wolfSSL was built without $each (see $cache/log/wolfssl-build.log)"
    done
}

wolfssl_of_system() {
    install_packages libwolfssl-dev
    rm -rf "$prefix"/lib/libwolfssl* "$prefix/include/wolfssl" "$prefix/lib/pkgconfig/wolfssl.pc"
    warn "********************************************************************************"
    warn "* Using the distribution's wolfSSL. TLS will be SLOW (AES some 20 times slower,"
    warn "* 15 times the memory for an idle connection) and ALPN must stay off."
    warn "* Good enough to compile and to run the tests, not for production."
    warn "********************************************************************************"
    stamp wolfssl "$1" "system libwolfssl-dev $(dpkg-query -W -f='${Version}' libwolfssl-dev)"
}

build_wolfssl() {
    local key tree=$cache/build/wolfssl start flags arch
    arch=$(uname -m)
    case $arch in
    x86_64) flags="$wolfssl_flags $wolfssl_flags_x86_64" ;;
    aarch64) flags="$wolfssl_flags $wolfssl_flags_aarch64" ;;
    *) flags=$wolfssl_flags ;;
    esac
    key=$(build_key wolfssl $flags "$wolfssl_cflags" "system=$want_system_wolfssl")
    ! up_to_date wolfssl "$key" || return 0
    changed=yes
    rm -f "$(stamp_file wolfssl)"
    [ "$want_system_wolfssl" = no ] || { wolfssl_of_system "$key"; return 0; }
    if ! fetch_source wolfssl; then
        warn "the source package wolfssl $wolfssl_version could not be had"
        wolfssl_of_system "none: try again next time"
        return 0
    fi
    start=$SECONDS
    say "wolfSSL $wolfssl_upstream: building (some 40 s on two cores)"
    logged wolfssl-unpack in_subshell unpack_source "$tree" wolfssl || die "wolfSSL: not unpacked"
    logged wolfssl-build in_subshell make_wolfssl "$tree" $flags CFLAGS="$wolfssl_cflags" ||
        die "wolfSSL: not built; $0 --system-wolfssl takes the distribution's (slow)"
    check_wolfssl
    rm -rf "$tree"
    stamp wolfssl "$key" "$(describe wolfssl)"
    say "wolfSSL $wolfssl_upstream: built in $((SECONDS - start)) s"
}

# --- what only the tests need ---------------------------------------------------------------------

# Programs of an unpacked package find their private libraries by a wrapper in PREFIX/tests/bin.
wrap_unpacked() {
    local root=$prefix/tests/root name path
    mkdir -p "$prefix/tests/bin"
    for name in $binaries_unpacked; do
        path=$(find "$root/usr" -type f -name "$name" -perm -u+x | head -n 1)
        [ -n "$path" ] || { warn "no $name among the unpacked packages"; continue; }
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' \
            "$root/usr/lib/postfix" "$path" >"$prefix/tests/bin/$name"
        chmod 755 "$prefix/tests/bin/$name"
    done
}

unpack_one() {
    local package=$1 deb=$cache/debs libraries
    rm -f "$deb/$package"_*.deb
    (cd "$deb" && logged "download-$package" apt-get -q -o APT::Sandbox::User=root \
        -o Acquire::Retries=3 download "$package") || return 1
    if [ "$package" = postfix ]; then # the libraries that its programs link
        libraries=$(dpkg-deb -f "$deb/$package"_*.deb Depends | tr ',' '\n' |
            awk '$1 ~ /^lib/ {print $1}')
        install_packages $libraries
    fi
    dpkg-deb -x "$deb/$package"_*.deb "$prefix/tests/root"
    rm -f "$deb/$package"_*.deb
}

unpack_packages() {
    local python names each stamp=$prefix/tests/stamp key
    python=$(basename "$(readlink -f /usr/bin/python3)") # the distribution's, not a local one
    names=$(names_of "${packages_unpacked//'${python}'/$python}")
    key=$(echo $names $binaries_unpacked "$prefix")
    [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$key" ] || return 0
    changed=yes
    say "tests: unpacking" $names
    rm -rf "$prefix/tests"
    mkdir -p "$prefix/tests/root" "$cache/debs"
    apt_get apt-update update || true
    for each in $names; do
        unpack_one "$each" || { warn "$each could not be had; tests that want it will skip"; key=; }
    done
    wrap_unpacked
    printf '%s\n' "$key" >"$stamp"
}

# unpack_peer NAME PACKAGE...: under PREFIX/peers/NAME; afresh when the packages changed.
unpack_peer() {
    local name=$1 debs=$cache/peers/$1 root=$prefix/peers/$1 each
    shift
    [ "$(cat "$root/stamp" 2>/dev/null)" != "$* $prefix" ] || return 0
    changed=yes
    say "peers: unpacking $name"
    rm -rf "$debs" "$root"
    mkdir -p "$debs/partial" "$root/usr/lib" "$root/usr/bin" "$root/usr/sbin"
    ln -s usr/lib "$root/lib"
    ln -s usr/bin "$root/bin"
    ln -s usr/sbin "$root/sbin"
    if ! apt_get "download-$name" -o "Dir::Cache::archives=$debs" -o APT::Sandbox::User=root \
        --download-only --no-install-recommends install "$@"; then
        warn "$name could not be had; what wants it will be left out"
        rm -rf "$debs" "$root"
        return 0
    fi
    for each in "$debs"/*.deb; do
        [ ! -e "$each" ] || dpkg-deb --fsys-tarfile "$each" |
            tar x -C "$root" --keep-directory-symlink --no-same-owner --no-same-permissions
    done
    rm -rf "$debs"
    printf '%s\n' "$* $prefix" >"$root/stamp"
}

# unpack_peers LINES: of a table above.
unpack_peers() {
    local name packages
    while read -r name packages; do
        # shellcheck disable=SC2086
        [ -z "$name" ] || unpack_peer "$name" $packages
    done <<<"$1"
}

main() {
    parse_arguments "$@"
    mkdir -p "$cache"/{log,src,build} "$prefix/share/ringpost"
    prefix=$(cd "$prefix" && pwd)
    cache=$(cd "$cache" && pwd)
    trap allow_services EXIT
    exec 9>"$cache/lock"
    flock 9 # two runs at once take turns
    # shellcheck source=deps.versions
    . "$here/deps.versions"
    local wanted
    wanted=$(names_of "$packages_build")
    [ "$want_clang" = no ] || wanted="$wanted $(names_of "$packages_clang")"
    [ "$want_tests" = no ] || wanted="$wanted $(names_of "$packages_tests")"
    [ "$want_image" = no ] || wanted="$wanted $(names_of "$packages_image")"
    install_packages $wanted
    build_liburing
    build_wolfssl
    [ "$want_tests" = no ] || unpack_packages
    [ "$want_tests$want_peers" = nono ] || unpack_peers "$packages_peers_tests"
    [ "$want_peers" = no ] || unpack_peers "$packages_peers"
    if [ "$changed" = yes ]; then say "done in $((SECONDS - began)) s: $prefix"
    else say "up to date: $prefix"; fi
}

main "$@"
