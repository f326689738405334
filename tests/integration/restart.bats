# What survives the daemon: kill -9 at any moment, containers that end meanwhile, policies, attached state.
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

teardown() {
	local ids
	ids=$("$WHERRY" ps -aq)
	[ -z "$ids" ] || "$WHERRY" rm -f -v $ids >/dev/null
}

w() {
	"$WHERRY" "$@"
}

@test "containers go on while the daemon is dead, and are known again" {
	w run -d --name runner bb sh -c 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done'
	pid=$(w inspect -f '{{.State.Pid}}' runner)
	daemon_signal KILL
	before=$(wc -l <"$DIR"/data/containers/*/*-json.log)
	more() {
		[ "$(wc -l <"$DIR"/data/containers/*/*-json.log)" -gt "$before" ]
	}
	eventually 5 more
	kill -0 "$pid"
	daemon_start
	[ "$(w inspect -f '{{.State.Pid}}' runner)" = "$pid" ]
	[ "$(w logs runner | wc -l)" -gt "$before" ]
	[ "$(w exec runner echo still)" = still ]
	w stop -t 1 runner
	[ "$(w inspect -f '{{.State.Status}} {{.State.ExitCode}}' runner)" = "exited 137" ]
}

# A shim has written down how its container ended, and has gone.
has_ended() {
	[ -e "$(echo "$DIR"/run/containers/*/exit)" ]
}

@test "an end that nobody saw is told with its exit status and its logs" {
	w run -d --name ender -v "$DIR/ends:/ends" bb sh -c 'until [ -e /ends/now ]; do sleep 0.1; done; echo last words; exit 9'
	daemon_signal KILL
	touch "$DIR/ends/now"
	eventually 10 has_ended
	daemon_start
	[ "$(w inspect -f '{{.State.Status}} {{.State.ExitCode}}' ender)" = "exited 9" ]
	[ "$(w logs ender)" = "last words" ]
}

@test "restart policies are applied after a dead time" {
	rm -f "$DIR/ends/now"
	w run -d --name back --restart always -v "$DIR/ends:/ends" bb sh -c 'until [ -e /ends/now ]; do sleep 0.1; done; rm /ends/now; exit 1'
	w run -d --name stopped --restart unless-stopped bb sleep 1000
	w stop -t 0 stopped
	daemon_signal KILL
	touch "$DIR/ends/now"
	eventually 10 has_ended
	daemon_start
	eventually 5 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.Running}}' back)\" = true ]"
	[ "$(w inspect -f '{{.State.Status}}' stopped)" = exited ]
}

@test "published ports and names work again after the daemon's death" {
	port=$(free_port)
	w network create net1
	w run -d --name web --network net1 -p 127.0.0.1:$port:80 bb sh -c 'mkdir /w; echo page >/w/index.html; httpd -f -p 80 -h /w'
	eventually 5 curl -sf http://127.0.0.1:$port/
	daemon_signal KILL
	[ "$(curl -sf http://127.0.0.1:$port/)" = page ]
	daemon_start
	[ "$(curl -sf http://127.0.0.1:$port/)" = page ]
	[ "$(w run --rm --network net1 bb wget -qO- http://web/)" = page ]
	run w run --rm -p 127.0.0.1:$port:80 bb true
	[ "$status" -eq 125 ]
	[[ "$output" == *"port is already allocated"* ]]
	w rm -f web
	w network rm net1
	run curl -sf http://127.0.0.1:$port/
	[ "$status" -ne 0 ]
}

@test "a killed shim ends its container and is noticed" {
	w run -d --name victim bb sleep 1000
	id=$(w inspect -f '{{.Id}}' victim)
	pkill -KILL -f -- "--id=$id"
	eventually 5 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.Status}} {{.State.ExitCode}}' victim)\" = 'exited 137' ]"
	w rm victim
	eventually 5 no_leftovers || fail "$(leftovers)"
}

@test "an exec goes on while the daemon is dead, and leaves nothing when it ends" {
	w run -d --name box bb sleep 1000
	"$WHERRY" exec box sh -c 'touch /begun; while [ ! -e /end ]; do sleep 0.1; done; touch /ended' 3>&- &
	eventually 5 w exec box test -e /begun
	daemon_signal KILL
	daemon_start
	w exec box touch /end
	eventually 5 w exec box test -e /ended
	eventually 5 sh -c "[ -z \"\$(ls '$DIR/run/execs')\" ]"
	w rm -f box
	eventually 5 no_leftovers || fail "$(leftovers)"
}

@test "a shim that nobody knows yet ends with its daemon" {
	mkdir "$DIR/nobody"
	python3 - "$(dirname "$WHERRYD")/../shim/wherry-shim" "$DIR/nobody" <<-'END' 3>&- &
		import os, socket, subprocess, sys
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[2] + "/shim.sock")
		s.listen()
		os.dup2(s.fileno(), 3)
		subprocess.run([sys.argv[1], "--parent=%d" % os.getpid(), "--id=nobody", "--dir=" + sys.argv[2],
			"--crun=/bin/false", "--crun-root=/nonexistent", "--exec=/nonexistent"], pass_fds=[3])
	END
	parent=$!
	eventually 5 pgrep -P $parent -x wherry-shim
	shim=$(pgrep -P $parent -x wherry-shim)
	kill -9 $parent
	eventually 5 process_ended "$shim"
}

# crun forks, and its parent ends with 0 also when that part of it was killed: found by tests/soak.
@test "a crun that ends well without a container is a failed start" {
	mkdir "$DIR/alone"
	cat >"$DIR/half-crun" <<-'END'
		#!/bin/sh
		sleep 1000 &
		echo $! >"$(dirname "$0")/half-pid"
	END
	chmod +x "$DIR/half-crun"
	run timeout 120 python3 "$BATS_TEST_DIRNAME/shim_client.py" "$(dirname "$WHERRYD")/../shim/wherry-shim" "$DIR/alone" "$DIR/half-crun"
	[ "$output" = "READY
FAILED crun ended before the container was started" ] || fail "$output"
	eventually 5 process_ended "$(cat "$DIR/half-pid")"
}

# crun made its log in the directory of a probe while that was removed: it stayed until the daemon's next start.
@test "a probe that is starting leaves nothing when its container ends" {
	cat >"$DIR/slow-crun" <<-'END'
		#!/bin/bash
		top=$(dirname "$0")
		for word; do
			[[ $word != --process=* ]] || dir=$(dirname "${word#--process=}")
		done
		if [ -n "$dir" ]; then
			echo $$ >"$top/began.tmp" && mv "$top/began.tmp" "$top/began"
			while [ ! -e "$top/go" ]; do sleep 0.1; done
			mkdir -p "$dir" && touch "$dir/late"
		fi
		exec crun "$@"
	END
	chmod +x "$DIR/slow-crun"
	echo "{\"runtimes\":{\"slow\":{\"path\":\"$DIR/slow-crun\"}}}" >"$DIR/daemon.json"
	daemon_signal TERM
	daemon_start
	w run -d --name probed --runtime slow --health-cmd true --health-interval 100ms bb sleep 1000
	eventually 10 test -e "$DIR/began"
	w rm -f probed
	touch "$DIR/go"
	eventually 10 process_ended "$(cat "$DIR/began")"
	eventually 5 no_leftovers || fail "$(leftovers)"
	echo '{}' >"$DIR/daemon.json"
}

@test "the daemon may die at any moment of many starts" {
	for round in $(seq 8); do
		for i in 1 2 3 4; do
			w run -d --name "r$round-$i" bb sh -c 'sleep 0.2; exit 3' >/dev/null 2>&1 &
		done
		sleep "0.$((RANDOM % 20 + 3))"
		daemon_signal KILL
		wait
		daemon_start
	done
	eventually 20 sh -c "! '$WHERRY' ps -q | grep -q ."
	for id in $(w ps -aq); do
		state=$(w inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}' "$id")
		case $state in
		'created 0 ' | 'exited 3 ' | 'exited 137 ') ;;
		'created 128 '*"shim ended before the container was started") ;; # it went when the daemon did
		*) fail "$id is $state" ;;
		esac
	done
	ids=$(w ps -aq)
	[ -z "$ids" ] || w rm -f $ids >/dev/null
	eventually 5 no_leftovers || fail "$(leftovers)"
}

@test "when the machine goes down each container ends in its own way, and policies bring it back" {
	w run -d --name db --restart unless-stopped -v down:/d bb \
		sh -c 'trap "sleep 0.5; echo clean >>/d/log; exit 0" TERM; echo up >>/d/log; while :; do sleep 0.1; done'
	w run -d --name failing --restart on-failure bb sh -c 'trap "exit 5" TERM; touch /ready; while :; do sleep 0.1; done'
	w run -d --name waiting --restart always bb false
	w run -d --name deaf --stop-timeout 1 bb sleep 1000
	w run -d --name paused --stop-timeout 1 bb sleep 1000
	w pause paused
	w run -d --name stopped --restart unless-stopped bb sleep 1000
	w stop -t 0 stopped
	eventually 5 "$WHERRY" exec db test -s /d/log
	eventually 5 "$WHERRY" exec failing test -e /ready
	# both signals wait for it when it looks, and TERM is heard first
	kill -STOP "$(cat "$DIR/daemon.pid")"
	kill -TERM "$(cat "$DIR/daemon.pid")"
	kill -PWR "$(cat "$DIR/daemon.pid")"
	kill -CONT "$(cat "$DIR/daemon.pid")"
	daemon_signal TERM # systemd's, which follows at once, cuts nothing short; this waits for the end
	[ -z "$(pgrep -f -- "--dir=$DIR/run/containers")" ]
	rm -rf "$DIR/run/containers" # as /run after a boot
	daemon_start
	for name in db failing; do
		eventually 5 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.Running}}' $name)\" = true ]"
	done
	eventually 5 sh -c "[ \"\$('$WHERRY' inspect -f '{{.RestartCount}}' waiting)\" -gt 0 ]"
	[ "$(w exec db head -n 2 /d/log | tr '\n' ' ')" = "up clean " ]
	[ "$(w inspect -f '{{.State.Status}} {{.State.ExitCode}}' deaf)" = "exited 137" ]
	[ "$(w inspect -f '{{.State.Status}} {{.State.ExitCode}}' paused)" = "exited 137" ]
	[ "$(w inspect -f '{{.State.Status}}' stopped)" = exited ]
	w rm -f db
	w volume rm down
}

@test "two daemons live side by side" {
	one=$DIR sock=$SOCK bridge=$BRIDGE
	w run -d --name same bb sleep 1000
	(
		daemon_setup
		busybox_image
		trap daemon_teardown EXIT
		w run -d --name same bb sleep 1000
		[ "$(w ps -q | wc -l)" -eq 1 ]
		[ "$(w run --rm bb echo two)" = two ]
	)
	run timeout 60 "$WHERRYD" --data-root "$DIR/other" --exec-root "$DIR/other-run" -H "unix://$DIR/other.sock" --bridge "$bridge"
	[ "$status" -eq 1 ]
	[[ "$output" == *"another wherryd uses the bridge $bridge"* ]]
	run timeout 60 "$WHERRYD" --data-root "$DIR/data" --exec-root "$DIR/other-run" -H "unix://$DIR/other.sock" --bridge "x$bridge"
	[ "$status" -eq 1 ]
	[[ "$output" == *"in use by another wherryd"* ]]
	[ "$(WHERRY_HOST=unix://$sock "$WHERRY" ps -q | wc -l)" -eq 1 ]
	[ "$DIR" = "$one" ]
	[ "$(w exec same echo alive)" = alive ]
}

part() { # SERVICE DEPENDS-ON RUN-ARGUMENTS...: a container as compose makes it
	w run -d --init --name "$1" --label com.docker.compose.project=boot --label "com.docker.compose.service=$1" \
		--label com.docker.compose.oneoff=False --label "com.docker.compose.depends_on=$2" "${@:3}" >/dev/null
}

reboot() { # of a machine: nothing that ran is left
	local id
	daemon_signal KILL
	for id in "$DIR"/data/containers/*; do
		pkill -KILL -f -- "--id=$(basename "$id")" || true
	done
	daemon_start
}

says() { # CONTAINER STATUS WAITING-FOR
	[ "$(w inspect "$1" | jq -r '.[0].State | .Status + " " + .WherryWaitingFor')" = "$2 ${3:-}" ]
}

@test "after a reboot a project starts in the order of its dependencies" {
	# created before what they wait for: the order is the labels', not that of creation
	part web db:service_healthy:false,once:service_completed_successfully:false,gone:service_healthy:false --restart always bb sleep 1000
	part tail web:service_started:false --restart unless-stopped bb sleep 1000
	part after job:service_completed_successfully:true --restart always bb sleep 1000
	part given-up web:service_started:false --restart unless-stopped bb sleep 1000
	part db '' --restart always --health-cmd 'test -f /ok' --health-interval 100ms --health-retries 100000 bb sh -c 'rm -f /ok; sleep 1000'
	part job '' --restart on-failure bb sh -c 'until [ -e /ok ]; do sleep 0.1; done'
	part once '' bb true
	w commit job served # has job's labels, as an image that compose has built: nobody waits for what runs it
	w run -d --init --name by-hand --restart always served sleep 1000
	eventually 10 says once exited
	reboot
	eventually 10 says web restarting 'service db to be healthy'
	says tail restarting 'service web to start'
	says after restarting 'service job to complete'
	[[ "$(w ps --format '{{.Names}} {{.Status}}')" == *'web Waiting for service db to be healthy'* ]]
	w stop given-up
	says given-up exited
	reboot # the next one meets those that wait
	eventually 10 says web restarting 'service db to be healthy'
	eventually 10 w exec db touch /ok
	eventually 10 says tail running
	says web running
	says after restarting 'service job to complete'
	eventually 10 w exec job touch /ok
	eventually 10 says after running
	says by-hand running
	says given-up exited
	says once exited
}
