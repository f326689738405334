#!/bin/sh
# Builds the image anew, after removing the one built before. To start it: ../docker-compose.yml.
# ENGINE=docker builds with Docker.
set -eu
cd "$(dirname "$0")"
engine=${ENGINE:-wherry}
image=containerize-nginx
$engine image inspect "$image" >/dev/null 2>&1 && $engine image rm -f "$image"
$engine build --build-arg uid="${1:-1000}" --build-arg gid="${2:-1000}" -t "$image" .
