#!/usr/bin/env bats
# The API over TLS: certificates of users, their roles, real docker clients; what is refused, and what ends when it is taken away.
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
	# as the engine makes it for its own certificate
	mkdir -p "$DIR/data/tls"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$DIR/data/tls/ca.key" -out "$DIR/data/tls/ca.crt" -days 2 \
		-subj /CN=servers 2>/dev/null
	local who
	for who in alice:admin oscar:operate bob:read; do
		echo 'correct horse' | "$WHERRY" user add --role "${who#*:}" "${who%:*}"
		"$WHERRY" user cert "${who%:*}" --out "$DIR/certs/${who%:*}"
	done
	export PORT
	PORT=$(free_port)
	server_certificate
	remote_nginx
	export -n DOCKER_HOST WHERRY_HOST
}

teardown_file() {
	[ ! -s "$DIR/run/ingress/nginx.pid" ] || kill "$(cat "$DIR/run/ingress/nginx.pid")"
	daemon_teardown
}

server_certificate() {
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$DIR/server.key" -out "$DIR/server.csr" -subj /CN=x 2>/dev/null
	printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >"$DIR/server.ext"
	openssl x509 -req -in "$DIR/server.csr" -CA "$DIR/data/tls/ca.crt" -CAkey "$DIR/data/tls/ca.key" -set_serial 1 -days 2 -extfile "$DIR/server.ext" \
		-out "$DIR/server.crt" 2>/dev/null
}

remote_nginx() {
	local names line
	names=$("$WHERRY" user ls --format '{{.Name}}:{{.Certificates}}')
	cat >"$DIR/nginx.conf" <<-N
		user www-data; worker_processes 1; pid $DIR/run/ingress/nginx.pid; daemon on;
		load_module /usr/lib/nginx/modules/ngx_stream_module.so;
		events {}
		stream {
			map \$ssl_client_s_dn \$api {
				default "";
				$(for line in $names; do echo "CN=$line unix:$DIR/run/ingress/api/${line#*:}.sock;"; done)
			}
			server {
				listen 127.0.0.1:$PORT ssl; ssl_certificate $DIR/server.crt; ssl_certificate_key $DIR/server.key;
				ssl_verify_client on; ssl_client_certificate $DIR/data/tls/clients.crt;
				proxy_half_close on; proxy_timeout 24h; proxy_pass \$api;
			}
		}
	N
	chmod 711 "$DIR"
	nginx -p "$DIR" -c "$DIR/nginx.conf" -e "$DIR/nginx.log" 3>&-
}

tls() { # USER: flags for docker
	echo "-H tcp://127.0.0.1:$PORT --tlsverify --tlscacert $DIR/certs/$1/ca.pem --tlscert $DIR/certs/$1/cert.pem --tlskey $DIR/certs/$1/key.pem"
}

docker_as() { # USER, words
	$(docker_cli) $(tls "$1") "${@:2}"
}

as() { # USER METHOD PATH, more of curl: the answer
	local head=
	[ "$2" != HEAD ] || head=--head
	curl -s $head --cacert "$DIR/certs/$1/ca.pem" --cert "$DIR/certs/$1/cert.pem" --key "$DIR/certs/$1/key.pem" -X "$2" "https://127.0.0.1:$PORT/v1.45$3" "${@:4}"
}

status_as() {
	as "$@" -o /dev/null -w '%{http_code}'
}

@test "files are what docker takes, and the key is private" {
	[ "$(stat -c %a "$DIR/certs/alice/key.pem") $(stat -c %a "$DIR/certs/alice")" = "600 700" ]
	openssl verify -CAfile "$DIR/data/tls/clients.crt" "$DIR/certs/alice/cert.pem"
	openssl x509 -in "$DIR/certs/alice/cert.pem" -noout -ext extendedKeyUsage | grep -q 'TLS Web Client'
	[ "$(stat -c '%a %U' "$DIR/data/tls/clients.key")" = "600 root" ]
	[ "$(stat -c '%a %U %G' "$DIR/run/ingress/api")" = "750 root www-data" ]
	export DOCKER_CERT_PATH=$DIR/certs/alice DOCKER_TLS_VERIFY=1 DOCKER_HOST=tcp://127.0.0.1:$PORT
	$(docker_cli) ps
	"$WHERRY" ps
}

@test "docker runs, executes, copies, builds and follows" {
	local docker
	for docker in $(ls /usr/bin/docker /usr/local/bin/docker "$(docker_cli)" 2>/dev/null | sort -u); do
		d="$docker $(tls alice)"
		[ "$($d run --rm bb echo out)" = out ]
		run $d run --rm bb sh -c 'exit 7'
		[ "$status" = 7 ]
		$d run -d --name long bb sh -c 'echo first; while [ ! -e /go ]; do sleep 0.1; done; echo last'
		[ "$($d exec long sh -c 'echo one; echo two >&2' 2>&1 | sort | tr '\n' ' ')" = "one two " ]
		echo text >"$BATS_TEST_TMPDIR/file"
		$d cp "$BATS_TEST_TMPDIR/file" long:/tmp/file
		$d cp long:/tmp/file "$BATS_TEST_TMPDIR/back"
		cmp "$BATS_TEST_TMPDIR/file" "$BATS_TEST_TMPDIR/back"
		$d logs -f long >"$BATS_TEST_TMPDIR/logs" &
		$d exec long touch /go
		wait $!
		[ "$(tr '\n' ' ' <"$BATS_TEST_TMPDIR/logs")" = "first last " ]
		$d rm -f long
		mkdir -p "$BATS_TEST_TMPDIR/context"
		printf 'FROM bb\nRUN echo built >/it\n' >"$BATS_TEST_TMPDIR/context/Dockerfile"
		DOCKER_BUILDKIT=0 $d build -t remote-built "$BATS_TEST_TMPDIR/context"
		[ "$($d run --rm remote-built cat /it)" = built ]
		$d rmi remote-built
	done
}

@test "the end of the input loses no output" {
	docker_as alice run -d --name sink bb sleep 1000
	for i in $(seq 10); do
		[ "$(head -c 3000000 /dev/zero | docker_as alice exec -i sink sh -c 'wc -c; sleep 0.1; echo after')" = $'3000000\nafter' ]
		[ "$(echo "x$i" | docker_as alice run -i --rm bb cat)" = "x$i" ]
	done
	head -c 5000000 /dev/urandom >"$BATS_TEST_TMPDIR/bytes"
	docker_as alice exec -i sink cat <"$BATS_TEST_TMPDIR/bytes" | cmp - "$BATS_TEST_TMPDIR/bytes"
	docker_as alice rm -f sink
}

@test "terminals and attach work" {
	run expect -c "set timeout 60
		spawn -noecho $(docker_cli) $(tls alice) run -it --rm --name tty bb sh
		expect {# } ; send \"stty size; echo a\\\$((40+2))b\\r\" ; expect a42b ; send \"exit 3\\r\" ; expect eof
		catch wait result ; exit [lindex \$result 3]"
	[ "$status" = 3 ]
	docker_as alice run -d -i --name att bb head -n 1
	(echo typed) | docker_as alice attach att >"$BATS_TEST_TMPDIR/attached"
	[ "$(cat "$BATS_TEST_TMPDIR/attached")" = typed ]
	docker_as alice rm -f att
}

@test "docker compose works" {
	compose=$(docker_compose) || skip "docker compose is not here"
	printf 'services:\n  web:\n    image: bb\n    command: sleep 1000\n' >"$BATS_TEST_TMPDIR/compose.yaml"
	export DOCKER_CERT_PATH=$DIR/certs/alice DOCKER_TLS_VERIFY=1 DOCKER_HOST=tcp://127.0.0.1:$PORT
	"$compose" -p remote -f "$BATS_TEST_TMPDIR/compose.yaml" up -d
	[ "$("$compose" -p remote -f "$BATS_TEST_TMPDIR/compose.yaml" exec -T web echo inside)" = inside ]
	"$compose" -p remote -f "$BATS_TEST_TMPDIR/compose.yaml" down -t 0
}

@test "a role may what it may" {
	docker_as alice run -d --name app bb sleep 1000
	exec_id=$(as alice POST /containers/app/exec -H 'Content-Type: application/json' -d '{"Cmd":["true"]}' | jq -r .Id)
	# method and path, then what read, operate and admin are answered; ok: anything but a refusal
	while read -r method path read operate admin; do
		for who in bob:"$read" oscar:"$operate" alice:"$admin"; do
			got=$(status_as "${who%:*}" "$method" "$path" -H 'Content-Type: application/json')
			[ "${who#*:}" != ok ] || [ "$got" = 403 ] || [ "$got" = 000 ] || got=ok
			[ "$got" = "${who#*:}" ] || fail "$method $path as ${who%:*}: $got, not ${who#*:}"
		done
	done <<-E
GET /_ping ok ok ok
		GET /info ok ok ok
		GET /containers/json ok ok ok
		GET /containers/app/json ok ok ok
		GET /images/json ok ok ok
		GET /volumes ok ok ok
		GET /events?until=1 ok ok ok
		GET /containers/app/logs?stdout=1 403 ok ok
		GET /containers/app/top 403 ok ok
		GET /containers/app/top?ps_args=e 403 403 ok
		POST /containers/app/pause 403 ok ok
		POST /containers/app/unpause 403 ok ok
		POST /containers/app/attach?stdout=1&logs=1&stream=0 403 ok ok
		GET /exec/$exec_id/json 403 ok ok
		GET /containers/app/archive?path=/etc/passwd 403 403 ok
		HEAD /containers/app/archive?path=/etc/passwd 403 403 ok
		GET /containers/app/export 403 403 ok
		POST /containers/app/rename?name=app 403 403 ok
		POST /containers/app/update 403 403 ok
		POST /containers/app/exec 403 403 ok
		POST /exec/$exec_id/start 403 403 ok
		POST /containers/create 403 403 ok
		POST /containers/prune 403 403 ok
		POST /build 403 403 ok
		POST /commit?container=nothing 403 403 ok
		POST /images/create?fromImage=x.invalid/y 403 403 ok
		DELETE /images/nothing 403 403 ok
		DELETE /containers/nothing 403 403 ok
		POST /networks/create 403 403 ok
		POST /volumes/create 403 403 ok
		GET /wherry/v1/users 403 403 ok
		GET /wherry/v1/projects/nothing 403 403 ok
		POST /session 403 403 ok
		POST /grpc 403 403 ok
	E
	run as oscar POST /containers/app/exec
	[ "$output" = '{"message":"the role operate may not do this: POST /containers/{}/exec needs the role admin"}' ]
	run docker_as oscar exec app true
	[ "$status" = 1 ]
	[[ $output == *"Error response from daemon: the role operate may not do this"* ]]
	docker_as oscar restart -t 0 app
	docker_as bob ps | grep -q app
	docker_as alice rm -f app
	grep -q 'remote_request_refused user=oscar method=POST' "$DIR/daemon.log"
}

@test "environments and passwords are for admins" {
	docker_as alice volume create --opt type=cifs --opt device=//s/x --opt o=username=u,password=topsecret share
	docker_as alice create --name secret -e KEY=topsecret -l plain=label bb true
	for who in bob oscar; do
		for path in /containers/secret/json '/containers/json?all=1' /volumes /volumes/share /system/df "/events?since=1&until=$(date +%s.%N)"; do
			as "$who" GET "$path" >"$BATS_TEST_TMPDIR/answer"
			[ -s "$BATS_TEST_TMPDIR/answer" ]
			! grep -q topsecret "$BATS_TEST_TMPDIR/answer"
		done
		[ "$(as "$who" GET /containers/secret/json | jq -r '.Config.Env[0], .Config.Labels.plain')" = $'KEY=***\nlabel' ]
	done
	[ "$(as alice GET /containers/secret/json | jq -r '.Config.Env[0]')" = KEY=topsecret ]
	docker_as alice rm secret
	docker_as alice volume rm share
}

# Closed in the handshake, or at once behind it.
refused() { # curl's flags
	! curl -s --cacert "$DIR/certs/alice/ca.pem" "$@" "https://127.0.0.1:$PORT/_ping"
}

@test "who has no good certificate is refused" {
	cd "$BATS_TEST_TMPDIR"
	name=$(openssl x509 -in "$DIR/certs/alice/cert.pem" -noout -subject -nameopt RFC2253 | sed 's/subject=CN=//')
	key() { openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$name" 2>/dev/null; }
	key stranger && openssl x509 -req -in stranger.csr -signkey stranger.key -days 2 -out stranger.crt 2>/dev/null
	# of the authority for websites, which is not that of people
	key server && openssl x509 -req -in server.csr -CA "$DIR/data/tls/ca.crt" -CAkey "$DIR/data/tls/ca.key" -set_serial 2 -days 2 -out server.crt 2>/dev/null
	key expired && openssl x509 -req -in expired.csr -CA "$DIR/data/tls/clients.crt" -CAkey "$DIR/data/tls/clients.key" -set_serial 3 -days -1 -out expired.crt 2>/dev/null
	name=alice key noid && openssl x509 -req -in noid.csr -CA "$DIR/data/tls/clients.crt" -CAkey "$DIR/data/tls/clients.key" -set_serial 4 -days 2 -out noid.crt 2>/dev/null
	refused
	for one in stranger server expired noid; do
		[ -s $one.crt ]
		refused --cert $one.crt --key $one.key
	done
	! refused --cert "$DIR/certs/alice/cert.pem" --key "$DIR/certs/alice/key.pem"
}

# php or another web server of the machine, and containers of this uid, are www-data as well.
@test "the sockets take connections of nginx alone" {
	id=$("$WHERRY" -H "unix://$SOCK" user ls --format '{{.Certificates}}' | head -n 1)
	chmod 755 "$DIR" "$DIR/run" "$DIR/run/ingress"
	run setpriv --reuid www-data --regid www-data --clear-groups curl -s --unix-socket "$DIR/run/ingress/api/$id.sock" http://d/_ping
	[ "$status" != 0 ]
	[ -z "$output" ]
	grep -q "not_nginx.*uid=$(id -u www-data)" "$DIR/daemon.log"
	run setpriv --reuid nobody --regid nogroup --clear-groups curl -s --unix-socket "$DIR/run/ingress/api/$id.sock" http://d/_ping
	[ "$status" = 7 ]
}

@test "what is taken away ends at once, and comes back to nobody" {
	echo 'correct horse' | "$WHERRY" -H "unix://$SOCK" user add --role admin gone
	first=$("$WHERRY" -H "unix://$SOCK" user cert gone --out "$DIR/certs/gone")
	second=$("$WHERRY" -H "unix://$SOCK" user cert gone --out "$DIR/certs/gone2")
	local socket=$DIR/run/ingress/api
	[ -S "$socket/$first.sock" ] && [ -S "$socket/$second.sock" ]
	curl -sN --unix-socket "$socket/$first.sock" http://d/events >"$BATS_TEST_TMPDIR/first" &
	one=$!
	curl -sN --unix-socket "$socket/$second.sock" http://d/events >"$BATS_TEST_TMPDIR/second" &
	two=$!
	connected() { [ "$(ss -Hxp | grep -c "$socket/$1.sock")" -ge 1 ]; }
	eventually 10 connected "$first"
	eventually 10 connected "$second"
	"$WHERRY" -H "unix://$SOCK" user cert gone --revoke "$first"
	wait $one || true # it ends, whatever curl calls that
	[ ! -e "$socket/$first.sock" ]
	kill -0 $two
	"$WHERRY" -H "unix://$SOCK" user update --role read gone
	wait $two || true
	[ "$(curl -s -X POST --unix-socket "$socket/$second.sock" http://d/containers/prune -o /dev/null -w '%{http_code}')" = 403 ]
	"$WHERRY" -H "unix://$SOCK" user update --disable gone
	[ ! -e "$socket/$second.sock" ]
	"$WHERRY" -H "unix://$SOCK" user update --enable gone
	[ -S "$socket/$second.sock" ]
	daemon_signal KILL
	daemon_start
	[ -S "$socket/$second.sock" ]
	"$WHERRY" -H "unix://$SOCK" user rm gone
	[ ! -e "$socket/$second.sock" ]
	echo 'correct horse' | "$WHERRY" -H "unix://$SOCK" user add --role admin gone
	[ ! -e "$socket/$second.sock" ]
	# nginx still knows the others, and the daemon that was killed has opened their sockets again
	docker_as alice ps
}
