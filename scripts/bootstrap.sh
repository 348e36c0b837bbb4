#!/usr/bin/env bash
# bootstrap.sh demo|test|packages|lint|bench: installs what that needs and is missing, and
# nothing else. Run again it changes nothing. Needs root or sudo only to install
# Debian packages; starts no service, and stops none.
set -euo pipefail
what=${1:?demo, test, packages, lint or bench}
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck disable=SC2123
PATH="$PATH:$top/target/tools/bin:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/local/sbin:/usr/sbin:/sbin"

say() { printf 'bootstrap: %s\n' "$*"; }
die() { printf 'bootstrap: %s\n' "$*" >&2; exit 1; }

# ---- Debian packages
packages=()
need() { # PACKAGE FILE-OR-COMMAND
  if [[ $2 == /* ]]; then [ -e "$2" ] || packages+=("$1"); else command -v "$2" >/dev/null || packages+=("$1"); fi
}
need gcc cc
need libc6-dev /usr/include/stdio.h
need git git
need ca-certificates /etc/ssl/certs/ca-certificates.crt
if [ "$what" = packages ]; then
  need python3 python3
elif [ "$what" != lint ]; then
  need python3 python3
  need openssl openssl
  need nginx nginx
  need apache2 apache2
fi
case $what in
  demo) need knot knotd; need curl curl ;;
  test)
    need knot knotd
    need libnginx-mod-http-ndk /usr/lib/nginx/modules/ndk_http_module.so
    need libnginx-mod-http-lua /usr/lib/nginx/modules/ngx_http_lua_module.so
    need libnginx-mod-stream /usr/lib/nginx/modules/ngx_stream_module.so
    need iproute2 ip
    need util-linux unshare
    # units, packages, and a systemd in a container to try them
    need systemd systemd-analyze
    need systemd-container systemd-nspawn
    need mmdebstrap mmdebstrap
    need lintian lintian
    need rpm rpm
    need prometheus promtool
    need prometheus prometheus
    # the hub's store; its tests start servers of their own
    need postgresql /usr/lib/postgresql ;;
  bench) need knot knotd; need python3-venv /usr/share/doc/python3-venv; need time /usr/bin/time ;;
esac

if [ "$(id -u)" = 0 ]; then root=(env); else root=(sudo env); fi
policy=/usr/sbin/policy-rc.d
guarded=
unguard() { [ -z "$guarded" ] || "${root[@]}" rm -f "$policy"; }
trap unguard EXIT

case $what in
  test|packages)
    need python3-venv /usr/share/doc/python3-venv
    need dpkg-dev dpkg-architecture
    need binutils readelf ;;
esac

apt_install() {
  command -v apt-get >/dev/null || die "this needs $*; without apt-get please install that yourself, then try again"
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null && sudo -v || die "this needs $*; run it as root, or as root: apt-get install $*"
  fi
  say "installing $*"
  # A package that brings a server would start it, on ports 80 and 53 of this
  # machine. Debian asks policy-rc.d first; where none stands, ours says no.
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod 755 "$policy"
    guarded=yes
  fi
  local quiet=(-qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  "${root[@]}" DEBIAN_FRONTEND=noninteractive apt-get "${quiet[@]}" update
  "${root[@]}" DEBIAN_FRONTEND=noninteractive apt-get "${quiet[@]}" install -y --no-install-recommends "$@" >/dev/null
  unguard
  guarded=
}
[ ${#packages[@]} = 0 ] || apt_install "${packages[@]}"
if [ "$what" != lint ]; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or later is needed (Debian 12 or later has it)"
fi

# ---- Rust: rust-toolchain.toml says which, rustup fetches it
cd "$top"
toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
if ! command -v cargo >/dev/null; then
  if command -v apt-cache >/dev/null && ! command -v rustup >/dev/null; then
    apt-cache show rustup >/dev/null 2>&1 && apt_install rustup
  fi
  command -v rustup >/dev/null || die "cargo is missing and this Debian has no package rustup: install rustup as rust-lang.org says, then try again"
fi
if ! cargo --version >/dev/null 2>&1; then
  # rustup stands there, but not yet this toolchain
  command -v rustup >/dev/null || die "cargo does not run: $(cargo --version 2>&1 | head -1)"
  say "installing Rust $toolchain"
  rustup toolchain install "$toolchain" --profile minimal --component rustfmt --component clippy
fi
have=$(rustc --version | cut -d' ' -f2)
[ "$(printf '%s\n%s\n' "$toolchain" "$have" | sort -V | head -1)" = "$toolchain" ] || die "Rust $toolchain or later is needed, $have is here"

# ---- cargo's helpers, of fixed versions, inside target/ when they are nowhere else
tool() { # NAME VERSION [OPTION]
  command -v "$1" >/dev/null && return
  say "building $1 $2 (once, into target/tools)"
  # They run for seconds, so the time goes into building them fast, not well.
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256 \
    CARGO_PROFILE_RELEASE_DEBUG=false CARGO_TARGET_DIR="$top/target/tools/build" \
    cargo install --quiet --locked --root "$top/target/tools" "$1" --version "$2" ${3:+"$3"}
  rm -rf "$top/target/tools/build"
}
# zig links against a glibc of 2012 and brings its symbols; PyPI has it.
zig() { # VERSION
  [ -e "target/tools/zig/$1" ] && return
  say "installing zig $1 (once, into target/tools)"
  rm -rf target/tools/zig
  mkdir -p target/tools
  python3 -m venv target/tools/zig
  target/tools/zig/bin/pip install --quiet --disable-pip-version-check "ziglang==$1"
  touch "target/tools/zig/$1"
}
packagers() {
  zig 0.15.2
  tool cargo-zigbuild 0.24.1
  tool cargo-deb 3.8.0 --no-default-features
  tool cargo-generate-rpm 0.21.1
}
case $what in
  test) tool cargo-deny 0.20.2; tool cargo-nextest 0.9.143; packagers ;;
  packages) packagers ;;
  lint) tool cargo-deny 0.20.2 ;;
esac
