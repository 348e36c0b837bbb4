#!/usr/bin/env bash
# packages.sh [VERSION]: one build, linked against glibc 2.17, into a .deb and a
# .rpm under target/packages. VERSION replaces Cargo.toml's, for trying upgrades.
set -euo pipefail
cd "$(dirname "$0")/.."
triple=x86_64-unknown-linux-gnu
glibc=2.17
version=${1:-}
made=target/package
out=target/packages
say() { printf 'packages: %s\n' "$*"; }
die() { printf 'packages: %s\n' "$*" >&2; exit 1; }

[ "$(uname -m)" = x86_64 ] || die "packages are built on x86_64 only so far, this is $(uname -m)"
zig=$(echo target/tools/zig/lib/python3*/site-packages/ziglang/zig)
[ -x "$zig" ] || die "zig is missing: run scripts/bootstrap.sh packages"

# ---- the binary
export CARGO_ZIGBUILD_ZIG_PATH=$PWD/$zig
cargo zigbuild --locked --profile dist --bin beian-agent --target "$triple.$glibc"
bin=target/$triple/dist/beian-agent
scripts/check-binary "$bin" "$glibc"

# ---- what goes beside it
rm -rf "$made"
mkdir -p "$made/man" "$made/completions" "$out"
# Packages speak Chinese first; everything else stays as config/agent.toml says.
sed 's/^# lang = "zh"$/lang = "zh"/' config/agent.toml > "$made/agent.toml"
[ "$(grep -c '^lang = "zh"$' "$made/agent.toml")" = 1 ] || die "config/agent.toml has no line '# lang = \"zh\"'"
for shell in bash zsh fish; do
  "$bin" completions "$shell" > "$made/completions/$shell"
done
cargo run --quiet --locked --example man_pages -- "$made/man"
cp packaging/man/beian-agent.1 packaging/man/agent.toml.5 "$made/man/"
mkdir "$made/man/zh_CN"
cp packaging/man/zh_CN/beian-agent.1 "$made/man/zh_CN/"
find "$made/man" -type f -exec gzip -9n {} +

# ---- the packages
deb=(--no-build --no-strip --profile dist --target "$triple" --output "$out/")
rpm=(--profile dist --target "$triple" --payload-compress gzip --auto-req disabled --output "$out/")
if [ -n "$version" ]; then
  deb+=(--deb-version "$version-1")
  rpm+=(--set-metadata "version = \"$version\"")
fi
rm -f "$out"/*"${version:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)}"*
cargo deb --quiet --locked "${deb[@]}"
cargo generate-rpm "${rpm[@]}"
ls -l "$out"
