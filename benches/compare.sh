#!/usr/bin/env bash
# compare.sh [SITES]: one run over one synthetic tree (10,000 sites): this
# program, crossplane, `nginx -t`, `apache2 -S` and plain reading of the same
# files, turn by turn. Prints a Markdown table: median wall time, how many times
# plain reading that is, and peak memory.
#
# The tools do different work: `nginx -t` also loads every certificate and opens
# every log, so it is no rival but the time that an administrator waits anyway.
set -euo pipefail
cd "$(dirname "$0")/.."
sites=${1:-10000}
T=$(mktemp -d "${TMPDIR:-/tmp}/beian-compare.XXXXXX")
trap 'rm -rf "$T"' EXIT
target=${CARGO_TARGET_DIR:-$PWD/target}

cargo build --locked --release --bin beian-agent --example plain_read
echo "generating $sites sites each" >&2
python3 benches/gen_tree.py nginx "$sites" "$T/n"
python3 benches/gen_tree.py apache "$sites" "$T/a"
# `nginx -t` opens two logs a site. Where so many files may not be open, all
# sites share one error log; every tool reads the same files all the same.
if ! ulimit -n "$((sites * 3 + 1024))" 2>/dev/null; then
  ulimit -n "$(ulimit -Hn)"
  if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt "$((sites * 2 + 1024))" ]; then
    echo "only $(ulimit -n) files may be open: the sites share one error log" >&2
    find "$T/n/panel/vhost/nginx" -name '*.conf' -exec sed -i 's#wwwlogs/[^/]*\.error\.log#wwwlogs/error.log#' {} +
  fi
fi

others=()
if python3 -m venv "$T/venv" >/dev/null 2>&1 && "$T/venv/bin/pip" install -q crossplane==0.5.8 >/dev/null 2>&1; then
  others+=("nginx|crossplane 0.5.8|$T/venv/bin/crossplane parse -o /dev/null $T/n/nginx/conf/nginx.conf")
else
  echo "crossplane could not be installed: its row is missing" >&2
fi
agent=$target/release/beian-agent
python3 benches/measure.py "$sites" \
  "nginx|plain reading|$target/release/examples/plain_read $T/n/nginx $T/n/panel/vhost/nginx $T/n/panel/vhost/rewrite" \
  "nginx|beian-agent sites|$agent sites --entry nginx=$T/n/nginx/conf/nginx.conf --format json" \
  "nginx|nginx -t|nginx -t -q -p $T/n/nginx/ -c $T/n/nginx/conf/nginx.conf" \
  "${others[@]}" \
  "apache|plain reading|$target/release/examples/plain_read $T/a/apache $T/a/panel/vhost/apache" \
  "apache|beian-agent sites|$agent sites --entry apache=$T/a/apache/conf/httpd.conf --format json" \
  "apache|apache2 -S|apache2 -S -f $T/a/apache/conf/httpd.conf"
