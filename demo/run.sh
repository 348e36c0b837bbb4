#!/usr/bin/env bash
# The demo: a real nginx, a real Apache and a real DNS server (knot) on free high
# ports of loopback, doubles of two filing registries, and one audit of it all.
# It needs no root, asks nobody outside this machine, and stops what it started.
# `make demo DEMO_LANG=en` speaks English.
set -euo pipefail
cd "$(dirname "$0")/.."
lang=${DEMO_LANG:-zh}
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY

say() { # ZH EN
  if [ "$lang" = zh ]; then printf '\n== %s\n' "$1"; else printf '\n== %s\n' "$2"; fi
}

T=$(mktemp -d "${TMPDIR:-/tmp}/beian-demo.XXXXXX")
chmod 711 "$T" # Apache's workers, which are not root, read the pages below it
pids=()
cleanup() {
  trap - EXIT INT TERM
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
  for p in "${pids[@]}"; do wait "$p" 2>/dev/null || true; done
  rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "编译 beian-agent" "building beian-agent"
cargo build --locked --bin beian-agent
agent=${CARGO_TARGET_DIR:-target}/debug/beian-agent

vars=$(python3 demo/servers.py "$T")
nginx= apache= dns= registry= hosts=
eval "$vars"

run() { # NAME COMMAND…
  local name=$1
  shift
  "$@" >"$T/run/$name.log" 2>&1 &
  pids+=($!)
}
run nginx nginx -p "$T/run/" -c "$T/root/www/server/nginx/conf/nginx.conf" -e "$T/run/nginx.err" -g "daemon off; pid $T/run/nginx.pid;"
modules=()
for m in mpm_event authz_core dir; do
  modules+=(-C "LoadModule ${m}_module /usr/lib/apache2/modules/mod_$m.so")
done
[ "$(id -u)" != 0 ] || modules+=(-C "User www-data" -C "Group www-data")
run apache apache2 -D FOREGROUND -d "$T/root/etc/apache2" -f apache2.conf "${modules[@]}" \
  -C "ServerName localhost" -C "PidFile $T/run/apache.pid" -C "ErrorLog $T/run/apache.err"
run knot knotd -c "$T/zones/knot.conf"
run registry python3 tests/scenarios/registry_double.py "$registry" "$T/registries.json" "$T/run/registry.jsonl"

up() { # PORT
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
    sleep 0.1
  done
  return 1
}
for s in nginx:$nginx apache:$apache knot:$dns registry:$registry; do
  up "${s#*:}" || { echo "${s%%:*} did not start:"; cat "$T/run/${s%%:*}".*; exit 1; } >&2
done

say "真实的 nginx 与 Apache 对这些 Host 的回答" "what the real nginx and Apache answer to these hosts"
while read -r _ host port; do
  printf '%-34s %s\n' "$host" "$(curl -sS -m 5 -o "$T/page" -w '%{http_code}' -H "Host: $host" "http://127.0.0.1:$port/")  $(head -c 60 "$T/page" | head -1 | sed 's/<.*//')"
done <<<"$hosts"

beian() {
  "$agent" --config "$T/agent.toml" --lang "$lang" "$@" --root "$T/root" --resolver "127.0.0.1:$dns" --address 203.0.113.10
}

say "审计：beian-agent audit" "the audit: beian-agent audit"
code=0
beian audit || code=$?
case $code in 0 | 1 | 3) ;; *) echo "audit ended with $code" >&2; exit 1 ;; esac

say "一个违规域名的证据链：beian-agent explain shop.weibeian-shili.cn" "the evidence of one violation: beian-agent explain shop.weibeian-shili.cn"
beian explain shop.weibeian-shili.cn || [ $? != 2 ]

say "退出码 $code（0 没有问题，1 有违规或疑似，2 用法或配置错误，3 有未能确认的内容）" \
  "exit code $code (0 nothing wrong, 1 a violation or a suspected one, 2 usage or configuration, 3 something could not be confirmed)"
[ "$code" = 1 ] || { echo "the demo holds violations, so 1 was due" >&2; exit 1; }
