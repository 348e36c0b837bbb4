#!/bin/sh
# image.sh ROOT: what the container's image has beside Debian's packages. Called
# once, while the image is built.
set -eu
root=$1
echo e2e > "$root/etc/hostname"
rm -f "$root/etc/machine-id" "$root/etc/resolv.conf"
: > "$root/etc/machine-id"
# the mirror that it came from is nobody's business
rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
sed -i 's/^Listen 80$/Listen 8080/' "$root/etc/apache2/ports.conf"
sed -i 's/<VirtualHost \*:80>/<VirtualHost *:8080>/' "$root/etc/apache2/sites-available/000-default.conf"
mkdir -p "$root/var/lib/knot/zones"
for zone in cn com net; do
  cat > "$root/var/lib/knot/zones/$zone.zone" <<Y
\$ORIGIN $zone.
\$TTL 300
@ SOA ns.demo.invalid. root.demo.invalid. 1 3600 600 86400 300
@ NS ns.demo.invalid.
example A 203.0.113.10
*.example A 203.0.113.10
Y
done
cat > "$root/etc/knot/knot.conf" <<'Y'
server:
    rundir: "/run/knot"
    user: knot:knot
    listen: 127.0.0.1@53
log:
  - target: syslog
    any: error
database:
    storage: "/var/lib/knot"
template:
  - id: default
    storage: "/var/lib/knot/zones"
    zonefile-sync: -1
    journal-content: none
zone:
  - domain: cn.
    file: cn.zone
  - domain: com.
    file: com.zone
  - domain: net.
    file: net.zone
Y
chroot "$root" chown -R knot:knot /var/lib/knot
for u in nginx apache2 knot; do chroot "$root" systemctl --quiet enable "$u.service"; done
# timers of a desk-top's Debian have no place in a test
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer man-db.timer logrotate.timer
