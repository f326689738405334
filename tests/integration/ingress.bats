# The front door: nginx serves what labels ask for, and goes on whatever happens.
#
# On 127.0.0.1 and ports of its own. Routes are of tls=off, but for tls.bats' own.

source "$BATS_TEST_DIRNAME/lib.bash"

setup_file() {
	daemon_setup
	chmod 711 "$DIR" # nginx's workers are www-data
	busybox_image
	export HTTP HTTPS
	HTTP=$(free_port)
	HTTPS=$(free_port)
	ingress ''
}

teardown_file() {
	[ ! -f "$DIR/other.pid" ] || kill "$(cat "$DIR/other.pid")" 2>/dev/null || true
	[ ! -f "$DIR/load.pid" ] || kill -KILL "$(cat "$DIR/load.pid")" 2>/dev/null || true
	"$WHERRY" ps -aq 2>/dev/null | xargs -r "$WHERRY" rm -f >/dev/null 2>&1 || true
	[ ! -f "$DIR/run/ingress/nginx.pid" ] || eventually 10 nginx_is_gone || kill "$(cat "$DIR/run/ingress/nginx.pid")" || true
	daemon_teardown
}

setup() {
	skip_if_all
}

# What a failed test has left must not fail the next ones.
teardown() {
	local ids
	ids=$("$WHERRY" ps -aq)
	[ -z "$ids" ] || "$WHERRY" rm -f $ids >/dev/null
}

ingress() { # MEMBERS-OF-INGRESS: read by the daemon
	local n
	n=$(grep -c configuration_reloaded "$DIR/daemon.log" || true)
	echo "{\"ingress\": {\"name\": \"box\", \"http-port\": $HTTP, \"https-port\": $HTTPS, \"addresses\": [\"127.0.0.1\"]${1:+, $1}}}" >"$DIR/daemon.json"
	kill -HUP "$(cat "$DIR/daemon.pid")"
	eventually 20 reloaded_more_than "$n"
}

reloaded_more_than() {
	[ "$(grep -c configuration_reloaded "$DIR/daemon.log")" -gt "$1" ]
}

get() { # HOST [PATH]: STATUS, then the body
	curl -s -m 5 -w '\n%{http_code}' -H "Host: $1" "http://127.0.0.1:$HTTP${2:-/}" | tac | sed '1s/$/ /' | tr -d '\n'
}

says() { # HOST STATUS PATTERN
	[[ $(get "$1") == "$2 "*$3* ]]
}

app() { # NAME TEXT [OPTIONS]: a web server
	"$WHERRY" run -d --name "$1" --label "wherry.http.tls=off" --label wherry.http.port=80 "${@:3}" bb \
		sh -c "mkdir -p /w; echo '$2' >/w/index.html; exec httpd -f -h /w" >/dev/null
}

nginx_pid() {
	cat "$DIR/run/ingress/nginx.pid"
}

nginx_is_gone() {
	! pgrep -f "nginx: master process .*$DIR/data" >/dev/null
}

doc() {
	curl -sf --unix-socket "$SOCK" http://d/wherry/v1/ingress
}

served() { # JQ-CONDITION on the document
	doc | jq -e "$1"
}

status_has() { # CONTAINER TEXT
	[[ $("$WHERRY" ps -a --filter "name=^$1\$" --format '{{.Status}}') == *"$2"* ]]
}

@test "the job: what fails leaves the last good one, what was killed comes back" {
	run python3 "$BATS_TEST_DIRNAME/ingress_job.py" "$BUILD/src/worker/wherry-worker" "$DIR/job"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(grep -c '^ok ' <<<"$output")" -eq 15 ]
}

@test "without a route nothing runs; with the first one nginx starts, with the last it ends" {
	nginx_is_gone
	app web hello --label wherry.http.host=web
	eventually 10 says web.box.local 200 hello
	says nobody.box.local 404 'nobody.box.local'
	[ "$("$WHERRY" ingress ls --format '{{.URL}} {{.Container}} {{.State}}{{.Error}}')" = "http://web.box.local:$HTTP/ web serving" ]
	[ "$(stat -c %a "$DIR/data/ingress/conf")" = 700 ]
	"$WHERRY" rm -f web
	eventually 10 nginx_is_gone
	served '.Pid == 0 and .Routes == []'
}

@test "what does not run has a page: stopped, starting, unhealthy, and just replaced" {
	app web hello --label wherry.http.host=web --label com.docker.compose.project=p --label com.docker.compose.service=web \
		--health-cmd 'test ! -f /tmp/ill' --health-interval 200ms --health-retries 1
	eventually 10 says web.box.local 200 hello
	"$WHERRY" exec web touch /tmp/ill
	eventually 10 says web.box.local 503 Starting
	curl -s -D - -o /dev/null -H 'Host: web.box.local' "http://127.0.0.1:$HTTP/" | grep -i '^retry-after:'
	"$WHERRY" exec web rm /tmp/ill
	eventually 10 says web.box.local 200 hello
	"$WHERRY" pause web
	eventually 10 says web.box.local 503 Starting
	"$WHERRY" unpause web
	eventually 10 says web.box.local 200 hello
	"$WHERRY" stop -t 0 web
	eventually 10 says web.box.local 503 'Not running'
	"$WHERRY" rm web
	eventually 10 says web.box.local 503 Starting # compose makes the next one now
	app web again --label wherry.http.host=web --label com.docker.compose.project=p --label com.docker.compose.service=web
	eventually 10 says web.box.local 200 again
}

@test "the second who asks for a host is told so: ps, inspect, events, ingress ls; and gets it when it is free" {
	app one first --label wherry.http.host=shop
	eventually 10 says shop.box.local 200 first
	app two second --label wherry.http.host=shop
	eventually 10 status_has two '(route error: shop.box.local/ is already the route of container one)'
	[ "$("$WHERRY" inspect -f '{{.State.WherryRouteError}}' two)" = 'shop.box.local/ is already the route of container one' ]
	"$WHERRY" events --since 10m --until 0s --filter container=two --filter event=route_error | grep 'already the route'
	"$WHERRY" ingress ls | grep -E 'two .*refused .*already the route'
	says shop.box.local 200 first
	"$WHERRY" rm -f one
	eventually 10 says shop.box.local 200 second
	! status_has two 'route error'
	"$WHERRY" events --since 10m --until 0s --filter container=two --filter event=route | grep -w route
}

@test "an image's own labels open nothing; a label that is wrong is refused with its name" {
	printf 'FROM bb\nLABEL wherry.http.host=evil wherry.http.tls=off\n' >"$DIR/Dockerfile"
	"$WHERRY" build -q -t labelled -f "$DIR/Dockerfile" "$DIR/docker-config" >/dev/null
	"$WHERRY" run -d --name quiet labelled sleep 1000
	app web hello --label wherry.http.host=web
	eventually 10 says web.box.local 200 hello
	served '.Routes | map(.Host) == ["web.box.local"]'
	run "$WHERRY" create --label wherry.http.hots=x bb true
	[ "$status" -ne 0 ]
	[[ $output == *wherry.http.hots* ]]
}

@test "addresses: the host's network, another's network, and one that is not reached" {
	local port
	port=$(free_port)
	"$WHERRY" run -d --name host --network host --label wherry.http.tls=off --label wherry.http.host=host \
		--label "wherry.http.port=$port" bb sh -c "mkdir /w; echo ofhost >/w/index.html; exec httpd -f -p 127.0.0.1:$port -h /w"
	app base base --label wherry.http.host=base
	"$WHERRY" run -d --name guest --network container:base --label wherry.http.tls=off --label wherry.http.host=guest \
		--label wherry.http.port=81 bb sh -c 'mkdir /w; echo ofguest >/w/index.html; exec httpd -f -p 81 -h /w'
	"$WHERRY" run -d --name alone --network none --label wherry.http.host=alone bb sleep 1000
	eventually 10 says host.box.local 200 ofhost
	eventually 10 says guest.box.local 200 ofguest
	eventually 10 status_has alone '(route error: container alone is on no network that this host reaches'
}

@test "files of a volume are served, and a link does not lead out" {
	"$WHERRY" run --rm -v "files$TAG:/data" bb sh -c 'mkdir -p /data/pub; echo inside >/data/pub/index.html; ln -s /etc/hostname /data/pub/out'
	"$WHERRY" run -d --name files -v "files$TAG:/data" --label wherry.http.tls=off --label wherry.http.host=files \
		--label "wherry.http.root=files$TAG/pub" bb sleep 1000
	eventually 10 says files.box.local 200 inside
	[[ $(get files.box.local /out) == 40[34]* ]]
	"$WHERRY" rm -f files
	eventually 10 nginx_is_gone
	"$WHERRY" volume rm "files$TAG"
}

@test "nginx is killed: it comes back, and containers do not notice" {
	app web hello --label wherry.http.host=web
	eventually 10 says web.box.local 200 hello
	local before started
	started=$("$WHERRY" inspect -f '{{.State.StartedAt}}' web)
	before=$(nginx_pid)
	kill -KILL "$before"
	eventually 10 served ".Pid != $before and .Pid > 0"
	eventually 10 says web.box.local 200 hello
	before=$(pgrep -P "$(nginx_pid)" | head -1)
	kill -KILL "$before"
	eventually 10 process_ended "$before"
	eventually 10 says web.box.local 200 hello
	[ "$("$WHERRY" inspect -f '{{.State.StartedAt}}' web)" = "$started" ]
}

@test "a daemon that is killed finds nginx again and changes nothing" {
	app web hello --label wherry.http.host=web
	eventually 10 says web.box.local 200 hello
	local before generation
	before=$(nginx_pid)
	generation=$(doc | jq .Generation)
	app late later --label wherry.http.host=late & # it is killed while that is done
	daemon_signal KILL
	wait
	says web.box.local 200 hello
	daemon_start
	eventually 10 served ".Pid == $before and .Generation > 0"
	says web.box.local 200 hello
	"$WHERRY" rm -f late >/dev/null 2>&1 || true
	eventually 10 served ".Generation == $generation"
	[ "$(nginx_pid)" = "$before" ]
}

@test "a configuration that nginx does not take is named, and the last good one stays" {
	app web hello --label wherry.http.host=web
	eventually 10 says web.box.local 200 hello
	ingress '"api-port": 0, "trusted-proxies": ["10.0.0.0/8"]'
	eventually 10 says web.box.local 200 hello
	sed -i 's/"127.0.0.1"/"127.0.0.1", "192.0.2.77"/' "$DIR/daemon.json" # an address that this host has not
	kill -HUP "$(cat "$DIR/daemon.pid")"
	eventually 10 status_has web '(route error: nginx: bind() to 192.0.2.77:'
	says web.box.local 200 hello
	ingress ''
	eventually 10 served '.Error == null'
	! status_has web 'route error'
}

@test "a port that another process has is named with it, everything else works, and it is taken when it is free" {
	app web hello --label wherry.http.host=web --label "wherry.stream.raw=listen=$(free_port),port=80"
	local stream taken
	stream=$(doc | jq '.Streams[0].Listen')
	eventually 10 says web.box.local 200 hello
	taken=$(free_port)
	python3 -c "
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', $taken))
s.listen()
open('$DIR/other.ready', 'w').close()
time.sleep(1000)" 3>&- &
	echo $! >"$DIR/other.pid"
	eventually 10 test -f "$DIR/other.ready"
	sed -i "s/\"http-port\": $HTTP/\"http-port\": $taken/" "$DIR/daemon.json"
	kill -HUP "$(cat "$DIR/daemon.pid")"
	eventually 10 status_has web "(route error: port $taken is taken by python3"
	[[ $(doc | jq -r .Error) == *"(pid $(cat "$DIR/other.pid"))" ]]
	eventually 10 curl -sf "http://127.0.0.1:$stream/" # what is not taken
	kill "$(cat "$DIR/other.pid")"
	eventually 20 curl -sf -H 'Host: web.box.local' "http://127.0.0.1:$taken/"
	eventually 10 served '.Error == null'
	ingress ''
	eventually 10 says web.box.local 200 hello
}

@test "a container that publishes the port of the ingress, and the other way round" {
	app web hello --label wherry.http.host=web
	eventually 10 says web.box.local 200 hello
	run "$WHERRY" run -d --name greedy -p "127.0.0.1:$HTTP:80" bb sleep 1000
	[ "$status" -ne 0 ]
	[[ $output == *"port is already allocated: it is in use by the ingress"* ]]
	"$WHERRY" rm -f greedy web
	eventually 10 nginx_is_gone
	"$WHERRY" run -d --name greedy -p "127.0.0.1:$HTTP:80" bb sleep 1000
	app web hello --label wherry.http.host=web
	eventually 10 status_has web "(route error: port $HTTP is taken by container greedy)"
	"$WHERRY" rm -f greedy
	eventually 20 says web.box.local 200 hello
}

@test "no request is lost while a service is replaced and routes come and go" {
	local old new i
	app v0 0 --label wherry.http.host=web --label com.docker.compose.project=p --label com.docker.compose.service=web
	eventually 10 says web.box.local 200 0
	python3 "$BATS_TEST_DIRNAME/ingress_load.py" "$HTTP" web.box.local >"$DIR/load" 3>&- &
	echo $! >"$DIR/load.pid"
	eventually 20 grep -q READY "$DIR/load"
	for i in $(seq "${CHANGES:-5}"); do # two changes each
		old=$("$WHERRY" inspect -f '{{.Id}}' "v$((i - 1))")
		app "v$i" "$i" --label wherry.http.host=web --label com.docker.compose.project=p --label com.docker.compose.service=web \
			--label "wherry.replaces=$old"
		app "more$i" more --label "wherry.http.host=more$i"
		eventually 10 "$WHERRY" exec "v$i" wget -q -O /dev/null http://127.0.0.1/
		new=$("$WHERRY" inspect -f '{{.Id}}' "v$i")
		[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$SOCK" -X POST "http://d/wherry/v1/containers/$new/takeover?from=$old")" = 204 ]
		says web.box.local 200 "$i" # at once
		eventually 10 idle "$old"
		"$WHERRY" rm -f "v$((i - 1))" >/dev/null
		[ "$((i % 2))" = 0 ] || "$WHERRY" rm -f "more$i" >/dev/null
	done
	kill "$(cat "$DIR/load.pid")"
	wait "$(cat "$DIR/load.pid")"
	rm "$DIR/load.pid"
	cat "$DIR/load"
	tail -1 "$DIR/load" | jq -e '.failed == [] and .ok > 100'
}

idle() { # CONTAINER: has no connection any more
	curl -s --unix-socket "$SOCK" "http://d/wherry/v1/containers/$1/sockets" | jq -e '.Connections == 0'
}

@test "ingress: files of a volume are served from where they are" {
	"$WHERRY" volume create site$TAG
	"$WHERRY" run --rm -v site$TAG:/srv bb sh -c 'mkdir /srv/sub; echo below >/srv/sub/index.html; ln -s /etc/passwd /srv/sub/out; chmod -R a+rX /srv'
	"$WHERRY" run -d --name files --label wherry.http.tls=off --label wherry.http.root=/srv/sub -v site$TAG:/srv bb sleep 1000
	eventually 20 says files.box.local 200 below
	[[ $(get files.box.local /out) == 403* ]]
	"$WHERRY" rm -f files
	"$WHERRY" volume rm site$TAG
}

counted() { # LINE of /metrics
	curl -sf --unix-socket "$SOCK" http://d/metrics | grep -qxF "$1"
}

all_are_counted() {
	counted 'wherry_ingress_request_duration_seconds_count{route="counted"} '"$(cat "$DIR"/data/ingress/log/counted.box.local.log* | grep -c ' counted ')"
}

@test "requests are counted by route, since the daemon began, also in logs that were turned" {
	app counted hello
	eventually 10 says counted.box.local 200 hello
	get counted.box.local /none >/dev/null
	get counted.box.local /none >/dev/null
	eventually 20 counted 'wherry_ingress_requests_total{route="counted",code="4xx"} 2'
	# as the daemon turns it; nginx writes on into the same file
	mv "$DIR/data/ingress/log/counted.box.local.log" "$DIR/data/ingress/log/counted.box.local.log.1"
	get counted.box.local /none >/dev/null
	eventually 20 counted 'wherry_ingress_requests_total{route="counted",code="4xx"} 3'
	eventually 20 all_are_counted
	# another daemon begins at nothing, and counts on
	daemon_signal KILL
	daemon_start
	get counted.box.local /none >/dev/null
	eventually 20 counted 'wherry_ingress_requests_total{route="counted",code="4xx"} 1'
}

@test "the remote API answers as soon as there is a certificate, and nobody any more when it is taken away" {
	local port certs=$DIR/remote
	port=$(free_port)
	ingress "\"api-port\": $port"
	echo 'correct horse' | "$WHERRY" user add --role admin ann
	"$WHERRY" user cert ann --out "$certs"
	remote() {
		"$WHERRY" -H "tcp://127.0.0.1:$port" --tlsverify --tlscacert "$certs/ca.pem" --tlscert "$certs/cert.pem" --tlskey "$certs/key.pem" "$@"
	}
	remote run -d --name afar bb sleep 1000
	[ "$(remote exec -i afar sh -c 'cat; echo end' <<<in)" = "$(printf 'in\nend')" ]
	"$WHERRY" user rm ann
	run remote ps
	[ "$status" -ne 0 ]
	"$WHERRY" rm -f afar
	eventually 10 nginx_is_gone
	ingress ''
}

@test "a sign-in stands before an app, and what is behind it is told who came" {
	local jar=$DIR/jar form
	echo 'correct horse' | "$WHERRY" user add --role read bob
	app locked inside --label wherry.http.auth=login --label wherry.http.tls=terminate
	eventually 10 served '.Routes[] | select(.Host == "locked.box.local" and .State == "serving")'
	"$WHERRY" ingress ca >"$DIR/ca.pem"
	door() { # ARGUMENTS of curl for the host
		curl -s -m 10 --cacert "$DIR/ca.pem" -b "$jar" -c "$jar" -H 'Accept: text/html' --resolve "locked.box.local:$HTTPS:127.0.0.1" \
			--resolve "box.local:$HTTPS:127.0.0.1" "$@"
	}
	answers() { [ "$(door -o /dev/null -w '%{http_code}' "https://locked.box.local:$HTTPS/")" = "$1" ]; }
	eventually 10 answers 303
	door -L -o "$DIR/page" "https://locked.box.local:$HTTPS/"
	field() { sed -n "s/.*name=\"$1\" value=\"\([^\"]*\)\".*/\1/p" "$DIR/page"; }
	form=$(field form)
	[ "$(door -o /dev/null -w '%{http_code}' -d "user=bob&password=wrong&form=$form" --data-urlencode "next=$(field next)" "https://box.local:$HTTPS/.wherry/login")" != 303 ]
	door -L -o "$DIR/page" "https://locked.box.local:$HTTPS/"
	[[ $(door -L -d "user=bob" --data-urlencode 'password=correct horse' -d "form=$(field form)" --data-urlencode "next=$(field next)" \
		"https://box.local:$HTTPS/.wherry/login") == *inside* ]]
	[ "$(door "https://locked.box.local:$HTTPS/")" = inside ]
	"$WHERRY" user rm bob
	answers 303
}
