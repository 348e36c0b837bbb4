#!/bin/sh
# links, which not every way of copying a tree keeps, are made here
set -e
mkdir -p "$1/etc/nginx/sites-enabled"
ln -sfn "../../../srv/app/nginx.vhost" "$1/etc/nginx/sites-enabled/app"
ln -sfn "../sites-available/live" "$1/etc/nginx/sites-enabled/live"
