# The user first: files of the package belong to its group.
getent group beian-agent >/dev/null || groupadd --system beian-agent
getent passwd beian-agent >/dev/null || useradd --system --gid beian-agent --no-create-home \
  --home-dir /var/lib/beian-agent --shell /sbin/nologin --comment 'beian agent' beian-agent
exit 0
