# Clients, images and contexts that mean harm: the daemon lives, answers in one sentence, and nothing outside is touched.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

w() {
	"$WHERRY" "$@"
}

@test "readers of a log that grows fast do not keep others waiting" {
	w run -d --name talker bb yes
	eventually 5 sh -c "[ \$(cat '$DIR'/data/containers/*/*-json.log | wc -c) -gt 3000000 ]"
	readers=()
	for _ in 1 2 3 4 5; do # nothing is sent to them: only the reading keeps the daemon busy
		api GET "/containers/talker/logs?follow=1&stdout=1&since=4000000000" 3>&- &
		readers+=($!)
	done
	sleep 0.3
	for _ in 1 2 3 4 5; do # they read as long as it takes
		[ "$(api GET /_ping -m 60)" = OK ] || fail "no answer"
	done
	kill -0 "${readers[@]}"
	w rm -f talker
	wait
}

# Connects, sends one request each and reads nothing.
stalled() { # number, path
	rm -f "$DIR/stalled"
	python3 "$BATS_TEST_DIRNAME/hostile_clients.py" "$SOCK" "$DIR/stalled" stall "$@" 3>&- &
	stalled_pid=$!
	eventually 20 test -e "$DIR/stalled"
}

daemon_kib() {
	awk '/^VmRSS/ { print $2 }' "/proc/$(cat "$DIR/daemon.pid")/status"
}

@test "clients that read nothing cost little memory" {
	w run -d --name talker bb yes
	before=$(daemon_kib)
	stalled 20 "/containers/talker/logs?follow=1&stdout=1"
	sleep 2 # what grows without a bound has grown by then
	logs=$(daemon_kib)
	kill $stalled_pid
	w rm -f talker
	[ $((logs - before)) -lt 30000 ] || fail "log readers: $before KiB, then $logs"

	stalled 20 /events
	python3 "$BATS_TEST_DIRNAME/hostile_clients.py" "$SOCK" "" churn 300
	events=$(daemon_kib)
	kill $stalled_pid
	[ $((events - logs)) -lt 15000 ] || fail "event readers: $logs KiB, then $events"
}

@test "more environment than a kernel takes is refused at once" {
	python3 -c 'import json; print(json.dumps({"Image": "bb", "Env": ["a%d=b" % i for i in range(100000)]}))' >"$DIR/env.json"
	run api POST /containers/create -m 60 -H 'Content-Type: application/json' --data-binary @"$DIR/env.json"
	[ "$output" = '{"message":"more than 4096 environment variables"}' ]
}

# --- classes of CVEs ---

# CVE-2024-21626: a directory of the host that is open somewhere above the runtime
@test "no descriptor of the daemon's reaches a container or an exec, nor a working directory through one" {
	daemon_signal TERM
	exec 9<"$ROOT"
	daemon_start
	exec 9<&-
	[ -e "/proc/$(cat "$DIR/daemon.pid")/fd/9/README.md" ] # it does have it
	[ "$(w run --rm bb ls /proc/self/fd | sort -n | tr '\n' ' ')" = "0 1 2 3 " ]
	w run -d --name box bb sleep 1000
	[ "$(w exec box ls /proc/self/fd | sort -n | tr '\n' ' ')" = "0 1 2 3 " ]
	for n in $(seq 3 16); do
		! w run --rm -w "/proc/self/fd/$n" bb cat README.md || fail "descriptor $n"
		! w exec -w "/proc/self/fd/$n" box cat README.md || fail "descriptor $n of an exec"
	done
	w rm -f box
}

# CVE-2025-31133, CVE-2025-52565, CVE-2025-52881: what the image puts at /dev/null, /dev/console and below /proc
@test "an image's own /dev and /proc decide nothing" {
	mkdir -p "$DIR/evil"
	cp -a "$DIR/busybox/." "$DIR/evil/"
	rm -rf "$DIR/evil/dev" "$DIR/evil/proc"
	mkdir -p "$DIR/evil/dev" "$DIR/evil/proc/sys/kernel" "$DIR/evil/trap"
	echo free >"$DIR/evil/trap/file"
	ln -s /trap/file "$DIR/evil/dev/null"
	ln -s /trap/file "$DIR/evil/dev/console"
	ln -s /trap/file "$DIR/evil/proc/keys"
	ln -s /trap "$DIR/evil/proc/self"
	tar -C "$DIR/evil" -cf "$DIR/evil.tar" .
	curl -sf --unix-socket "$SOCK" -X POST -H 'Content-Type: application/x-tar' --data-binary @"$DIR/evil.tar" \
		"http://d/images/create?fromSrc=-&repo=evil" >/dev/null
	[ "$(w run --rm evil stat -c '%t:%T' /dev/null /proc/keys | tr '\n' ' ')" = "1:3 1:3 " ]
	[ "$(w run --rm evil sh -c 'echo x >/dev/null; cat /trap/file; readlink -f /proc/self | grep -c "^/proc/[0-9]*$"' | tr '\n' ' ')" = "free 1 " ]
	cat >"$DIR/console.exp" <<-END
		set timeout 60
		spawn $WHERRY run -it --rm evil sh -c "ls -l /dev/console; cat /trap/file; echo 1 >/proc/sys/kernel/panic"
		expect eof
	END
	run expect "$DIR/console.exp"
	[[ "$output" == *"crw"*"/dev/console"*free*"Read-only file system"* ]] || fail "$output"
}

# CVE-2026-47766: the runtime makes device nodes where /dev of the root leads; also on the host
@test "a /dev that is a link is refused, whatever put it there" {
	mkdir -p "$DIR/mine" "$DIR/link$DIR/mine" # the host and the container have the place
	ln -s "$DIR/mine" "$DIR/link/dev"
	tar -C "$DIR/link" -cf "$DIR/link.tar" .
	run w import "$DIR/link.tar" linked
	[[ "$output" == *"/dev of a layer is not a directory"* ]] || fail "$output"
	w create --name linked bb true
	[ -z "$(api PUT '/containers/linked/archive?path=/' -H 'Content-Type: application/x-tar' --data-binary @"$DIR/link.tar")" ]
	run w start linked
	[ -z "$(ls -A "$DIR/mine")" ] || fail "on the host: $(ls -A "$DIR/mine")"
	[[ "$status" -ne 0 && "$output" == *"/dev of the container is not a directory"* ]] || fail "$output"
	run api POST '/commit?container=linked&repo=linked' -w '%{http_code}'
	[[ "$output" == *'not a directory'*400 ]] || fail "$output"
	printf 'FROM bb\nADD link.tar /\n' >"$DIR/link/Dockerfile"
	cp "$DIR/link.tar" "$DIR/link/"
	run w build "$DIR/link"
	[[ "$status" -ne 0 && "$output" == *"/dev of an image must be a directory"* ]] || fail "$output"
	w rm linked
}

# CVE-2025-52881: what the runtime writes below /proc must reach the kernel, not a file that the image put there
@test "an image's volumes do not come between the runtime and /proc" {
	mkdir -p "$DIR/redirect"
	cp -a "$DIR/busybox/." "$DIR/redirect/"
	rm -rf "$DIR/redirect/x" && ln -s proc "$DIR/redirect/x"
	mkdir -p "$DIR/redirect/proc/sys/net/ipv4" "$DIR/redirect/proc/self/attr"
	echo fake >"$DIR/redirect/proc/sys/net/ipv4/ip_unprivileged_port_start"
	tar -C "$DIR/redirect" -cf "$DIR/redirect.tar" .
	w import -c 'VOLUME /x/sys' -c 'VOLUME /x/self/attr' "$DIR/redirect.tar" redirect:link
	run w run --rm --sysctl net.ipv4.ip_unprivileged_port_start=77 redirect:link \
		sh -c 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start; stat -f -c %T /proc/sys; stat -f -c %T /proc/self/attr'
	[ "$output" = $'77\nproc\nproc' ] || fail "$output"
	for target in /proc/sys /proc/self/attr /sys; do
		w import -c "VOLUME $target" "$DIR/redirect.tar" redirect:volume
		run w run --rm redirect:volume true
		[[ "$status" -eq 125 && "$output" == *"invalid mount path: '$target' cannot be a volume"* ]] || fail "$output"
	done
	w rmi redirect:link redirect:volume
}

# CVE-2025-52565: crun binds the terminal over /dev/console by name; both names must be the engine's
@test "a volume at /dev/pts or below /dev is no way to choose the console" {
	mkdir -p "$DIR/pts"
	cp -a "$DIR/busybox/." "$DIR/pts/"
	mkdir -p "$DIR/pts/dev/pts" "$DIR/pts/dev/console"
	for n in 0 1 2 3 ptmx; do ln -s /proc/sysrq-trigger "$DIR/pts/dev/pts/$n"; done
	tar -C "$DIR/pts" -cf "$DIR/pts.tar" .
	w import -c 'VOLUME /dev/pts' "$DIR/pts.tar" pts:1
	w import -c 'VOLUME /dev/console' "$DIR/pts.tar" pts:2
	for image in pts:1 pts:2; do
		cat >"$DIR/pts.exp" <<-END
			set timeout 60
			spawn $WHERRY run -it --rm $image sh -c "grep console /proc/mounts | grep -v devpts; stat -c %F /dev/console; echo x >/dev/console && echo wrote"
			expect eof
		END
		run expect "$DIR/pts.exp"
		[[ "$output" != *sysrq* && "$output" != *proc\ /dev/console* ]] || fail "$output"
	done
	w rmi pts:1 pts:2
}

# The class of CVE-2021-30465 and of runc's nested mount points: a container that shares the volume swaps the way to a mount below it
@test "a mount below a shared volume stays in the container, and read-only, whatever its way is swapped with" {
	mkdir -p "$DIR/src" "$DIR/aside/b"
	echo secret >"$DIR/src/f"
	w run -d --name swapper -v nested:/v bb sh -c "mkdir -p /v/a/b /v/c/b; touch /v/ready; while :; do mv /v/a /v/k; ln -s c /v/a; rm /v/a
		ln -s $DIR/aside /v/a; rm /v/a; ln -s /proc/self /v/a; rm /v/a; mv /v/k /v/a; done"
	eventually 10 test -e "$DIR/data/volumes/nested/_data/ready"
	for i in $(seq 500); do # some starts fail, as they should: on until one has not
		w run --rm -v nested:/v -v "$DIR/src:/v/a/b:ro" bb awk '$4 ~ /src$/ {print $5, $6}' /proc/self/mountinfo >>"$DIR/nested" 2>&1 || true
		[ "$i" -lt 10 ] || ! grep -q '/b ro' "$DIR/nested" || break
	done
	w rm -f swapper
	w volume rm nested
	grep '/b ro' "$DIR/nested"
	! grep '/b rw' "$DIR/nested" || fail "a read-only mount was writable"
	! grep -E '^/(proc|dev|sys)' "$DIR/nested" || fail "a mount went to the kernel's files"
	[ "$(find "$DIR/aside" | wc -l)" -eq 2 ]
	! grep " $DIR/aside" /proc/mounts
}

# CVE-2026-46680, CVE-2026-30892: a number is a number, whatever the image's passwd calls it
@test "a numeric user stays numeric, at start and in an exec" {
	w run --name numbered bb sh -c 'echo "1234:x:0:0::/root:/bin/sh" >>/etc/passwd; echo "77:x:0:" >>/etc/group'
	api POST '/commit?container=numbered&repo=numbered' -H 'Content-Type: application/json' -d '{}' -o /dev/null
	[ "$(w run --rm -u 1234 numbered id -u)" = 1234 ]
	w run -d --name box numbered sleep 1000
	[ "$(w exec -u 1234 box id -u)" = 1234 ]
	[ "$(w exec -u 1234:77 box id -g)" = 77 ]
	for user in 4294967296 -1 +5 4294967295; do
		run w run --rm -u "$user" numbered id
		[[ "$output" == *"uids and gids must be in range"* ]] || fail "$user: $output"
	done
	w rm -f box numbered
}

# CVE-2026-47262
@test "a passwd file of gigabytes costs the daemon nothing" {
	w run --name big bb sh -c 'dd if=/dev/zero of=/etc/passwd bs=1 count=1 seek=3000000000 2>/dev/null; cp /etc/group /g; dd if=/dev/zero of=/etc/group bs=1 count=1 seek=3000000000 2>/dev/null'
	before=$(daemon_kib)
	run w start big
	[ "$status" -ne 0 ]
	[[ "$output" == *"cannot read the image's /etc/passwd: File too large"* ]] || fail "$output"
	w run -d --name grown bb sh -c 'sleep 1; dd if=/dev/zero of=/etc/group bs=1 count=1 seek=3000000000 2>/dev/null; touch /done; sleep 1000'
	eventually 10 sh -c "[ -e '$DIR'/data/containers/\$('$WHERRY' inspect -f '{{.Id}}' grown)/upper/done ]"
	run w exec -u bob grown true
	[ "$status" -ne 0 ]
	[ $(($(daemon_kib) - before)) -lt 20000 ]
	[ "$(api GET /_ping)" = OK ]
	w rm -f big grown
}

@test "names and ids are no paths" {
	touch "$DIR/data/containers.secret"
	before=$(w ps -aq | wc -l)
	for path in ..%2f..%2fetc/json .%2f/json %2e%2e/json "$(printf 'a%.0s' $(seq 5000))/json"; do
		run api GET "/containers/$path" -o /dev/null -w '%{http_code}'
		[[ "$output" == 4?? ]] || fail "$path: $output"
	done
	for name in ../x .. . .hidden a/b 'a%00b'; do
		run api POST "/containers/create?name=$name" -H 'Content-Type: application/json' -d '{"Image":"bb","Cmd":["true"]}' -w ' %{http_code}'
		[[ "$output" == *' 4'?? ]] || fail "$name: $output"
	done
	for body in '{"Image":"bb","Cmd":["true"],"HostConfig":{"PidMode":"container:/"}}' \
		'{"Image":"bb","Cmd":["true"],"HostConfig":{"Binds":["../x:/y"]}}' \
		'{"Image":"../../etc","Cmd":["true"]}' \
		'{"Image":"bb","Cmd":["true"],"HostConfig":{"Runtime":"/bin/sh"}}'; do
		run api POST /containers/create -H 'Content-Type: application/json' -d "$body" -w ' %{http_code}'
		[[ "$output" == *' 4'?? ]] || fail "$body: $output"
	done
	# whose network it is, is found out at start
	api POST "/containers/create?name=joins" -H 'Content-Type: application/json' \
		-d '{"Image":"bb","Cmd":["true"],"HostConfig":{"NetworkMode":"container:../../x"}}'
	[[ "$(api POST /containers/joins/start -w ' %{http_code}')" == *'No such container: ../../x'*' 404' ]]
	api DELETE /containers/joins
	for id in .. ..%2f..%2f 'a%2fb'; do
		[[ "$(api GET "/exec/$id/json" -o /dev/null -w '%{http_code}')" == 4?? ]]
		[[ "$(api DELETE "/containers/$id?force=1" -o /dev/null -w '%{http_code}')" == 4?? ]]
	done
	[ -e "$DIR/data/containers.secret" ]
	[ "$(w ps -aq | wc -l)" = "$before" ]
}

# Starts a container that has the body; prints the answer.
started() { # name, body
	api POST "/containers/create?name=$1" -H 'Content-Type: application/json' -d "$2" >/dev/null
	api POST "/containers/$1/start" -m 100
	w rm -f "$1" >/dev/null
}

@test "an expression that would take all memory is refused" {
	run started costly '{"Image":"bb","Cmd":["true"],"Labels":{"a":"b"},"HostConfig":{"LogConfig":{"Type":"json-file",
		"Config":{"labels-regex":"((((a{1,255}){1,255}){1,255}){1,255})"}}}}'
	[[ $output == *"error parsing regexp: too costly"* ]]
}

@test "a working directory longer than a path is refused, also for an exec" {
	long=$(printf '/%070000d' 0)
	w run -d --name long bb sleep 1000
	echo "{\"Cmd\":[\"true\"],\"WorkingDir\":\"$long\"}" >"$DIR/long.json"
	run api POST /containers/long/exec -H 'Content-Type: application/json' -d @"$DIR/long.json"
	[ "$output" = '{"message":"the working directory is longer than 4095 bytes"}' ]
	w rm -f long
}

@test "the subpath of a volume that becomes a link does not show the host" {
	w volume create vol
	data=$DIR/data/volumes/vol/_data
	mkdir -p "$data/sub" "$DIR/outside"
	touch "$data/sub/mine" "$DIR/outside/secret"
	ln -s "$DIR/outside" "$data/link"
	python3 "$BATS_TEST_DIRNAME/hostile_clients.py" "$data/sub" "$data/link" swap 0 3>&- &
	swapper=$!
	for i in $(seq 500); do # and on until both ways have been gone
		[ "$i" -le 12 ] || ! grep -qx mine "$DIR/seen" || ! grep -qx s/mine "$DIR/seen" || break
		api POST "/containers/create?name=part" -H 'Content-Type: application/json' -d '{"Image":"bb","Cmd":["ls","/s"],"HostConfig":
			{"Mounts":[{"Type":"volume","Source":"vol","Target":"/s","VolumeOptions":{"Subpath":"sub"}}]}}' >/dev/null
		api POST /containers/part/start >/dev/null
		api POST /containers/part/wait -m 100 >/dev/null
		w logs part >>"$DIR/seen" 2>&1 || true
		api GET "/containers/part/archive?path=/s" -m 100 | tar -t >>"$DIR/seen" 2>/dev/null || true
		w rm -f part >/dev/null
	done
	kill $swapper
	grep -qx mine "$DIR/seen" && grep -qx s/mine "$DIR/seen" # in the container, and in an archive of it
	! grep -q s/sub/ "$DIR/seen" || fail "an archive showed the whole volume"
	! grep secret "$DIR/seen" || fail "a container saw the host"
	w volume rm vol
}

@test "answers to pings that nobody reads are not kept" {
	w run -d -i --name cat bb cat
	before=$(daemon_kib)
	rm -f "$DIR/pinged"
	python3 "$BATS_TEST_DIRNAME/hostile_clients.py" "$SOCK" "$DIR/pinged" pings 300000 cat 3>&- &
	eventually 30 test -e "$DIR/pinged"
	[ "$(api GET /_ping)" = OK ]
	[ $(($(daemon_kib) - before)) -lt 15000 ] || fail "from $before to $(daemon_kib) KiB"
	kill $!
	w rm -f cat
}

@test "a client that ends its input ends the container's only with StdinOnce" {
	api POST '/containers/create?name=many' -H 'Content-Type: application/json' -d '{"Image":"bb","Cmd":["cat"],"OpenStdin":true}' >/dev/null
	w start many
	[ "$(timeout 100 python3 "$BATS_TEST_DIRNAME/hostile_clients.py" "$SOCK" "" halves 1 many)" = hi ]
	w rm -f many
	[ "$(echo once | w run --rm -i bb cat)" = once ]
}

@test "a volume that binds shared mounts takes none of the host's with it" {
	mkdir -p "$DIR/tree"
	mount -t tmpfs tmpfs "$DIR/tree"
	mount --make-shared "$DIR/tree"
	mkdir "$DIR/tree/below"
	mount -t tmpfs tmpfs "$DIR/tree/below"
	touch "$DIR/tree/below/kept"
	w volume create -o type=none -o device="$DIR/tree" -o o=rbind tree
	w run --rm -v tree:/v bb ls /v/below || true
	eventually 10 sh -c "! grep -q '$DIR/data/volumes/tree' /proc/mounts" || true
	w volume rm tree || true
	kept=$(ls "$DIR/tree/below")
	umount -R "$DIR/tree"
	[ "$kept" = kept ] || fail "the host's mount is gone"
}

pidfds() {
	ls -l "/proc/$(cat "$DIR/daemon.pid")/fd" | grep -c pidfd || true
}

@test "an exec that has ended holds no descriptor" {
	w run -d --name box bb sleep 1000
	eventually 5 eval '[ "$(pidfds)" = 1 ]' # of the tests before nothing is on its way
	before=$(pidfds)
	for _ in 1 2 3 4 5; do
		w exec box true
	done
	as_before() {
		[ "$(pidfds)" = "$before" ]
	}
	eventually 5 as_before
	w rm -f box
}

@test "memory of a large request goes back" {
	python3 -c 'import json; print(json.dumps({"Image": "bb", "Cmd": ["a"] * 130000}))' >"$DIR/large.json"
	before=$(daemon_kib)
	api POST "/containers/create?name=large" -H 'Content-Type: application/json' --data-binary @"$DIR/large.json" >/dev/null
	w rm large
	smaller() {
		api GET /_ping >/dev/null
		[ $(($(daemon_kib) - before)) -lt 20000 ]
	}
	eventually 10 smaller || fail "from $before to $(daemon_kib) KiB"
}
