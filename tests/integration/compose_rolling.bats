# A service that is replaced while it serves: by the engine's take-over, and by compose.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
	export PORT
	PORT=$(free_port)
}

teardown_file() {
	daemon_teardown
}

setup() {
	P=$DIR/p
	rm -rf "$P"
	mkdir -p "$P/held"
	cd "$P"
}

teardown() {
	"$WHERRY" compose --profile '*' down -v -t 0 --remove-orphans >/dev/null 2>&1 || true
	"$WHERRY" rm -f -v $("$WHERRY" ps -aq) >/dev/null 2>&1 || true
	"$WHERRY" network rm tn >/dev/null 2>&1 || true
}

# NAME, further arguments of run: a container of network tn, alias web, that says its name at the port.
server() {
	local name=$1
	shift
	"$WHERRY" run -d --init --name "$name" --network tn --network-alias web -p "127.0.0.1:$PORT:80" "$@" "${IMAGE:-bb}" \
		sh -c "echo $name >/tmp/index.html; exec httpd -f -p 80 -h /tmp"
}

says() { # TEXT
	[ "$(curl -s -m 5 "http://127.0.0.1:$PORT/index.html")" = "$1" ]
}

address_of() {
	"$WHERRY" inspect --format '{{(index .NetworkSettings.Networks "tn").IPAddress}}' "$1"
}

# The name web has the addresses of these containers.
web_is() {
	local want
	want=$(for name in "$@"; do address_of "$name"; done | sort)
	[ "$("$WHERRY" exec asker nslookup web 127.0.0.11 | sed -n 's/^Address: *\([0-9.]*\)$/\1/p' | grep -v '^127' | sort)" = "$want" ]
}

@test "a container that replaces another one waits for its ports and names, and takes them over" {
	"$WHERRY" network create tn
	old=$(server old-one)
	"$WHERRY" run -d --init --name asker --network tn bb sleep 1000
	run ! server other-one # without the label it is Docker's error
	[[ "$output" == *"port is already allocated"* ]]
	# nor does somebody else's container take them, nor one whose image says so
	run ! server other-two --label "wherry.replaces=$old" --label com.docker.compose.project=x
	[[ "$output" == *"port is already allocated"* ]]
	"$WHERRY" run -d --init --name sly bb sleep 1000
	"$WHERRY" commit -c "LABEL wherry.replaces=$old" sly sly
	IMAGE=sly run ! server other-three
	[[ "$output" == *"port is already allocated"* ]]
	[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$SOCK" -X POST "http://d/wherry/v1/containers/sly/takeover?from=old-one")" = 409 ]
	"$WHERRY" rm -f sly
	server new-one --label "wherry.replaces=$old"
	eventually 5 says old-one
	web_is old-one
	[ -z "$("$WHERRY" port new-one)" ]
	[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$SOCK" -X POST "http://d/wherry/v1/containers/new-one/takeover?from=old-one")" = 204 ]
	says new-one
	web_is new-one
	[ "$("$WHERRY" port new-one)" = "80/tcp -> 127.0.0.1:$PORT" ]
	[ -z "$("$WHERRY" port old-one)" ]
	# and back
	curl -s --unix-socket "$SOCK" -X POST "http://d/wherry/v1/containers/old-one/takeover?from=new-one"
	says old-one
	web_is old-one
	# the daemon comes back and knows who waits
	daemon_signal TERM
	daemon_start
	says old-one
	# the other ends
	"$WHERRY" stop -t 0 old-one
	says new-one
	web_is new-one
	[ "$("$WHERRY" port new-one)" = "80/tcp -> 127.0.0.1:$PORT" ]
	curl -s --unix-socket "$SOCK" http://d/wherry/v1/containers/new-one/sockets | grep -q '"Listening":\[.*80.*\],"Connections":'
	[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$SOCK" -X POST "http://d/wherry/v1/containers/new-one/takeover?from=old-one")" = 409 ]
}

c() {
	"$WHERRY" compose "$@"
}

# REST: more keys of update_config. The version says itself; that of BAD is never healthy.
serving() { # [REST]
	cat >compose.yaml <<-YAML
		services:
		  web:
		    image: bb
		    init: true
		    command: sh -c "echo \$\$VERSION >/tmp/index.html; sleep 0.3; exec httpd -f -p 80 -h /tmp"
		    volumes: ["$P/held:/held"]
		    environment: {VERSION: "\${VERSION}"}
		    ports: ["127.0.0.1:$PORT:80"]
		    stop_grace_period: 1s
		    healthcheck:
		      test: test \$\$VERSION != BAD -a ! -e /held/\$\$VERSION && wget -q -O /dev/null http://127.0.0.1/index.html
		      interval: 200ms
		      timeout: 20s
		      retries: \${RETRIES:-40}
		    deploy: {update_config: {order: start-first${1:+, $1}}}
	YAML
}

id_of() {
	"$WHERRY" inspect --format '{{.Id}}' "p-$1"
}

load_begin() {
	python3 "$ROOT/tests/integration/http_load.py" "$PORT" "$P/stop" >"$P/load" 2>&1 3>&- &
	LOAD=$!
	eventually 20 test -e "$P/stop.begun"
}

load_end() {
	touch "$P/stop"
	wait "$LOAD"
	rm "$P/stop" "$P/stop.begun"
}

@test "start-first: a new version takes over without one lost request" {
	serving
	VERSION=one c up -d --wait
	one=$(id_of web-1)
	load_begin
	eventually 5 says one
	VERSION=two run c up -d
	[ "$status" -eq 0 ]
	[[ "$output" == *"Container p-web-1  Recreate"*"Container p-web-1  Waiting"*"Container p-web-1  Recreated"* ]]
	says two
	VERSION=three c up -d
	says three
	load_end
	[ "$(cat load)" = $'one two three\nnone failed' ] || fail "$(cat load)"
	[ "$one" != "$(id_of web-1)" ]
	[ "$("$WHERRY" ps -aq | wc -l)" -eq 1 ]
	VERSION=three run c up -d
	[[ "$output" == *"Container p-web-1  Running"* ]]
}

@test "start-first: a version that is not well leaves the old one serving" {
	serving
	VERSION=one c up -d --wait
	one=$(id_of web-1)
	load_begin
	VERSION=BAD RETRIES=2 run c up -d
	[ "$status" -eq 1 ]
	[[ "$output" == *'service "web": the new container p-web-1 is unhealthy; the old one goes on'* ]]
	says one
	load_end
	[ "$(cat load)" = $'one\nnone failed' ] || fail "$(cat load)"
	[ "$one" = "$(id_of web-1)" ]
	[ "$("$WHERRY" ps -aq | wc -l)" -eq 1 ]
}

@test "start-first: an up that was killed is completed by the next" {
	export RETRIES=100000
	serving
	VERSION=one c up -d --wait
	one=$(id_of web-1)
	load_begin
	# while the new one is not healthy yet
	touch held/two
	VERSION=two "$WHERRY" compose up -d >out 2>&1 3>&- & # not c: the kill is for the program, not for a shell
	up=$!
	eventually 10 grep -q Waiting out
	kill -KILL $up
	wait $up || true
	[ "$("$WHERRY" ps -q | wc -l)" -eq 2 ]
	[ "$one" = "$(id_of web-1)" ]
	two=$("$WHERRY" ps -q --no-trunc | grep -v "$one")
	rm held/two
	VERSION=two c up -d
	[ "$two" = "$(id_of web-1)" ] # that one, not a third
	says two
	load_end
	[ "$(cat load)" = $'one two\nnone failed' ] || fail "$(cat load)"
	# the old one is gone, the new one has no name yet
	"$WHERRY" rename p-web-1 0123456789ab_p-web-1
	VERSION=two c up -d
	[ "$two" = "$(id_of web-1)" ]
	[ "$("$WHERRY" ps -aq | wc -l)" -eq 1 ]
}

@test "start-first: several containers go one after the other, and all back when one is not well" {
	# of the bad ones the first that is asked is well, the others never
	cat >compose.yaml <<-'YAML'
		services:
		  web:
		    image: bb
		    init: true
		    scale: 3
		    command: sleep 1000
		    environment: {VERSION: "${VERSION}"}
		    stop_grace_period: 1s
		    volumes: ["shared:/shared"]
		    healthcheck:
		      test: test $$VERSION != BAD || test -e /tmp/me || { mkdir /shared/first && touch /tmp/me; }
		      interval: 200ms
		      timeout: 20s
		      retries: 2
		    deploy: {update_config: {order: start-first, failure_action: rollback}}
		volumes: {shared: }
	YAML
	VERSION=one c up -d --wait
	before=$(id_of web-1)$(id_of web-2)$(id_of web-3)
	VERSION=BAD run c up -d
	[ "$status" -eq 1 ]
	[[ "$output" == *"Container p-web-"*"  Rolled back"* ]]
	[ "$before" = "$(id_of web-1)$(id_of web-2)$(id_of web-3)" ]
	[ "$("$WHERRY" ps -q | wc -l)" -eq 3 ]
	VERSION=two c up -d
	[ "$("$WHERRY" ps -aq | wc -l)" -eq 3 ]
	[[ "$before" != *"$(id_of web-2)"* ]]
}

# The first container of a version BAD... that is checked is never well, the others are.
one_is_bad() {
	cat >compose.yaml <<-'YAML'
		services:
		  web:
		    image: bb
		    init: true
		    scale: 2
		    command: sleep 1000
		    environment: {VERSION: "${VERSION}"}
		    volumes: ["shared:/shared"]
		    healthcheck:
		      test: >-
		        test -e /tmp/seen || { touch /tmp/seen; case $$VERSION in BAD*) ! mkdir /shared/$$VERSION 2>/dev/null || touch /tmp/bad;; esac; };
		        test ! -e /tmp/bad
		      interval: 100ms
		      timeout: 20s
		      retries: 1
		    post_start: [{command: sh -c 'echo started >>/shared/hooks'}]
		    pre_stop: [{command: [sh, -c, "echo stopping >>/shared/hooks; exit ${STOP:-0}"]}]
		    deploy:
		      update_config: {order: start-first, failure_action: "${ACTION:-pause}", max_failure_ratio: "${RATIO:-0}", parallelism: "${WIDTH:-1}", delay: "${DELAY:-0s}"}
		volumes: {shared: }
	YAML
}

versions() {
	local n
	for n in 1 2; do
		"$WHERRY" inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "p-web-$n" | sed -n 's/^VERSION=//p'
	done
}

@test "start-first: pause, continue, a share of failures, delay, hooks" {
	one_is_bad
	VERSION=old c up -d --wait
	local action ratio width new n=0
	while read -r action ratio width new; do
		n=$((n + 1))
		ACTION=$action RATIO=$ratio WIDTH=$width VERSION=BAD$n run c up -d
		[ "$status" -eq 1 ]
		[ "$(versions | grep -c BAD$n)" -eq "$new" ] || fail "$action $ratio $width: $(versions)"
		[ "$("$WHERRY" ps -aq | wc -l)" -eq 2 ]
	done <<-'CASES'
		pause 0 1 0
		continue 0 0 1
		pause 0.5 0 1
		rollback 0.5 0 1
	CASES
	c exec -T web sh -c 'rm /shared/hooks'
	STOP=3 VERSION=new run c up -d # nothing has changed for who goes on
	[ "$status" -eq 1 ]
	[[ "$output" == *"web hook exited with status 3"* ]]
	[ "$(versions | grep -c new)" -eq 0 ]
	[ "$("$WHERRY" ps -aq | wc -l)" -eq 2 ]
	[ "$(c exec -T web cat /shared/hooks)" = "started
stopping" ]
	DELAY=1s VERSION=new c up -d
	[ "$(versions | grep -c new)" -eq 2 ]
	[ "$(c exec -T web sort /shared/hooks | uniq -c | tr -s ' ' | tr '\n' ';')" = " 3 started; 3 stopping;" ]
	"$WHERRY" inspect p-web-1 p-web-2 | python3 -c '
import datetime, json, sys
made = sorted(datetime.datetime.fromisoformat(c["Created"][:26].rstrip("Z")) for c in json.load(sys.stdin))
assert made[1] - made[0] >= datetime.timedelta(seconds=1), made'
	c exec -T web rm /shared/hooks
	c stop -t 0 web # what does not run has no hook
	c start web
	c down -t 0
	[ "$("$WHERRY" run --rm -v p_shared:/s bb sh -c 'sort /s/hooks | uniq -c' | tr -s ' ' | tr '\n' ';')" = " 2 started; 4 stopping;" ]
}

@test "a replacement whose pre_stop fails leaves the old one and nothing else" {
	cat >compose.yaml <<-'YAML'
		services: {a: {image: bb, init: true, command: sleep 1000, environment: {V: "${V}"}, pre_stop: [{command: [sh, -c, "exit ${STOP:-0}"]}]}}
	YAML
	V=1 c up -d
	a=$(id_of a-1)
	V=2 STOP=3 run c up -d -t 0
	[ "$status" -eq 1 ]
	[[ "$output" == *"a hook exited with status 3"* ]]
	[ "$("$WHERRY" ps -aq --no-trunc)" = "$a" ]
	# of one whose end nobody saw
	"$WHERRY" create --name "${a:0:12}_p-a-1" $(for l in project=p service=a container-number=1 oneoff=False config-hash=0; do
		echo "--label com.docker.compose.$l"; done) bb true
	V=2 c up -d -t 0
	[ "$("$WHERRY" ps -a --format '{{.Names}}')" = p-a-1 ]
	[ "$a" != "$(id_of a-1)" ]
}

# Kills `up` after its first change, after STEP more, and so on: BEFORE makes the state from which it starts; the next up completes it,
# and CHECK succeeds. (The planner's unit tests have every state.)
killed_everywhere() { # STEP BEFORE CHECK
	local n killed step=$1
	shift
	for n in $(seq 1 "$step" 60); do
		"$1"
		killed=0
		python3 "$ROOT/tests/integration/kill_relay.py" "$SOCK" "$n" "$WHERRY" compose --parallel 1 up -d -t 0 -y || killed=$?
		c up -d -t 0 -y >out 2>&1 || fail "killed at change $n: $(cat out)"
		"$2" || fail "killed at change $n: $("$WHERRY" ps -a)"
		c up -d >out 2>&1
		[ "$(grep -vc ' Running$' out)" -eq 0 ] || fail "killed at change $n, and still not done: $(cat out)"
		[ "$killed" -eq 0 ] || break # there were no more changes
	done
	[ "$n" -gt 3 ] && [ "$n" -lt 55 ]
}

two_services() {
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    image: bb
		    init: true
		    command: sleep 1000
		    environment: {V: "${V:-1}"}
		    volumes: ["data:/data"]
		    deploy: {update_config: {order: "${ORDER:-stop-first}", monitor: 1ms}}
		  b: {image: bb, init: true, command: sleep 1000, depends_on: [a]}
		networks: {default: {labels: {v: "${NET:-1}"}}}
		volumes: {data: {labels: {v: "${VOL:-1}"}}}
	YAML
}

nothing_there() {
	c down -v -t 0 >/dev/null 2>&1
}

# Up with what was, then what is to become.
older_there() {
	V=1 NET=1 VOL=1 c up -d -t 0 -y >/dev/null 2>&1
}

both_run() {
	[ "$("$WHERRY" ps --format '{{.Names}}' | sort | tr '\n' ' ')" = "p-a-1 p-b-1 " ] && [ "$("$WHERRY" ps -aq | wc -l)" -eq 2 ] &&
		c exec -T a test -d /data && [ "$(c exec -T a sh -c 'echo $V')" = "${V:-1}" ] && c exec -T b nslookup a 127.0.0.11 >/dev/null
}

@test "an up that is killed after a change is completed by the next: from nothing" {
	two_services
	killed_everywhere 2 nothing_there both_run
}

@test "an up that is killed after a change is completed by the next: a new container" {
	two_services
	export V=2
	killed_everywhere 2 older_there both_run
}

@test "an up that is killed after a change is completed by the next: start-first" {
	two_services
	export V=2 ORDER=start-first
	killed_everywhere 2 older_there both_run
}

@test "an up that is killed after a change is completed by the next: a new network and volume" {
	two_services
	export NET=2 VOL=2
	killed_everywhere 5 older_there both_run
}
