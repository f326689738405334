#!/bin/bash
# For logs.bats: a journald and a daemon of their own, in a mount namespace of their own. Answers go to JOURNAL_OUT.
. "$(dirname "$0")/lib.bash"
set -eu
OUT=$JOURNAL_OUT
mkdir -p "$OUT"
for place in /run/systemd /run/log /var/log; do
	mkdir -p $place
	mount -t tmpfs tmpfs $place
done
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald >"$OUT/journald.log" 2>&1 </dev/null 3>&- &
journald=$!
trap 'daemon_teardown; kill $journald' EXIT
eventually 10 test -S /run/systemd/journal/socket
daemon_setup
busybox_image

w() {
	"$WHERRY" "$@"
}

w run --name jj --label site=lab --log-driver journald --log-opt labels=site --log-opt tag='tag-{{.Name}}' bb \
	sh -c 'echo hello; echo oops >&2; head -c 40000 /dev/zero | tr "\0" x; echo; printf end' >/dev/null 2>&1
w logs jj >"$OUT/logs" 2>&1
w logs --details jj >"$OUT/details" 2>&1
w logs --tail 1 jj >"$OUT/tail"
journalctl -o export CONTAINER_NAME=jj PRIORITY=3 >"$OUT/entry"
w run -d --name follow -i --log-driver journald bb sh -c 'echo 1; read go; echo 2; echo 3' >/dev/null
w logs -f follow >"$OUT/follow" &
follower=$!
eventually 10 grep -q 1 "$OUT/follow"
echo go | w attach follow >/dev/null
wait $follower
umount -l /run/systemd
w run --log-driver journald bb true 2>"$OUT/refused" || echo $? >"$OUT/nothing"
