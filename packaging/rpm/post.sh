# $1: how many versions are installed now; 1 is a fresh install.
unit=beian-agent.service
override=/etc/systemd/system/$unit
version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ -n "$version" ] && [ "$version" -lt 239 ]; then
  # systemd before 239 gets the older unit, as a copy: its `enable` refuses links.
  install -d -m 0700 /var/lib/beian-agent
  install -d -m 0750 -g beian-agent /var/log/beian-agent
  cp /usr/share/beian-agent/legacy/$unit $override
elif [ -f $override ] && [ ! -L $override ] && head -n 1 $override | grep -q '^# beian-agent for systemd before 239'; then
  rm -f $override
  for d in /var/lib/beian-agent /var/log/beian-agent; do
    [ ! -d $d ] || chown -R beian-agent:beian-agent $d
  done
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload >/dev/null 2>&1 || :
if [ "$1" -eq 1 ]; then
  # A package is no service that a distribution has preset: it says so itself.
  systemctl --quiet enable $unit >/dev/null 2>&1 || :
  [ ! -d /run/systemd/system ] || systemctl start $unit >/dev/null 2>&1 || :
fi
exit 0
