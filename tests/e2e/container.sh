#!/usr/bin/env bash
# container.sh: a real systemd in a container installs the .deb beside nginx and
# Apache; a site dropped in becomes a delivered violation; killed and hung it
# comes back; upgrade keeps the state; the sandbox holds; purge leaves nothing.
# Needs root, mounts and namespaces. No network inside but its own loopback.
#
#   DEB=FILE      the package, else the newest under target/packages
#   HUB_BIN=FILE  the test hub; started inside as `$HUB_BIN 127.0.0.1:8690 TOKEN`,
#                 it prints one line of JSON for each report that it takes
#   STEPS="…"     some of the steps only; the order stays
#   BASE=FOLDER   the image, else target/e2e/CODENAME, built when it is missing
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
base=${BASE:-$top/target/e2e/$codename}
deb=${DEB:-$(ls -t "$top"/target/packages/beian-agent_*.deb 2>/dev/null | head -n 1)}
hub=${HUB_BIN:-}
all="install sandbox scan deliver journal recover upgrade metrics doctor remove purge reinstall legacy"
steps=${STEPS:-$all}
unit=beian-agent.service
name=beian-e2e-$$
work=$(mktemp -d "${TMPDIR:-/tmp}/beian-e2e.XXXXXX")
nspawn= leader=

ok() { printf 'ok   %s\n' "$*"; }
die() {
  printf 'FAIL %s\n' "$*"
  if [ -n "$leader" ]; then
    in_c systemctl status --no-pager -n 0 "$unit" 2>&1 | sed 's/^/     | /' || true
    in_c journalctl -b --no-pager -n 60 2>&1 | sed 's/^/     | /' || true
  fi
  exit 1
}
in_c() { nsenter -t "$leader" -m -u -i -n -p -C -r -w -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb SYSTEMD_PAGER= LANG=C.UTF-8 "$@"; }
# The same, inside the file system and with the identity of the running service.
in_service() { in_c nsenter -t "$(main_pid)" -m -S "$(in_c id -u beian-agent)" -G "$(in_c id -g beian-agent)" -- "$@"; }
until_true() { # SECONDS COMMAND…
  local end=$((SECONDS + $1))
  shift
  while ! "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}
show() { in_c systemctl show -p "$1" --value "$unit"; }
main_pid() { show MainPID; }
active() { [ "$(show ActiveState)/$(show SubState)" = active/running ]; }
came_back() { active && [ "$(main_pid)" != "$1" ]; } # OLD-PID
gone() { ! in_c systemctl -q is-active "$unit"; }

cleanup() {
  set +e
  [ -z "$nspawn" ] || { kill -TERM "$nspawn" 2>/dev/null && sleep 0.5; }
  # killing the init of the container's namespace ends everything in it
  [ -z "$leader" ] || kill -KILL "$leader" 2>/dev/null
  [ -z "$nspawn" ] || wait "$nspawn" 2>/dev/null
  ! mountpoint -q "$work/merged" || umount -R "$work/merged"
  for h in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ ! -d "$h/$name" ] || find "$h/$name" -depth -type d -exec rmdir {} + 2>/dev/null
  done
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- what this needs, said before anything begins
[ "$(id -u)" = 0 ] || die "the container test needs root"
for c in systemd-nspawn mmdebstrap dpkg-deb nsenter mountpoint; do
  command -v "$c" >/dev/null || die "$c is missing: scripts/bootstrap.sh test installs it"
done
[ -f "$deb" ] || die "there is no package: run scripts/packages.sh first"
unshare --mount --pid --net --ipc --uts --fork true 2>"$work/why" || die "this machine lets root make no namespaces, which the container test needs: $(cat "$work/why")"
mkdir -p "$work/upper" "$work/ovl" "$work/merged" "$work/try"
mount -t tmpfs none "$work/try" 2>"$work/why" || die "this machine lets root mount nothing, which the container test needs: $(cat "$work/why")"
umount "$work/try"

# ---- the image: Debian with systemd and the servers, built once
sources() {
  local s
  for s in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources /etc/apt/sources.list; do
    [ ! -s "$s" ] || { echo "$s"; return; }
  done
  die "no apt sources of this machine found"
}
begun=$SECONDS
if [ ! -e "$base/.complete" ]; then
  rm -rf "$base" "$base.new"
  mkdir -p "$(dirname "$base")"
  list=$(sources) || { echo "$list"; exit 1; }
  # mmdebstrap starts no service; the machine's own apt sources say where from
  mmdebstrap --quiet --mode=root --variant=minbase \
    --include=systemd,systemd-sysv,dbus,procps,iproute2,passwd,curl,nginx-light,apache2,knot,logrotate,man-db,bash-completion \
    --customize-hook="$here/image.sh \"\$1\"" \
    "$codename" "$base.new" "$list" >"$work/image.log" 2>&1 || { cat "$work/image.log"; die "the image cannot be built"; }
  touch "$base.new/.complete"
  mv "$base.new" "$base"
  ok "image built in $((SECONDS - begun)) s, $(du -sh "$base" | cut -f1)"
else
  ok "image from before"
fi

# ---- a package of a higher version, from the same files
newer=$work/newer.deb
version=$(dpkg-deb -f "$deb" Version)
dpkg-deb -R "$deb" "$work/unpacked"
sed -i "s/^Version: .*/Version: $version+newer/" "$work/unpacked/DEBIAN/control"
dpkg-deb --root-owner-group --build "$work/unpacked" "$newer" >/dev/null

# ---- boot, on an overlay, so that each run begins with the clean image
mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/ovl" "$work/merged"
root=$work/merged
cp "$deb" "$root/root/this.deb"
cp "$newer" "$root/root/newer.deb"
[ -z "$hub" ] || install -m 755 "$hub" "$root/usr/local/bin/test-hub"
begun=$SECONDS
mkdir -p "/sys/fs/cgroup/systemd/$name" "/sys/fs/cgroup/unified/$name" 2>/dev/null || true
cat > "$work/boot" <<'Y'
for h in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
  [ ! -w "$h/$2/cgroup.procs" ] || echo $$ > "$h/$2/cgroup.procs"
done
exec systemd-nspawn --quiet --directory="$1" --boot --register=no --keep-unit --private-network --machine="$2" \
  --resolv-conf=off --timezone=off --link-journal=no --console=pipe --system-call-filter=bpf
Y
bash "$work/boot" "$root" "$name" </dev/null >"$work/console.log" 2>&1 &
nspawn=$!
booted() {
  kill -0 "$nspawn" 2>/dev/null || { cat "$work/console.log"; die "systemd-nspawn ended"; }
  leader=$(tr ' ' '\n' <"/proc/$nspawn/task/$nspawn/children" | grep -m1 .) && [ "$(cat "/proc/$leader/comm")" = systemd ]
}
until_true 30 booted || { cat "$work/console.log"; leader=; die "no systemd inside"; }
running() { [ "$(in_c systemctl is-system-running)" = running ]; }
until_true 60 running || { in_c systemctl --failed --no-pager; die "the container did not come up"; }
ok "booted in $((SECONDS - begun)) s: systemd $(in_c systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p'), nginx, Apache and knot run"

hub_lines() { in_c journalctl -u test-hub -o cat --no-pager 2>/dev/null; }
hub_has() { hub_lines | grep -q -- "$1"; }
journal_has() { in_c journalctl -u "$unit" -o json --no-pager "$@" | grep -q .; }
site() { # FILE NAME
  printf 'server { listen 80; server_name %s; return 204; }\n' "$2" > "$root/root/site"
  # written beside and renamed, as panels do it
  in_c sh -c "cp /root/site /etc/nginx/conf.d/.new && mv /etc/nginx/conf.d/.new /etc/nginx/conf.d/$1"
}

step_install() {
  # what an image maker or automation leaves there before the package comes
  in_c mkdir -p /etc/beian/conf.d
  if [ -n "$hub" ]; then
    in_c systemd-run --quiet --unit=test-hub /usr/local/bin/test-hub 127.0.0.1:8690 e2e-token
    in_c sh -c 'umask 077; echo e2e-token > /etc/beian/enrol-token'
    in_c sh -c 'printf "[hub]\nurl = \"http://127.0.0.1:8690\"\n" > /etc/beian/conf.d/hub.toml'
  fi
  cp "$here/agent.toml" "$root/etc/beian/conf.d/e2e.toml"
  cp "$here/filings.csv" "$root/etc/beian/filings.csv"
  site filed.conf www.example.cn
  in_c env DEBIAN_FRONTEND=noninteractive dpkg -i /root/this.deb </dev/null >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; die "dpkg -i"; }
  ! grep -qiE 'warning|error|failed' "$work/dpkg.log" || { cat "$work/dpkg.log"; die "the installation is not quiet"; }
  until_true 60 active || die "the service does not run after installation"
  in_c systemctl -q is-enabled "$unit" || die "the service is not enabled"
  [ "$(in_c ps -o user= -p "$(main_pid)")" = beian-a+ ] || [ "$(in_c ps -o user:20= -p "$(main_pid)" | tr -d ' ')" = beian-agent ] || die "it runs as another user"
  [ "$(in_c stat -c '%U %a' /var/lib/beian-agent)" = "beian-agent 700" ] || die "the state folder: $(in_c stat -c '%U %a' /var/lib/beian-agent)"
  [ "$(in_c stat -c '%G %a' /etc/beian/agent.toml)" = "beian-agent 640" ] || die "agent.toml: $(in_c stat -c '%G %a' /etc/beian/agent.toml)"
  [ "$(in_c grep -c '^lang = "zh"' /etc/beian/agent.toml)" = 1 ] || die "agent.toml does not speak Chinese"
  in_c man -w beian-agent agent.toml beian-agent-audit >/dev/null || die "a manual page is missing"
  in_c bash -n /usr/share/bash-completion/completions/beian-agent || die "the completion for bash"
  in_c logrotate --debug /etc/logrotate.d/beian-agent >"$work/rotate" 2>&1 && ! grep -qi '^error' "$work/rotate" || { cat "$work/rotate"; die "logrotate"; }
  in_c dpkg --verify beian-agent >"$work/verify" && [ ! -s "$work/verify" ] || { cat "$work/verify"; die "dpkg --verify"; }
  ok "installed, enabled and running; $(show StatusText)"
}

step_sandbox() {
  local pid f
  pid=$(main_pid)
  in_c grep -qE '^CapBnd:[[:space:]]+0000000000000004$' "/proc/$pid/status" || die "bounding set: $(in_c grep CapBnd "/proc/$pid/status")"
  in_c grep -qE '^CapEff:[[:space:]]+0000000000000004$' "/proc/$pid/status" || die "effective set: $(in_c grep CapEff "/proc/$pid/status")"
  in_c grep -qE '^NoNewPrivs:[[:space:]]+1$' "/proc/$pid/status" || die "new privileges"
  in_c grep -qE '^Seccomp:[[:space:]]+2$' "/proc/$pid/status" || die "no system call filter"
  # in the service's own view of the files, even for root
  for f in /etc/x /usr/x /var/lib/x /var/log/x /etc/beian/x /etc/nginx/conf.d/x.conf /root/x /home/x /opt/x; do
    ! in_c nsenter -t "$pid" -m -- touch "$f" 2>/dev/null || die "$f can be written"
  done
  in_service touch /var/lib/beian-agent/.written || die "the state folder cannot be written"
  in_service rm /var/lib/beian-agent/.written
  for f in /etc/shadow /etc/gshadow /etc/ssh /root/.ssh /etc/ssl/private; do
    in_c test -e "$f" || continue
    ! in_c nsenter -t "$pid" -m -- sh -c "cat $f 2>/dev/null || ls $f 2>/dev/null" | grep -q . || die "$f can be read"
  done
  [ -z "$(in_c nsenter -t "$pid" -m -- ls /tmp)" ] || die "/tmp is not its own"
  # a program with the same sandbox, started as the service is: reading with the
  # capability works, writing and reading secrets does not
  in_c sh -c 'umask 077; mkdir -p /srv/closed && echo closed > /srv/closed/file'
  in_c sh -c "mkdir -p /run/systemd/system && sed -e 's,^ExecStart=.*,ExecStart=/bin/sh /root/probe,' -e '/^ExecStartPre=/d' -e 's/^Type=.*/Type=oneshot/' \
    -e '/^Restart=/d' -e '/^WatchdogSec=/d' -e 's/^\(State\|Runtime\|Logs\)Directory=.*/\1Directory=beian-probe/' /lib/systemd/system/$unit > /run/systemd/system/beian-probe.service && systemctl daemon-reload"
  cat > "$root/root/probe" <<'Y'
echo "probe closed=$(cat /srv/closed/file 2>/dev/null)"
# what is hidden is an empty file or folder, which the capability may open
for f in /etc/shadow /etc/gshadow- /root/.ssh/id_test /var/lib/mysql/t.ibd; do if cat $f 2>/dev/null | grep -q .; then echo "probe reads $f"; fi; done
for f in /etc/x /usr/x /root/x /srv/closed/x /var/lib/x /run/x; do if (: > $f) 2>/dev/null; then echo "probe writes $f"; fi; done
(: > "$STATE_DIRECTORY/x") && echo "probe state"
unshare -U true 2>/dev/null && echo "probe namespaces"
chown beian-agent /srv/closed 2>/dev/null && echo "probe chown"
mount -t tmpfs none /tmp 2>/dev/null && echo "probe mount"
echo "probe token=$(wc -c < "$CREDENTIALS_DIRECTORY/enrol-token")"
echo "probe end"
Y
  in_c sh -c 'mkdir -p /root/.ssh /var/lib/mysql; echo k > /root/.ssh/id_test; echo t > /var/lib/mysql/t.ibd; chmod 700 /root/.ssh /var/lib/mysql'
  in_c systemctl start beian-probe.service || die "the probe does not start"
  in_c journalctl -u beian-probe -o cat --no-pager | grep '^probe' >"$work/probe" || true
  local token=1
  [ -z "$hub" ] || token=10
  printf 'probe closed=closed\nprobe state\nprobe token=%s\nprobe end\n' $token | diff - "$work/probe" || die "the sandbox does not hold (< wanted, > found)"
  in_c rm -rf /run/systemd/system/beian-probe.service /var/lib/beian-probe /var/log/beian-probe
  in_c systemctl daemon-reload
  local exposure
  exposure=$(in_c systemd-analyze security --no-pager "$unit" | sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')
  awk -v e="$exposure" 'BEGIN { exit !(e != "" && e <= 2.0) }' || die "systemd-analyze security says $exposure"
  ok "the sandbox holds, exposure $exposure"
}

# An include of a secret is a problem, and nothing of it appears anywhere.
step_scan() {
  in_c sh -c 'echo "SECRET-e2e-$(date +%s)" > /etc/shadow- ; chmod 600 /etc/shadow-'
  printf 'include /etc/shadow-;\n' > "$root/etc/nginx/conf.d/zz-secret.conf"
  in_c systemctl kill --kill-who=main --signal=USR1 "$unit"
  until_true 20 journal_has BEIAN_PROBLEM=unreadable BEIAN_FILE=/etc/shadow- || die "the include of a secret is no problem in the journal"
  ! in_c journalctl -u "$unit" -o json --no-pager | grep -q SECRET-e2e || die "a secret is in the journal"
  ! in_c grep -rq SECRET-e2e /var/lib/beian-agent || die "a secret is in the state folder"
  in_c rm /etc/nginx/conf.d/zz-secret.conf
  ok "an include of a secret is a problem that quotes nothing"
}

step_deliver() {
  [ -n "$hub" ] || die "HUB_BIN is not set: nothing can be delivered"
  until_true 60 hub_has www.example.cn || die "the first report was not delivered"
  local start=$SECONDS
  site new.conf new.example.com
  until_true 20 hub_has '"name": *"new\.example\.com".*violation\|violation.*"name": *"new\.example\.com"' || die "the dropped-in site was not delivered as a violation"
  ok "a site dropped into nginx was a delivered violation after $((SECONDS - start)) s"
  start=$SECONDS
  printf '<VirtualHost *:8080>\nServerName new.example.net\n</VirtualHost>\n' > "$root/root/vhost"
  in_c sh -c 'cp /root/vhost /etc/apache2/sites-enabled/new.conf'
  until_true 20 hub_has '"name": *"new\.example\.net"' || die "the site dropped into Apache was not delivered"
  ok "and one dropped into Apache after $((SECONDS - start)) s"
}

step_journal() {
  local start=$SECONDS
  in_c test -e /etc/nginx/conf.d/new.conf || site new.conf new.example.com
  until_true 20 journal_has BEIAN_VERDICT=violation BEIAN_NAME=new.example.com || die "journalctl BEIAN_VERDICT=violation does not find it"
  in_c journalctl -u "$unit" BEIAN_VERDICT=violation BEIAN_NAME=new.example.com -o json --no-pager >"$work/journal"
  grep -q '"BEIAN_REASON":"access_not_filed"' "$work/journal" || die "BEIAN_REASON is missing"
  grep -q '"BEIAN_FILE":"/etc/nginx/conf.d/new.conf"' "$work/journal" || die "BEIAN_FILE is missing"
  ! journal_has BEIAN_VERDICT=violation BEIAN_NAME=www.example.cn || die "a filed name is a violation"
  in_c beian-agent status >"$work/status" || [ $? = 1 ] || { cat "$work/status"; die "beian-agent status"; }
  grep -q new.example.com "$work/status" || grep -q violation "$work/status" || grep -q 违规 "$work/status" || { cat "$work/status"; die "status does not show it"; }
  ok "journalctl -u beian-agent BEIAN_VERDICT=violation finds it ($((SECONDS - start)) s), with name, reason and file"
}

step_recover() {
  local old start restarts
  restarts=$(show NRestarts)
  old=$(main_pid) start=$SECONDS
  in_c kill -KILL "$old"
  until_true 30 came_back "$old" || die "it did not come back after kill -9"
  ok "killed, it came back after $((SECONDS - start)) s"
  # hung: the watchdog's 60 s, shortened by a drop-in as an operator would
  in_c mkdir -p "/etc/systemd/system/$unit.d"
  printf '[Service]\nWatchdogSec=4s\n' > "$root/etc/systemd/system/$unit.d/e2e.conf"
  in_c systemctl daemon-reload
  in_c systemctl restart "$unit"
  old=$(main_pid) start=$SECONDS
  sleep 5
  [ "$(main_pid)" = "$old" ] || die "it does not feed the watchdog"
  in_c kill -STOP "$old"
  until_true 40 came_back "$old" || die "it did not come back from hanging"
  in_c journalctl -u "$unit" -o cat --no-pager | grep -q 'Watchdog timeout' || die "not the watchdog ended it"
  ok "stopped dead, the watchdog replaced it after $((SECONDS - start)) s"
  in_c rm -r "/etc/systemd/system/$unit.d"
  in_c systemctl daemon-reload
  in_c systemctl restart "$unit"
  [ "$(in_c sh -c "ls /var/lib/beian-agent | wc -l")" -ge 0 ]
}

state_of() { in_c sh -c 'cd /var/lib/beian-agent && find . -type f ! -name "ledger*" | sort | xargs -r sha256sum'; }

step_upgrade() {
  local old before
  old=$(main_pid)
  echo kept > "$root/root/kept"
  in_c cp /root/kept /var/lib/beian-agent/kept
  in_c sh -c 'echo "# a line of the administrator" >> /etc/beian/agent.toml'
  before=$(state_of)
  in_c env DEBIAN_FRONTEND=noninteractive dpkg -i /root/newer.deb </dev/null >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; die "the upgrade"; }
  until_true 60 came_back "$old" || die "the upgrade did not restart it"
  [ "$(in_c dpkg-query -W -f '${Version}' beian-agent)" = "$version+newer" ] || die "the version is still the old one"
  [ "$(state_of)" = "$before" ] || die "the upgrade changed the state"
  in_c grep -q 'a line of the administrator' /etc/beian/agent.toml || die "the upgrade took the administrator's line"
  [ "$(in_c stat -c '%G %a' /etc/beian/agent.toml)" = "beian-agent 640" ] || die "agent.toml is readable for others after the upgrade"
  # what was known stays known: the same name is no second transition
  if in_c test -e /var/lib/beian-agent/ledger.redb; then
    until_true 30 journal_has "_PID=$(main_pid)" || die "the new process says nothing"
    [ "$(in_c journalctl -u "$unit" BEIAN_VERDICT=violation BEIAN_NAME=new.example.com -o json --no-pager | wc -l)" = 1 ] || die "the ledger forgot: the violation was told again"
  fi
  in_c rm /var/lib/beian-agent/kept
  ok "the upgrade restarted it and kept the state, the settings and their owner"
}

step_metrics() {
  local token=/var/lib/beian-agent/poll-token m
  in_c test -s "$token" || die "no polling token"
  [ "$(in_c stat -c %a "$token")" = 600 ] || die "the polling token can be read by others"
  in_c sh -c "curl -sf -H \"Authorization: Bearer \$(cat $token)\" http://127.0.0.1:9690/metrics" >"$work/metrics" || die "/metrics"
  [ "$(in_c curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9690/metrics)" = 401 ] || die "/metrics without the token"
  for m in $(grep -oh 'beian_agent_[a-z_]*' "$top/packaging/prometheus/beian-agent.rules.yml" "$top/packaging/grafana/beian-agent.json" | sed -E 's/_(total|bucket|sum|count|info)$//' | sort -u); do
    grep -q "^# TYPE $m\(_info\)\? " "$work/metrics" || die "the rules or the board use $m, which /metrics does not have"
  done
  ok "/metrics has every number that the alerts and the board use"
}

step_doctor() {
  local rc=0
  in_c beian-agent doctor >"$work/doctor" 2>&1 || rc=$?
  [ $rc -le 1 ] && [ -s "$work/doctor" ] || { cat "$work/doctor"; die "doctor ended with $rc"; }
  ok "doctor: $(wc -l <"$work/doctor") lines"
}

step_remove() {
  in_c env DEBIAN_FRONTEND=noninteractive dpkg -r beian-agent </dev/null >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; die "dpkg -r"; }
  gone || die "removed, and it still runs"
  in_c test ! -e /usr/bin/beian-agent || die "the program is still there"
  in_c test -d /var/lib/beian-agent || die "removing took the state"
  in_c test -e /etc/beian/agent.toml || die "removing took the settings"
  ok "removed: stopped, settings and state kept"
}

step_purge() {
  in_c env DEBIAN_FRONTEND=noninteractive dpkg -P beian-agent </dev/null >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; die "dpkg -P"; }
  in_c rm -f /etc/beian/filings.csv # this test's own
  in_c rmdir /etc/beian 2>/dev/null || true
  local left
  left=$(in_c find / -xdev \( -path /proc -o -path /sys -o -path /root -o -path /usr/share/doc -o -path /var/lib/dpkg -o -path /var/log/journal \) -prune -o \( -name '*beian*' -o -path '/etc/beian*' \) -print)
  [ -z "$left" ] || { printf '%s\n' "$left"; die "purging left something"; }
  in_c getent passwd beian-agent >/dev/null || die "the user should stay"
  [ -z "$(in_c systemctl list-unit-files --no-legend "$unit")" ] || die "systemd still knows the unit"
  ok "purged: nothing left but the user"
}

# An image maker's way: policy-rc.d says no, so nothing starts at installation.
step_reinstall() {
  printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
  in_c chmod 755 /usr/sbin/policy-rc.d
  in_c env DEBIAN_FRONTEND=noninteractive dpkg -i /root/this.deb </dev/null >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; die "installing again"; }
  gone || die "it started although policy-rc.d forbids it"
  in_c systemctl -q is-enabled "$unit" || die "it is not enabled for the next boot"
  in_c rm /usr/sbin/policy-rc.d
  in_c systemctl start "$unit" || die "without hub and without a token it does not start"
  until_true 60 active || die "without hub and without a token it does not run"
  ok "installed again: policy-rc.d obeyed; it runs without a token too"
}

# The unit for old systemd, as far as a new one can try it.
step_legacy() {
  in_c systemctl stop "$unit"
  in_c rm -rf /var/lib/beian-agent
  in_c install -d -m 0700 /var/lib/beian-agent
  in_c sh -c 'cp /usr/share/beian-agent/legacy/beian-agent.service /etc/systemd/system/ && systemctl daemon-reload && systemctl start beian-agent' || die "the older unit does not start"
  until_true 60 active || die "the older unit does not run"
  local pid f
  pid=$(main_pid)
  [ "$(in_c ps -o uid= -p "$pid" | tr -d ' ')" = 0 ] || die "the older unit runs as another user"
  in_c grep -qE '^CapEff:[[:space:]]+0000000000000004$' "/proc/$pid/status" || die "the older unit: $(in_c grep CapEff "/proc/$pid/status")"
  for f in /etc/x /usr/x /var/lib/x /root/x /home/x /opt/x /etc/nginx/conf.d/x.conf; do
    ! in_c nsenter -t "$pid" -m -- touch "$f" 2>/dev/null || die "the older unit: $f can be written"
  done
  ! in_c nsenter -t "$pid" -m -- cat /etc/shadow 2>/dev/null | grep -q . || die "the older unit reads /etc/shadow"
  # installed where systemd is new, the package takes it away again
  in_c env DEBIAN_FRONTEND=noninteractive dpkg -i /root/newer.deb </dev/null >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; die "the upgrade"; }
  in_c test ! -e /etc/systemd/system/beian-agent.service || die "the older unit is still there"
  until_true 60 active || die "it does not run with the state of the older unit"
  [ "$(in_c stat -c '%U' /var/lib/beian-agent)" = beian-agent ] || die "the state still belongs to root"
  ok "the unit for old systemd holds as well, and gives way to the new one"
}

for s in $all; do
  case " $steps " in *" $s "*) "step_$s" ;; esac
done

in_c systemctl poweroff >/dev/null 2>&1 || true
off() { ! kill -0 "$nspawn" 2>/dev/null; }
until_true 20 off || die "the container does not power off"
nspawn= leader=
echo "all steps passed: $steps"
