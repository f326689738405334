# wherry compose watch: what changes on this machine comes into the containers.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

setup() {
	P=$DIR/p
	rm -rf "$P"
	mkdir -p "$P"/{src,conf,hook}
	cd "$P" || return 1
}

teardown() {
	[ ! -f watch.pid ] || kill -KILL "$(cat watch.pid)" 2>/dev/null || true
	cd "$P" && "$WHERRY" compose down -v -t 0 --rmi local >/dev/null 2>&1 || true
}

c() {
	"$WHERRY" compose "$@"
}

# Words of watch or up.
begin() {
	"$WHERRY" compose "$@" >log 2>err 3>&- &
	echo $! >watch.pid
	eventually 20 grep -q 'Watch enabled' log
}

in_a() {
	c exec -T a "$@" 2>/dev/null
}

holds() { # FILE TEXT
	[ "$(in_a cat "$1")" = "$2" ]
}

is_gone() {
	! in_a test -e "$1"
}

@test "sync puts files in, takes them away, follows renames and new directories" {
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    image: bb
		    command: sleep 1000
		    init: true
		    user: bob
		    deploy: {replicas: 2}
		    develop:
		      watch:
		        - {action: sync, path: src, target: /tmp/app, ignore: ["*.log"], initial_sync: true}
	YAML
	echo before >src/before
	echo old >src/old
	touch -d 2020-01-01 src/old
	begin watch
	holds /tmp/app/before before # initial_sync, but not what is older than the image
	is_gone /tmp/app/old
	mkdir -p src/one/two
	echo deep >src/one/two/f
	echo no >src/no.log
	ln -s f src/one/two/link
	eventually 10 holds /tmp/app/one/two/link deep
	[ "$(in_a stat -c %U /tmp/app/one/two/f)" = bob ]
	is_gone /tmp/app/no.log
	eventually 10 eval '[ "$(c exec -T --index 2 a cat /tmp/app/one/two/f)" = deep ]'
	mv src/one src/moved
	eventually 10 holds /tmp/app/moved/two/f deep
	eventually 10 is_gone /tmp/app/one
	rm src/before
	eventually 10 is_gone /tmp/app/before
	grep -q '^Syncing service "a" after [0-9]* changes were detected$' log
	kill -INT "$(cat watch.pid)"
	local rc=0
	wait "$(cat watch.pid)" || rc=$?
	[ "$rc" -eq 130 ]
}

started() {
	"$WHERRY" inspect --format '{{.State.StartedAt}}' p-a-1
}

was_restarted() {
	[ "$(started)" != "$1" ] && [ "$("$WHERRY" inspect --format '{{.State.Running}}' p-a-1)" = true ]
}

@test "restart, sync+restart, sync+exec" {
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    image: bb
		    command: sleep 1000
		    init: true
		    stop_grace_period: 0s
		    develop:
		      watch:
		        - {action: restart, path: ./again}
		        - {action: sync+restart, path: ./conf, target: /conf}
		        - action: sync+exec
		          path: ./hook
		          target: /hook
		          exec: {command: [sh, -c, 'cat /hook/h >/ran-$$WHO'], environment: {WHO: me}, working_dir: /tmp}
	YAML
	c up -d
	begin watch --no-up
	local at
	at=$(started)
	touch again
	eventually 10 was_restarted "$at"
	at=$(started)
	echo new >conf/c
	eventually 10 was_restarted "$at"
	holds /conf/c new
	eventually 10 grep -qF 'service(s) ["a"] restarted' log
	echo text >hook/h
	eventually 10 holds /ran-me text
}

@test "rebuild replaces one service, the old image goes; beside an attached up" {
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    build: {context: ., dockerfile_inline: "FROM bb\nCOPY file /file\n"}
		    command: sh -c "echo hello; exec sleep 1000"
		    init: true
		    stop_grace_period: 0s
		    develop: {watch: [{action: rebuild, path: ./file}]}
		  b: {image: bb, command: sleep 1000, init: true}
	YAML
	echo 1 >file
	begin up --watch
	local b before
	b=$(c ps -q b)
	before=$(c images -q a)
	grep -qE '^ +⦿ Watch enabled$' log
	echo 2 >file
	eventually 30 holds /file 2
	[ "$(c ps -q b)" = "$b" ]
	eventually 10 grep -qF 'service(s) ["a"] successfully built' log
	eventually 10 run ! "$WHERRY" image inspect "$before"
	kill -INT "$(cat watch.pid)"
	local rc=0
	wait "$(cat watch.pid)" || rc=$?
	[ "$rc" -eq 130 ]
}

@test "what cannot be watched is refused" {
	cat >compose.yaml <<-'YAML'
		services: {a: {image: bb, develop: {watch: [{action: rebuild, path: .}]}}, b: {image: bb}}
	YAML
	run c watch
	[ "$status" -eq 1 ] && [ "$output" = "can't watch service \"a\" with action rebuild without a build context" ]
	run c watch b
	[[ "$output" == "none of the selected services is configured for watch,"* ]]
	run c up --watch b
	[[ "$output" == "none of the selected services is configured for watch,"* ]]
	[ -z "$("$WHERRY" ps -aq)" ]
}
