# $1: how many versions are installed now; 0 is removal. rpm has no purge:
# settings that were changed stay as .rpmsave, state and log stay where they are.
override=/etc/systemd/system/beian-agent.service
if [ "$1" -eq 0 ] && [ -f $override ] && [ ! -L $override ] && head -n 1 $override | grep -q '^# beian-agent for systemd before 239'; then
  rm -f $override
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload >/dev/null 2>&1 || :
if [ "$1" -ge 1 ] && [ -d /run/systemd/system ]; then
  systemctl try-restart beian-agent.service >/dev/null 2>&1 || :
fi
exit 0
