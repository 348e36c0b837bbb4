#!/usr/bin/env bash
# The gate, step by step, with the time of each. `gate.sh lint`: the checks that
# run nothing. Called by `make test` and `make lint`, after bootstrap.sh.
set -uo pipefail
cd "$(dirname "$0")/.."

times=()
step() { # NAME COMMAND…
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@" || { printf '\n== %s failed after %d s\n' "$name" $((SECONDS - start)); exit 1; }
  times+=("$(printf '%5d s  %s' $((SECONDS - start)) "$name")")
}

# A warning in the documentation is a fault like any other.
export RUSTDOCFLAGS="${RUSTDOCFLAGS:--D warnings}"
# Servers of the tests speak to loopback only: a proxy of the machine is not for them.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY

step format cargo fmt --check
step clippy cargo clippy --locked --all-targets --all-features -- -D warnings
step deny cargo deny --locked check --hide-inclusion-graph bans licenses sources
if [ "${1:-}" != lint ]; then
  step build cargo build --locked --all-targets --all-features
  step doctests cargo test --locked --doc --all-features
  # the packages are part of what is tested, inside a container
  step packages scripts/packages.sh
  step tests cargo nextest run --locked --all-features
fi
printf '\n'
printf '%s\n' "${times[@]}" "$(printf '%5d s  all of it: passed' $SECONDS)"
