# $1: how many versions will be installed afterwards; 0 is removal.
if [ "$1" -eq 0 ]; then
  if [ -d /run/systemd/system ]; then
    systemctl --quiet disable --now beian-agent.service >/dev/null 2>&1 || :
  else
    systemctl --quiet disable beian-agent.service >/dev/null 2>&1 || :
  fi
fi
exit 0
