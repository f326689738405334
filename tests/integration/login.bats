#!/usr/bin/env bats
# Users, sessions, the sign-in pages, the second factor, waits; roles on the API and certificates for it.
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
	printf 'correct horse\n' | "$WHERRY" user add --role admin alice
	printf 'battery staple\n' | "$WHERRY" user add bob
}

teardown_file() {
	[ ! -s "$DIR/run/ingress/nginx.pid" ] || kill "$(cat "$DIR/run/ingress/nginx.pid")"
	[ ! -s "$DIR/app.pid" ] || kill "$(cat "$DIR/app.pid")"
	daemon_teardown
}

# As nginx asks for a client at 198.51.100.$FROM (default 7) of app.box.local.
door() { # PATH, more of curl
	local host=${HOST:-app.box.local}
	curl -s --unix-socket "$DIR/run/ingress/door.sock" -H "Host: $host" -H "X-Wherry-Host: ${host%:*}" \
		-H "X-Real-IP: 198.51.100.${FROM:-7}" "http://door$1" "${@:2}"
}

# Cookies by hand: curl keeps Secure ones from http.
cookie_of() { # NAME, headers on stdin
	sed -n "s/^Set-Cookie: $1=\([^;]*\);.*/\1/p" | tr -d '\r'
}

form_token() {
	door /.wherry/login -D - -o /dev/null | cookie_of __Host-wherry-form
}

# Head and body of a sign-in.
sign_in() { # USER PASSWORD, more of curl
	local form
	form=$(form_token)
	door /.wherry/login -i -H "Cookie: __Host-wherry-form=$form" -H "Origin: https://${HOST:-app.box.local}" \
		--data-urlencode "form=$form" --data-urlencode "user=$1" --data-urlencode "password=$2" --data-urlencode "next=${NEXT:-/}" "${@:3}"
}

session() { # USER PASSWORD
	sign_in "$@" | cookie_of __Host-wherry
}

verify() { # TOKEN, more of curl; the status
	door /.wherry/verify -o /dev/null -w '%{http_code}' -H "Cookie: a=1; __Host-wherry=$1" ${ALLOW:+-H "X-Wherry-Allow: $ALLOW"} "${@:2}"
}

@test "a right password opens the host it was given for, with identity" {
	token=$(session alice 'correct horse')
	[ ${#token} = 64 ]
	run door /.wherry/verify -i -H "Cookie: __Host-wherry=$token"
	[[ $output == *"200 OK"*"Remote-User: alice"*"Remote-Groups: admin,operate,read"* ]]
	[ "$(HOST=other.box.local verify "$token")" = 401 ]
	[ "$(verify "${token/[0-9]/a}x")" = 401 ]
	[ "$(door /.wherry/verify -o /dev/null -w '%{http_code}')" = 401 ]
	[ "$(verify "$token; __Host-wherry=$token")" = 401 ]
}

@test "cookies are the host's own, and pages load and frame nothing" {
	run sign_in alice 'correct horse'
	[[ $output == *"303 See Other"* ]]
	[[ $output == *"Set-Cookie: __Host-wherry="*"; Path=/; Max-Age="*"; Secure; HttpOnly; SameSite=Lax"* ]]
	[[ $output == *"Cache-Control: no-store"* ]]
	run door /.wherry/login -i
	[[ $output == *"default-src 'none'"*"frame-ancestors 'none'"* ]]
	[[ $output == *'<label for="user">'*'autocomplete="current-password"'* ]]
	[[ $output != *"<script"* && $output != *"src="* ]]
}

@test "names and roles that may enter are read from the route" {
	alice=$(session alice 'correct horse')
	bob=$(session bob 'battery staple')
	[ "$(ALLOW=alice verify "$alice")" = 200 ]
	[ "$(ALLOW=alice verify "$bob")" = 403 ]
	[ "$(ALLOW=@admin verify "$bob")" = 403 ]
	[ "$(ALLOW=@operate verify "$alice")" = 200 ]
	[ "$(ALLOW=x,@read verify "$bob")" = 200 ]
	[ "$(ALLOW=alicex,ali,@admi verify "$alice")" = 403 ]
}

@test "afterwards the browser goes where it wanted, never to another host" {
	NEXT='/a?x=1&y=%2F' run sign_in alice 'correct horse'
	[[ $output == *$'Location: /a?x=1&y=%2F\r'* ]]
	for NEXT in //evil.example 'https://evil.example' '/\evil' $'/\tx' $'/a\r\nSet-Cookie: x=y' ''; do
		export NEXT
		run sign_in alice 'correct horse'
		[[ $output == *$'Location: /\r'* ]]
		[[ $output != *"Set-Cookie: x=y"* ]]
	done
	run door '/.wherry/login?next=/a?x=1&y=2'
	[[ $output == *'name="next" value="/a?x=1&amp;y=2"'* ]]
	run door '/.wherry/login?next=//evil.example'
	[[ $output == *'name="next" value="/"'* ]]
	run door '/.wherry/login?next=/"><script>alert(1)</script>'
	[[ $output != *"<script"* ]]
}

@test "a form of another site, or without its cookie, signs nobody in" {
	form=$(form_token)
	fields=(--data-urlencode "user=alice" --data-urlencode "password=correct horse" --data-urlencode "form=$form")
	for refused in "Origin: https://evil.box.local" "Origin: null" "Origin: http://app.box.local" "Sec-Fetch-Site: same-site" \
		"Sec-Fetch-Site: cross-site"; do
		run door /.wherry/login -i -H "Cookie: __Host-wherry-form=$form" -H "$refused" "${fields[@]}"
		[[ $output == *"403 Forbidden"* && $output != *"__Host-wherry="* ]]
	done
	for cookie in "a=b" "__Host-wherry-form=" "__Host-wherry-form=${form/?/x}" "__Host-wherry-form=$form; __Host-wherry-form=$form"; do
		run door /.wherry/login -i -H "Cookie: $cookie" "${fields[@]}"
		[[ $output == *"403 Forbidden"* && $output != *"__Host-wherry="* ]]
	done
	run door /.wherry/login -i -H "Cookie: __Host-wherry-form=$form" -H 'Content-Type: text/plain' "${fields[@]}"
	[[ $output == *" 415 "* ]]
	run door /.wherry/login -i -H "Cookie: __Host-wherry-form=$form" -H 'Expect:' --data-binary @<(head -c 100000 /dev/zero | tr '\0' a)
	[[ $output == *" 400 "* ]]
}

@test "a sign-in ends the session that was sent, and makes another" {
	old=$(session alice 'correct horse')
	form=$(form_token)
	new=$(door /.wherry/login -i -H "Cookie: __Host-wherry=$old; __Host-wherry-form=$form" --data-urlencode "form=$form" \
		--data-urlencode "user=alice" --data-urlencode "password=correct horse" | cookie_of __Host-wherry)
	[ "$new" != "$old" ]
	[ "$(verify "$old")" = 401 ]
	[ "$(verify "$new")" = 200 ]
	chosen=$(printf 'a%.0s' $(seq 64))
	[ "$(verify "$chosen")" = 401 ]
}

@test "signing out needs the form, and ends the session" {
	token=$(session alice 'correct horse')
	form=$(form_token)
	both="Cookie: __Host-wherry=$token; __Host-wherry-form=$form"
	run door /.wherry/logout -H "$both"
	[[ $output == *"<strong>alice</strong>"* ]]
	door /.wherry/logout -H "$both" -H 'Origin: https://evil.box.local' -d "form=$form" >/dev/null
	door /.wherry/logout -H "$both" -d "form=x" >/dev/null
	[ "$(verify "$token")" = 200 ]
	run door /.wherry/logout -i -H "$both" -d "form=$form"
	[[ $output == *"__Host-wherry=; Path=/; Max-Age=0"* ]]
	[ "$(verify "$token")" = 401 ]
}

@test "a wrong password, a wrong name and a disabled user are answered alike" {
	"$WHERRY" user update --disable bob
	FROM=20 sign_in alice wrong >"$BATS_TEST_TMPDIR/password"
	FROM=21 sign_in nobody wrong >"$BATS_TEST_TMPDIR/name"
	FROM=22 sign_in bob 'battery staple' >"$BATS_TEST_TMPDIR/disabled"
	"$WHERRY" user update --enable bob
	grep -q ' 403 ' "$BATS_TEST_TMPDIR/password"
	alike() {
		sed -E 's/[0-9a-f]{64}/TOKEN/g; s/value="(alice|nobody|bob)"/value="X"/; /^Content-Length/d' "$BATS_TEST_TMPDIR/$1"
	}
	[ "$(alike password)" = "$(alike name)" ]
	[ "$(alike password)" = "$(alike disabled)" ]
}

# Twenty attempts of one address take a quarter of an hour: on the slowest machine one of them is told to wait.
@test "many failures have to wait, and only they" {
	for _ in $(seq 20); do
		FROM=30 sign_in "" wrong
	done >"$BATS_TEST_TMPDIR/answers"
	grep -q ' 429 Too Many Requests' "$BATS_TEST_TMPDIR/answers"
	grep -q '^Retry-After: [1-9]' "$BATS_TEST_TMPDIR/answers"
	FROM=31 run sign_in alice 'correct horse'
	[[ $output == *" 303 "* ]]
}

@test "sessions end with a new password, with the user, and by the command; not with the daemon" {
	printf 'first password\n' | "$WHERRY" user add carol
	one=$(session carol 'first password')
	daemon_signal KILL
	daemon_start
	[ "$(verify "$one")" = 200 ]
	printf 'second password\n' | "$WHERRY" user passwd carol
	[ "$(verify "$one")" = 401 ]
	two=$(session carol 'second password')
	api DELETE /wherry/v1/users/carol/sessions
	[ "$(verify "$two")" = 401 ]
	two=$(session carol 'second password')
	[ "$(verify "$two")" = 200 ]
	"$WHERRY" user rm carol
	[ "$(verify "$two")" = 401 ]
	run "$WHERRY" user rm carol
	[ "$status" = 1 ]
	[[ $output == *"no such user: carol"* ]]
}

@test "neither store nor log has a password, a token or a hash in the clear" {
	token=$(session alice 'correct horse')
	! grep -q "$token" "$DIR"/data/wherry.db*
	! grep -q 'correct horse' "$DIR"/data/wherry.db* "$DIR/daemon.log"
	! grep -q "$token" "$DIR/daemon.log"
	! grep -q 'argon2id' "$DIR/daemon.log"
	[ "$(stat -c %a "$DIR/data/wherry.db")" = 600 ]
	[ "$(stat -c '%a %G' "$DIR/run/ingress/door.sock")" = "660 www-data" ]
}

# RFC 6238 by another implementation.
totp() { # SECRET STEPS
	python3 -c '
import base64, hmac, struct, sys, time
step = int(time.time()) // 30 + int(sys.argv[2])
mac = hmac.new(base64.b32decode(sys.argv[1]), struct.pack(">Q", step), "sha1").digest()
at = mac[19] & 15
print("%06d" % ((struct.unpack(">I", mac[at:at + 4])[0] & 0x7fffffff) % 1000000))' "$1" "$2"
}

# The next page of a right password: its hidden "step".
step_of() {
	sed -n 's/.*name="step" value="\([0-9a-f]*\)".*/\1/p'
}

code() { # STEP CODE
	local form
	form=$(form_token)
	door /.wherry/login -i -H "Cookie: __Host-wherry-form=$form" -d "form=$form" -d "step=$1" -d "code=$2"
}

@test "the second factor is asked for, once a code" {
	printf 'third password\n' | "$WHERRY" user add dave
	secret=$(api POST /wherry/v1/users/dave/totp | jq -r .secret)
	[ "$(api PUT /wherry/v1/users/dave/totp -d "{\"secret\":\"$secret\",\"code\":\"000000x\"}" -H 'Content-Type: application/json' -o /dev/null -w '%{http_code}')" = 400 ]
	[ "$("$WHERRY" user ls --format '{{.Name}} {{.TOTP}}' | grep dave)" = "dave off" ]
	# a code is good for half a minute at least, also where a test takes its time; the next one is still to be used
	api PUT /wherry/v1/users/dave/totp -d "{\"secret\":\"$secret\",\"code\":\"$(totp "$secret" 0)\"}" -H 'Content-Type: application/json'
	[ "$("$WHERRY" user ls --format '{{.Name}} {{.TOTP}}' | grep dave)" = "dave on" ]

	FROM=40 run sign_in dave 'third password'
	[[ $output == *" 200 OK"*"one-time-code"* && $output != *"__Host-wherry="* ]]
	step=$(step_of <<<"$output")
	FROM=40 run code "$step" abcdef
	[[ $output == *" 403 "* ]]
	right=$(totp "$secret" 1)
	FROM=40 run code "$step" "$right"
	[[ $output == *" 303 "*"__Host-wherry="* ]]
	FROM=40 run code "$step" "$right"
	[[ $output == *" 403 "* ]]
	step=$(FROM=40 sign_in dave 'third password' | step_of)
	FROM=40 run code "$step" "$right"
	[[ $output == *" 403 "*"used already"* ]]
	HOST=other.box.local FROM=40 run code "$step" "$(totp "$secret" 1)"
	[[ $output == *" 403 "* && $output != *"__Host-wherry="* ]]

	"$WHERRY" user totp --off dave
	FROM=40 run sign_in dave 'third password'
	[[ $output == *" 303 "* ]]
}

@test "codes cannot be guessed" {
	printf 'third password\n' | "$WHERRY" user add erin
	secret=$(api POST /wherry/v1/users/erin/totp | jq -r .secret)
	api PUT /wherry/v1/users/erin/totp -d "{\"secret\":\"$secret\",\"code\":\"$(totp "$secret" 0)\"}" -H 'Content-Type: application/json'
	step=$(FROM=50 sign_in erin 'third password' | step_of)
	for i in $(seq 5); do
		FROM=5$i code "$step" xxxxxx >/dev/null
	done
	FROM=57 run code "$step" "$(totp "$secret" 1)"
	[[ $output == *" 403 "* && $output != *"__Host-wherry="* ]]
	for i in $(seq 15); do
		[ $((i % 5)) != 1 ] || step=$(FROM=6$((i / 5)) sign_in erin 'third password' | step_of)
		FROM=7$((i % 10)) code "$step" xxxxxx
	done >"$BATS_TEST_TMPDIR/answers"
	grep -q ' 429 Too Many Requests' "$BATS_TEST_TMPDIR/answers"
}

# The Location of an answer.
location() {
	sed -n 's/^Location: //p' | tr -d '\r'
}

@test "one sign-in at the device's own name is one for all apps below it" {
	local home app form ticket enter code
	home=$(hostname | cut -d. -f1 | tr A-Z a-z).local
	app=app.$home
	HOST=$app:8443 door '/.wherry/login?next=/x?a=1&b=2' -i >"$BATS_TEST_TMPDIR/first"
	form=$(cookie_of __Host-wherry-form <"$BATS_TEST_TMPDIR/first")
	enter=$(location <"$BATS_TEST_TMPDIR/first")
	[[ $enter == "https://$home:8443/.wherry/enter?t="* ]]
	ticket=${enter#*8443}
	# nobody is signed in at home: the page there, whose form may lead back to the app
	[ "$(HOST=$home:8443 door "$ticket" -i | location)" = "/.wherry/login?next=$ticket" ]
	HOST=$home run door "/.wherry/login?next=$ticket" -i
	[[ $output == *"form-action 'self' https://$app:8443;"* ]]
	token=$(HOST=$home NEXT=$ticket sign_in alice 'correct horse' | tee "$BATS_TEST_TMPDIR/home" | cookie_of __Host-wherry)
	[ "$(location <"$BATS_TEST_TMPDIR/home")" = "$ticket" ]
	code=$(HOST=$home door "$ticket" -i -H "Cookie: __Host-wherry=$token" | location)
	[[ $code == "https://$app:8443/.wherry/code?c="* ]]
	# of another browser, it is nothing, and used up
	[[ $(HOST=$app door "${code#*8443}" -i | location) == "/.wherry/login?here=1&next=/x"* ]]
	[[ $(HOST=$app door "${code#*8443}" -i -H "Cookie: __Host-wherry-form=$form" | location) == "/.wherry/login?here=1"* ]]

	# again, now signed in at home
	enter=$(HOST=$app door '/.wherry/login?next=/x?a=1&b=2' -i -H "Cookie: __Host-wherry-form=$form" | location)
	code=$(HOST=$home door "${enter#*.local}" -i -H "Cookie: __Host-wherry=$token" | location)
	[[ $(HOST=other.$home door "/${code#*.local/}" -i -H "Cookie: __Host-wherry-form=$form" | location) == "/.wherry/login?here=1"* ]]
	HOST=$app door "/${code#*.local/}" -i -H "Cookie: __Host-wherry-form=$form" >"$BATS_TEST_TMPDIR/app"
	[ "$(location <"$BATS_TEST_TMPDIR/app")" = '/x?a=1&b=2' ]
	at_app=$(cookie_of __Host-wherry <"$BATS_TEST_TMPDIR/app")
	[ "$(HOST=$app verify "$at_app")" = 200 ]
	[ "$(HOST=$home verify "$at_app")" = 401 ]
	# a sign-out at the app is one everywhere
	HOST=$app door /.wherry/logout -H "Cookie: __Host-wherry=$at_app; __Host-wherry-form=$form" -d "form=$form" >/dev/null
	[ "$(HOST=$app verify "$at_app")" = 401 ]
	[ "$(HOST=$home verify "$token")" = 401 ]
	# a host that is not below it has a sign-in of its own
	[ "$(HOST=$home.evil.example door /.wherry/login -o /dev/null -w '%{http_code}')" = 200 ]
}

# nginx with the configuration that ingress/conf.h writes for one app, and the daemon's own door behind it.
app_nginx() { # ALLOW
	local run=$DIR/run/ingress data=$DIR/ingress port
	mkdir -p "$run/tmp" "$data/log" "$data/htpasswd" "$data/pages/own"
	for page in error starting stopped unknown; do echo $page >"$data/pages/$page.html"; done
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$DIR/web.key" -out "$DIR/web.crt" -days 2 -subj /CN=x \
		-addext 'subjectAltName=DNS:app.example,DNS:app2.example' 2>/dev/null
	chmod 711 "$DIR"
	HTTPS=$(free_port)
	BACKEND=$(free_port)
	port=$(free_port)
	cat >"$DIR/app.py" <<-'P'
		import http.server, sys
		class App(http.server.BaseHTTPRequestHandler):
		    def do_GET(self):
		        text = "".join("%s: %s\n" % pair for pair in self.headers.items()).encode()
		        self.send_response(200)
		        self.send_header("Content-Length", str(len(text)))
		        self.end_headers()
		        self.wfile.write(text)
		    do_POST = do_GET
		    def log_message(self, *args): pass
		http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
	P
	python3 "$DIR/app.py" "$BACKEND" 3>&- &
	echo $! >"$DIR/app.pid"
	jq -n --arg run "$run" --arg data "$data" --arg stem "$DIR/web" --arg backend "$BACKEND" --argjson https "$HTTPS" --argjson http "$port" '
		{settings: {"name": "box", "http-port": $http, "https-port": $https, "addresses": ["127.0.0.1"]}, run: $run, data: $data,
		 stems: {"": $stem}, login: true, generation: 1, sources: [
			{id: ("a" * 64), name: "app", created: 1, life: 2, address: "127.0.0.1", labels: {"wherry.http.host": "app.example",
			 "wherry.http.port": $backend, "wherry.http.auth": "login"}},
			{id: ("b" * 64), name: "app2", created: 2, life: 2, address: "127.0.0.1", labels: {"wherry.http.host": "app2.example",
			 "wherry.http.port": $backend, "wherry.http.auth": "login", "wherry.http.users": "@admin"}}]}' |
		"$BUILD/tests/unit/ingress/ingress-model" >"$DIR/nginx.conf"
	nginx -p "$DIR" -c "$DIR/nginx.conf" 3>&- 2>"$DIR/nginx.err"
}

web() { # URI, more of curl: the host is HOST
	curl -sk --resolve "*:$HTTPS:127.0.0.1" -b "$BATS_TEST_TMPDIR/jar" -c "$BATS_TEST_TMPDIR/jar" "https://$HOST:$HTTPS$1" "${@:2}"
}

@test "through nginx: an app behind the login gets who it is, and nothing else" {
	[ -x "$BUILD/tests/unit/ingress/ingress-model" ] || skip "the unit tests are not built"
	app_nginx
	eventually 20 curl -s "http://127.0.0.1:$BACKEND/"
	HOST=app.example
	# a program is told no, a person is shown the way
	eventually 20 web / -o /dev/null
	[ "$(web / -o /dev/null -w '%{http_code}')" = 401 ]
	[ "$(web / -o /dev/null -w '%{http_code}' -H 'Remote-User: alice' -H 'X-Wherry-Allow: ')" = 401 ]
	web '/x?a=1&b=2' -H 'Accept: text/html' -i -L >"$BATS_TEST_TMPDIR/page"
	grep -q 'name="next" value="/x?a=1&amp;b=2"' "$BATS_TEST_TMPDIR/page"
	form=$(sed -n 's/.*name="form" value="\([0-9a-f]*\)".*/\1/p' "$BATS_TEST_TMPDIR/page")
	run web /.wherry/login -i -H "Origin: https://$HOST:$HTTPS" -d "form=$form" -d user=bob --data-urlencode 'password=battery staple' \
		--data-urlencode 'next=/x?a=1&b=2'
	[[ $output == *" 303"* && $output == *"ocation: "*"/x?a=1&b=2"* ]]
	# what a client says under these names does not arrive, and the cookie stays with nginx
	run web / -H 'Remote-User: root' -H 'Remote_User: root' -H 'Remote-Groups: admin' -H 'X-Forwarded-User: root' -H 'Cookie: own=1'
	[[ $output == *"Remote-User: bob"* && $output == *"Remote-Groups: read"* ]]
	[[ $output == *"Cookie: own=1"* ]]
	[[ $output != *root* && $output != *admin* && $output != *__Host-wherry* ]]
	# another host of the same nginx: another session, and a list of its own
	[ "$(HOST=app2.example web / -o /dev/null -w '%{http_code}')" = 401 ]
	token=$(awk '$6 == "__Host-wherry" { print $7 }' "$BATS_TEST_TMPDIR/jar")
	[ "$(curl -sk --resolve "*:$HTTPS:127.0.0.1" -H "Cookie: __Host-wherry=$token" -H 'Host: app2.example' "https://app.example:$HTTPS/" -o /dev/null -w '%{http_code}')" = 401 ]
	bob=$(HOST=app2.example session bob 'battery staple')
	alice=$(HOST=app2.example session alice 'correct horse')
	[ "$(HOST=app2.example web / -o /dev/null -w '%{http_code}' -H "Cookie: __Host-wherry=$bob")" = 403 ]
	[ "$(HOST=app2.example web / -o /dev/null -w '%{http_code}' -H "Cookie: __Host-wherry=$alice")" = 200 ]
	# nobody asks the door itself from outside
	[ "$(web /.wherry/verify -o /dev/null -w '%{http_code}')" = 404 ]
	web /.wherry/logout -d "form=$form" >/dev/null
	[ "$(web / -o /dev/null -w '%{http_code}')" = 401 ]
}
