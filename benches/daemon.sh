#!/usr/bin/env bash
# What the daemon costs: memory and processor time while idle, with 20 and with
# 10,000 sites, and the processor time from one changed file to its verdict.
# daemon.sh [BINARY]: default the release build. Needs python3 and a free loopback.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
agent=${1:-$top/target/release/beian-agent}
T=$(mktemp -d)
pids=()
# shellcheck disable=SC2329
cleanup() { for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; rm -rf "$T"; }
trap cleanup EXIT

# A name server that sends every name here.
cat > "$T/dns.py" <<'P'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    q, a = s.recvfrom(1500)
    end = q.index(b"\0", 12) + 5
    answer = b"\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4\xcb\0\x71\x0a" if q[end - 4:end - 2] == b"\0\1" else b""
    s.sendto(q[:2] + b"\x81\x80\0\1" + (b"\0\1" if answer else b"\0\0") + b"\0\0\0\0" + q[12:end] + answer, a)
P
python3 "$T/dns.py" > "$T/port" & pids+=($!)
until [ -s "$T/port" ]; do sleep 0.05; done
printf 'domain,access_state,subject_licence\nexample.cn,connected,粤ICP备00000001号\n' > "$T/filings.csv"

cpu() { awk '{ print ($14 + $15) * 10 }' "/proc/$1/stat"; } # milliseconds
rss() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }

run() { # SITES
  local sites=$1 d=$T/$1 pid i a b
  mkdir -p "$d/root/etc/nginx/conf.d" "$d/state" "$d/run"
  printf 'events {}\nhttp { include conf.d/*.conf; }\n' > "$d/root/etc/nginx/nginx.conf"
  python3 - "$d/root/etc/nginx/conf.d" "$sites" <<'P'
import sys
for i in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/site{i}.conf", "w") as f:
        f.write(f"server {{\n  listen 80;\n  server_name www.example-{i}.com.cn;\n  root /srv/www{i};\n  location / {{ try_files $uri $uri/ =404; }}\n}}\n")
P
  cat > "$d/agent.toml" <<C
[agent]
root = "$d/root"
state_dir = "$d/state"
lang = "en"
[server]
public_addresses = ["203.0.113.10"]
[resolver]
servers = ["127.0.0.1:$(cat "$T/port")"]
[serve]
listen = "127.0.0.1:0"
[[registry]]
name = "provider"
kind = "provider_db"
path = "$T/filings.csv"
C
  RUNTIME_DIRECTORY=$d/run MALLOC_ARENA_MAX=2 "$agent" --config "$d/agent.toml" run > "$d/log" 2>&1 & pid=$!
  pids+=("$pid")
  status() { RUNTIME_DIRECTORY=$d/run "$agent" --config "$d/agent.toml" status --format json; }
  for i in $(seq 600); do
    [ "$(status 2>/dev/null | tr -d " \n" | grep -c "\"violation\":$sites[,}]")" = 0 ] || break
    sleep 1
  done
  sleep 45 # past the tick after which memory is given back
  a=$(cpu "$pid"); sleep 60; b=$(cpu "$pid")
  printf '%6d sites: %s MiB idle, %d ms of CPU in a minute\n' "$sites" "$(rss "$pid")" $((b - a))
  a=$(cpu "$pid")
  for i in 1 2 3 4 5; do
    printf 'server { listen 80; server_name new%d.example-new%d.com.cn; }\n' "$i" "$i" > "$d/root/etc/nginx/conf.d/.new"
    mv "$d/root/etc/nginx/conf.d/.new" "$d/root/etc/nginx/conf.d/new.conf"
    until grep -q "new$i.example-new$i.com.cn is violation" "$d/log"; do sleep 0.1; done
  done
  b=$(cpu "$pid")
  printf '%6d sites: %d ms of CPU from a changed file to its verdict (mean of 5), %s MiB after\n' "$sites" $(((b - a) / 5)) "$(rss "$pid")"
  kill "$pid"; wait "$pid" 2>/dev/null || true
}
run 20
run 10000
