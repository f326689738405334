#!/bin/bash
# ingress_conf.sh BUILD_DIR [CASE...] - what nginx does with the configuration that ingress/conf.h writes, without a daemon.
#
# Root; a network, mount and pid namespace of its own and one temporary directory. Prints "ok CASE" or "FAILED CASE".
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?usage: ingress_conf.sh BUILD_DIR [CASE...]}" && pwd) || exit 2
shift
for tool in nginx openssl curl; do
	command -v $tool >/dev/null || { echo "ingress_conf.sh: skipped, $tool is missing"; exit 77; }
done
top=$(mktemp -d /tmp/wherry-ingress.XXXXXX)
[ -n "${INGRESS_CONF_KEEP:-}" ] || trap 'rm -rf "$top"' EXIT
# Debian's python, which has Debian's grpc
unshare --mount --net --pid --fork --kill-child --mount-proc /usr/bin/python3 "$here/ingress_conf.py" "$build" "$top" "$@"
