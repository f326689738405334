#!/usr/bin/env bats
# Logs: every driver on disk and back, and a reader that sees every line once whatever the shim does meanwhile.

load lib

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

setup() {
	NAME=c$BATS_TEST_NUMBER
}

teardown() {
	"$WHERRY" rm -f "$NAME" >/dev/null 2>&1 || true
	[ -z "${FAKE:-}" ] || kill "$FAKE" 2>/dev/null || true
}

w() {
	"$WHERRY" "$@"
}

log_path() {
	w inspect -f '{{.LogPath}}' "$NAME"
}

# Lines "line N" from 0 on, $1 of them, in bursts as fast as they come.
writer() {
	echo "i=0; while [ \$i -lt $1 ]; do echo \"line \$i of a container that writes in a hurry\"; i=\$((i+1)); done"
}

# Exactly the lines of writer $1, each once and in order.
is_complete() {
	seq -f 'line %.0f of a container that writes in a hurry' 0 $(($1 - 1)) | cmp - "$2"
}

# That many read: each holds a shared lock.
readers() {
	local inode
	inode=$(stat -c %i "$1") && [ "$(grep -c "FLOCK .* READ .*:$inode " /proc/locks)" = "$2" ]
}

@test "followers that came early see every line once across bursts of rotation" {
	w run -d --name "$NAME" -i --log-opt max-size=20k --log-opt max-file=2 bb sh -c "read go; $(writer 8000)" >/dev/null
	w logs -f "$NAME" >"$DIR/one" &
	local one=$!
	w logs -f --tail 0 "$NAME" >"$DIR/two" &
	local two=$!
	eventually 10 readers "$(log_path).readers" 2
	echo go | w attach "$NAME" >/dev/null || true
	wait $one $two
	is_complete 8000 "$DIR/one"
	is_complete 8000 "$DIR/two"
	[ -e "$(log_path).3" ] # more was kept for them than max-file says
}

@test "without readers max-file is what is kept, and compressed files are read back" {
	w run --name "$NAME" --log-driver local --log-opt max-size=50k --log-opt max-file=3 bb sh -c "$(writer 4000)" >/dev/null
	local path
	path=$(log_path)
	[ ! -e "$path.3" ] && [ ! -e "$path.3.gz" ]
	w logs "$NAME" >"$DIR/got"
	local first
	first=$(sed -n '1s/line \([0-9]*\) .*/\1/p' "$DIR/got")
	seq -f 'line %.0f of a container that writes in a hurry' "$first" 3999 | cmp - "$DIR/got"
}

@test "json-file compresses what was rotated, and every way of reading goes through it" {
	w run -d --name "$NAME" -i --log-opt max-size=100k --log-opt max-file=50 --log-opt compress=true \
		bb sh -c "$(writer 5000); read end" >/dev/null
	local path
	path=$(log_path)
	all_packed() {
		[ -e "$path.1.gz" ] && [ -z "$(ls "$path".[0-9]* | grep -v gz)" ]
	}
	eventually 20 all_packed
	gzip -dc "$path.1.gz" | head -1 | grep -q '^{"log":"line '
	w logs "$NAME" >"$DIR/got"
	is_complete 5000 "$DIR/got"
	[ "$(w logs --tail 4000 "$NAME" | head -1)" = "line 1000 of a container that writes in a hurry" ]
	[ "$(w logs --tail 4000 "$NAME" | wc -l)" = 4000 ]
	[ "$(w logs --tail 1 "$NAME")" = "line 4999 of a container that writes in a hurry" ]
}

@test "labels, variables and a tag stand in every line and are shown as details" {
	w run --name "$NAME" --label site=lab --label other=x --env ROOM=7 --log-opt labels=site --log-opt env=ROOM,NONE \
		--log-opt tag='{{.Name}}/{{.ImageName}}' bb echo hello >/dev/null
	grep -q '"log":"hello\\n","stream":"stdout","attrs":{"ROOM":"7","site":"lab","tag":"'"$NAME"'/bb"},"time":"' "$(log_path)"
	[ "$(w logs --details "$NAME")" = "ROOM=7,site=lab,tag=$NAME%2Fbb hello" ]
	[ "$(w logs "$NAME")" = hello ]
}

@test "bytes, parts of long lines and a last line without newline come back from json-file and local" {
	local driver
	for driver in json-file local; do
		w run --name "$NAME" --log-driver $driver bb sh -c 'head -c 40000 /dev/zero | tr "\0" x; echo; printf "a\001\033b\n"; printf end' >/dev/null
		w logs "$NAME" >"$DIR/got"
		{ head -c 40000 /dev/zero | tr '\0' x; printf '\na\001\033b\nend'; } | cmp - "$DIR/got"
		[ "$(w logs -t "$NAME" | grep -oE '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z ' | wc -l)" = 5 ]
		w rm "$NAME" >/dev/null
	done
}

@test "a container never waits for its log with mode=non-blocking, and nothing is lost that fits" {
	w run --name "$NAME" --log-opt mode=non-blocking --log-opt max-buffer-size=4m bb sh -c "$(writer 3000)" >/dev/null
	w logs "$NAME" >"$DIR/got"
	is_complete 3000 "$DIR/got"
}

@test "journald gets each line with its fields, and says so when it is not there" {
	JOURNAL_OUT=$DIR/journal unshare -m --propagation private "$BATS_TEST_DIRNAME/journald_session.bash"
	grep -qx 'hello' "$DIR/journal/logs"
	grep -qx 'oops' "$DIR/journal/logs"
	[ "$(grep -x 'x*' "$DIR/journal/logs" | wc -c)" = 40001 ]
	grep -qx 'SITE=lab hello' "$DIR/journal/details"
	[ "$(cat "$DIR/journal/tail")" = end ]
	[ "$(cat "$DIR/journal/follow")" = "$(printf '1\n2\n3')" ]
	grep -q '^CONTAINER_NAME=jj$' "$DIR/journal/entry"
	grep -q '^CONTAINER_TAG=tag-jj$' "$DIR/journal/entry"
	grep -q '^IMAGE_NAME=bb$' "$DIR/journal/entry"
	grep -q '^PRIORITY=3$' "$DIR/journal/entry"
	grep -q '^MESSAGE=oops$' "$DIR/journal/entry"
	[ "$(cat "$DIR/journal/nothing")" = 125 ]
	grep -q 'journald is not enabled on this host' "$DIR/journal/refused"
}

@test "options are refused in Docker's words" {
	local answer
	refuse() {
		api POST "/containers/create" -H 'Content-Type: application/json' \
			-d '{"Image":"bb","Cmd":["true"],"HostConfig":{"LogConfig":'"$1"'}}'
	}
	[ "$(refuse '{"Type":"nosuch"}')" = '{"message":"error looking up logging plugin nosuch: plugin \"nosuch\" not found"}' ]
	[ "$(refuse '{"Type":"local","Config":{"labels":"x"}}')" = "{\"message\":\"unknown log opt 'labels' for log driver local\"}" ]
	[ "$(refuse '{"Type":"json-file","Config":{"mode":"x"}}')" = '{"message":"logger: logging mode not supported: x"}' ]
	run w run --name "$NAME" --log-opt max-size=0 bb true
	[ "$status" = 125 ]
	[[ "$output" == *"failed to initialize logging driver: max-size must be a positive number"* ]]
	w rm "$NAME"
	w run --name "$NAME" --log-driver none bb echo hi
	run w logs "$NAME"
	[[ "$output" == *"configured logging driver does not support reading"* ]]
	[ "$(api GET "/containers/$NAME/logs?stdout=1" -o /dev/null -w '%{http_code}')" = 501 ]
}
