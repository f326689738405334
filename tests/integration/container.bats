# Containers: run, stop, logs, exec, exit codes, limits, mounts; through the API by the wherry CLI.
bats_require_minimum_version 1.5.0
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

@test "run prints the output and leaves nothing behind" {
	run w run --rm bb echo hello
	[ "$status" -eq 0 ]
	[ "$output" = hello ]
	eventually 5 no_leftovers || fail "$(leftovers)"
	[ -z "$(w ps -aq)" ]
}

@test "run gives the exit status of the command" {
	run w run --rm bb sh -c 'exit 42'
	[ "$status" -eq 42 ]
	run w run --rm bb sh -c 'sh -c "kill -9 \$\$"; exit $?'
	[ "$status" -eq 137 ]
}

@test "a command that does not exist is 127, one that cannot be run 126" {
	run -127 w run --rm bb nosuchcommand
	[[ "$output" == *'"nosuchcommand": executable file not found in $PATH'* ]]
	run w run --rm bb /etc/passwd
	[ "$status" -eq 126 ]
	[[ "$output" == *"permission denied"* ]]
	eventually 5 no_leftovers || fail "$(leftovers)"
}

@test "stdin goes in, stdout and stderr come out apart" {
	run bash -c "echo text | '$WHERRY' run -i --rm bb cat"
	[ "$output" = text ]
	run bash -c "'$WHERRY' run --rm bb sh -c 'echo out; echo err >&2' 2>/dev/null"
	[ "$output" = out ]
	run bash -c "'$WHERRY' run --rm bb sh -c 'echo out; echo err >&2' 2>&1 >/dev/null"
	[ "$output" = err ]
}

@test "ten megabytes go through stdin and stdout unchanged" {
	head -c 10000000 /dev/urandom >"$DIR/random"
	"$WHERRY" run -i --rm bb cat <"$DIR/random" >"$DIR/copy"
	cmp "$DIR/random" "$DIR/copy"
}

@test "logs keep what was printed, also after the end" {
	w run -d --name printer bb sh -c 'echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three'
	w wait printer
	[ "$(w logs printer 2>/dev/null)" = "$(printf 'one\nthree')" ]
	[ "$(w logs printer 2>&1 >/dev/null)" = two ]
	[ "$(w logs --tail 1 printer 2>/dev/null)" = three ]
}

@test "logs -f ends with the container" {
	w run -d --name ticker bb sh -c 'for i in 1 2 3; do echo $i; sleep 0.3; done'
	run timeout 60 "$WHERRY" logs -f ticker
	[ "$status" -eq 0 ]
	[ "$output" = "$(printf '1\n2\n3')" ]
}

@test "logs are rotated and still read in order" {
	w run --name rotated --log-opt max-size=2k --log-opt max-file=3 bb sh -c 'i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done' >/dev/null
	run w logs rotated
	[ "${lines[-1]}" = "line 99" ]
	first=${lines[0]#line }
	[ "${#lines[@]}" -eq $((100 - first)) ]
	[ "$first" -gt 0 ]
}

@test "exec runs beside, with its own user, directory and status" {
	w run -d --name host bb sleep 1000
	run w exec host sh -c 'echo inside; exit 7'
	[ "$status" -eq 7 ]
	[ "$output" = inside ]
	[ "$(w exec -u bob host id -u)" = 1000 ]
	[ "$(w exec -w /tmp host pwd)" = /tmp ]
	[ "$(w exec -e A=b host sh -c 'echo $A')" = b ]
	[ "$(echo via | w exec -i host cat)" = via ]
	run -127 w exec host nosuch
	[[ "$output" == *'exec: "nosuch": executable file not found in $PATH'* ]]
	run w exec host /etc/passwd
	[ "$status" -eq 126 ]
	run w exec -u nobodyhere host id
	[ "$status" -ne 0 ]
	[[ "$output" == *"unable to find user nobodyhere: no matching entries in passwd file"* ]]
}

@test "stop sends the stop signal, waits, then kills" {
	w run -d --name polite bb sh -c 'trap "echo bye; exit 3" TERM; touch /ready; while :; do sleep 0.1; done'
	eventually 10 w exec polite test -e /ready
	w run -d --name stubborn bb sh -c 'trap "" TERM; while :; do sleep 1; done'
	w stop polite
	[ "$(w inspect -f '{{.State.ExitCode}}' polite)" = 3 ]
	[ "$(w logs polite)" = bye ]
	w stop -t 1 stubborn
	[ "$(w inspect -f '{{.State.ExitCode}}' stubborn)" = 137 ]
}

@test "a stopped container keeps its files and starts again" {
	w run --name keeper bb sh -c 'echo $(($(cat /n 2>/dev/null || echo 0)+1)) > /n; cat /n'
	run w start -a keeper
	[ "$output" = 2 ]
}

@test "restart policies" {
	w run -d --name again --restart on-failure:2 bb sh -c 'exit 4'
	eventually 10 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.Status}} {{.RestartCount}}' again)\" = 'exited 2' ]"
	w run -d --name forever --restart always bb sh -c 'exit 0'
	eventually 10 sh -c "[ \"\$('$WHERRY' inspect -f '{{.RestartCount}}' forever)\" -ge 2 ]"
	w stop forever
	sleep 1 # a policy that holds on would have started it by now
	[ "$(w inspect -f '{{.State.Status}}' forever)" = exited ]
}

@test "wait is answered at each end, also when the policy starts it again" {
	w run -d --name again3 --restart always bb sh -c 'exit 3'
	for _ in 1 2; do
		[ "$(api POST /containers/again3/wait -m 60)" = '{"StatusCode":3}' ]
	done
	[ "$(api POST '/containers/again3/wait?condition=not-running' -m 60)" = '{"StatusCode":3}' ]
	w rm -f again3
}

@test "users, groups, environment, hostname and working directory" {
	[ "$(w run --rm -u bob bb id)" = "uid=1000(bob) gid=1000(bob) groups=20(dialout),1000(bob)" ]
	[ "$(w run --rm -u 1234:20 bb sh -c 'id -u; id -g' | tr '\n' ' ')" = "1234 20 " ]
	[ "$(w run --rm -h myhost bb hostname)" = myhost ]
	[ "$(w run --rm -w /made/here bb pwd)" = /made/here ]
	[ "$(w run --rm -e X=1 bb sh -c 'echo $X')" = 1 ]
	[ "$(w run --rm -u bob bb sh -c 'echo $HOME')" = /home/bob ]
}

@test "volumes are seeded from the image and outlive containers" {
	[ "$(w run --rm -v data:/var/lib/seeded bb cat /var/lib/seeded/file)" = from-image ]
	w run --rm -v data:/var/lib/seeded bb sh -c 'echo changed > /var/lib/seeded/file'
	[ "$(w run --rm -v data:/x bb cat /x/file)" = changed ]
	[ "$(w run --rm -v data:/x bb stat -c %u /x)" = 1000 ]
	run w run --rm -v data:/x:ro bb touch /x/new
	[ "$status" -ne 0 ]
	w volume rm data
}

@test "bind mounts, tmpfs and a read-only root" {
	echo outside >"$DIR/file"
	[ "$(w run --rm -v "$DIR/file:/f:ro" bb cat /f)" = outside ]
	[[ "$(w run --rm --tmpfs /scratch:size=1m bb df /scratch)" == *1024* ]]
	run w run --rm --read-only bb touch /x
	[ "$status" -ne 0 ]
	run w run --rm --mount type=bind,source=/nonexistent/path,target=/x bb true
	[ "$status" -eq 125 ]
	[[ "$output" == *"bind source path does not exist: /nonexistent/path"* ]]
	[ ! -e /nonexistent ]
}

@test "a container may not do what Docker's defaults forbid" {
	run w run --rm bb mount -t tmpfs none /mnt
	[ "$status" -ne 0 ]
	run w run --rm bb sh -c 'echo 1 > /proc/sys/kernel/panic'
	[ "$status" -ne 0 ]
	run w run --rm bb cat /proc/kcore
	[ -z "$output" ] || [ "$status" -ne 0 ]
	[[ "$(w run --rm bb grep Seccomp: /proc/self/status)" == *2 ]]
	[[ "$(w run --rm bb grep CapBnd /proc/self/status)" == *00000000a80425fb ]]
	[[ "$(w run --rm --cap-drop ALL bb grep CapBnd /proc/self/status)" == *0000000000000000 ]]
	[ "$(w run --rm bb sh -c 'ls -ld /dev/null | cut -c1; mount | grep -c "tmpfs on /dev "' | tr '\n' ' ')" = "c 1 " ]
	[ "$(w run --rm bb ls /proc/self/fd | sort -n | tr '\n' ' ')" = "0 1 2 3 " ]
}

@test "a memory limit kills and says so" {
	w run -d --name hungry -m 16m bb sh -c 'x=a; while :; do x=$x$x; done'
	eventually 30 sh -c "'$WHERRY' ps -a | grep -q Exited"
	[ "$(w inspect -f '{{.State.OOMKilled}}' hungry)" = true ]
}

@test "health checks run and change the state" {
	w run -d --name sick --health-cmd 'test -f /ok' --health-interval 200ms --health-retries 2 bb sleep 1000
	eventually 10 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.Health.Status}}' sick)\" = unhealthy ]"
	w exec sick touch /ok
	eventually 10 sh -c "[ \"\$('$WHERRY' inspect -f '{{.State.Health.Status}}' sick)\" = healthy ]"
}

@test "pause stops and unpause continues" {
	w run -d --name count bb sh -c 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done'
	eventually 10 sh -c "'$WHERRY' logs count | grep -q 1"
	w pause count
	stands_still() { # what it had written already may still be on its way into the log
		before=$(w logs count | tail -1)
		sleep 0.5
		[ "$(w logs count | tail -1)" = "$before" ]
	}
	eventually 10 stands_still
	run w exec count true
	[ "$status" -ne 0 ]
	w unpause count
	eventually 5 sh -c "[ \$('$WHERRY' logs count | tail -1) -gt $before ]"
}

@test "names: taken, wrong, by prefix of the id, renamed" {
	id=$(w run -d --name first bb sleep 1000)
	run w run -d --name first bb true
	[ "$status" -eq 125 ]
	[[ "$output" == *'Conflict. The container name "/first" is already in use by container "'"$id"'"'* ]]
	run w run -d --name 'no good' bb true
	[ "$status" -eq 125 ]
	[ "$(w inspect -f '{{.Name}}' "${id:0:6}")" = /first ]
	w rename first second
	[ "$(w inspect -f '{{.Name}}' second)" = /second ]
	run w inspect first
	[ "$status" -ne 0 ]
}

@test "wrong requests are refused in one sentence and leave nothing" {
	for body in '{' '[]' '{"Image":5}' '{"Image":"bb","Cmd":[1]}' '{"Image":"bb","HostConfig":{"Memory":"x"}}' \
		'{"Image":"bb","HostConfig":{"Memory":1}}' '{"Image":"bb","HostConfig":{"Binds":["relative:not"]}}' \
		'{"Image":"bb","HostConfig":{"NetworkMode":"nosuchnet"}}' '{"Image":"bb","HostConfig":{"PortBindings":{"99999/tcp":[]}}}' \
		'{"Image":"bb","HostConfig":{"CapAdd":["NOT_A_CAP"]}}' '{"Image":"bb","HostConfig":{"Ulimits":[{"Name":"nope"}]}}' \
		'{"Image":"nosuchimage"}' '{"Image":"BAD//name"}' '{"Image":"bb","HostConfig":{"RestartPolicy":{"Name":"sometimes"}}}' \
		'{"Image":"bb","WorkingDir":"relative"}' '{"Image":"bb","HostConfig":{"LogConfig":{"Type":"syslog"}}}'; do
		run api POST /containers/create -H 'Content-Type: application/json' -d "$body" -w ' %{http_code}'
		[[ "$output" == '{"message":"'* ]] || fail "$body: $output"
		[[ "$output" == *' 4'?? ]] || fail "$body: $output"
	done
	[ -z "$(w ps -aq)" ]
	eventually 5 no_leftovers || fail "$(leftovers)"
	[ -z "$(w volume ls -q)" ]
	run api POST '/images/create?fromImage=bb&platform=%7B%22x%22' -w ' %{http_code}'
	[[ "$output" == *'platform specifier'*' 400' ]] || fail "$output"
}

@test "an attached client that goes away does not stop the container" {
	w run --name lonely bb sh -c 'i=0; while [ $i -lt 20 ]; do [ $i -lt 10 -o -e /go ] && echo $i && i=$((i+1)); sleep 0.1; done' >/dev/null &
	eventually 5 sh -c "'$WHERRY' ps | grep -q lonely"
	kill -9 $!
	w exec lonely touch /go
	eventually 10 sh -c "'$WHERRY' ps -a | grep lonely | grep -q 'Exited (0)'"
	[ "$(w logs lonely | tail -1)" = 19 ]
}

@test "a terminal: size, line discipline, exit status" {
	cat >"$DIR/tty.exp" <<-END
		set timeout 60
		spawn $WHERRY run -it --rm bb sh
		expect "# "
		send "tty; stty size; exit 9\r"
		expect "/dev/pts/0"
		expect eof
		lassign [wait] pid spawn_id os status
		exit \$status
	END
	run expect "$DIR/tty.exp"
	[ "$status" -eq 9 ]
}

@test "a hundred short execs all end with their own status" {
	w run -d --name busy bb sleep 1000
	for i in $(seq 100); do
		run timeout 60 "$WHERRY" exec busy sh -c "exit $i"
		[ "$status" -eq "$i" ]
	done
}

# The runtime binds the container's /dev/null over masked paths: it must be the kernel's (CVE-2025-31133).
@test "an image cannot choose what /dev is, by a volume or by a link" {
	rm -f "$DIR/busybox/dev/null" "$DIR/busybox/x"
	ln -s /proc/uptime "$DIR/busybox/dev/null"
	ln -s dev "$DIR/busybox/x"
	tar -C "$DIR/busybox" -cf "$DIR/evil.tar" .
	rm "$DIR/busybox/dev/null" "$DIR/busybox/x"
	"$WHERRY" import -c 'VOLUME /x' "$DIR/evil.tar" evil:link
	run -0 "$WHERRY" run --rm evil:link stat -c '%F' /dev/null
	[ "$output" = "character special file" ]
	"$WHERRY" import -c 'VOLUME /dev' "$DIR/evil.tar" evil:volume
	run "$WHERRY" run --rm evil:volume true
	[ "$status" -eq 125 ]
	[[ "$output" == *"invalid mount path: '/dev' cannot be a volume"* ]]
	"$WHERRY" rmi evil:link evil:volume
}
