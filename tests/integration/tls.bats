# Certificates of the front door: the device's authority, the user's files, ACME; names by mDNS.

source "$BATS_TEST_DIRNAME/lib.bash"

setup_file() {
	daemon_setup
	chmod 711 "$DIR" # nginx's workers are www-data
	busybox_image
	export HTTP HTTPS
	HTTP=$(free_port)
	HTTPS=$(free_port)
	make_own
	ingress ''
}

teardown_file() {
	for pid in pebble challenge; do
		[ ! -f "$DIR/$pid.pid" ] || kill "$(cat "$DIR/$pid.pid")" 2>/dev/null || true
	done
	"$WHERRY" ps -aq 2>/dev/null | xargs -r "$WHERRY" rm -f >/dev/null 2>&1 || true
	[ ! -f "$DIR/run/ingress/nginx.pid" ] || eventually 10 nginx_is_gone || kill "$(cat "$DIR/run/ingress/nginx.pid")" || true
	daemon_teardown
}

# What a failed test has left must not fail the next ones.
teardown() {
	"$WHERRY" ps -aq | xargs -r "$WHERRY" rm -f >/dev/null
}

nginx_is_gone() {
	! pgrep -f "nginx: master process .*$DIR/data" >/dev/null
}

ingress() { # MEMBERS-OF-INGRESS: read by the daemon
	local n
	n=$(grep -c configuration_reloaded "$DIR/daemon.log" || true)
	echo "{\"ingress\": {\"name\": \"box\", \"http-port\": $HTTP, \"https-port\": $HTTPS, \"addresses\": [\"127.0.0.1\"], \"mdns\": false${1:+, $1}}}" >"$DIR/daemon.json"
	kill -HUP "$(cat "$DIR/daemon.pid")"
	eventually 20 reloaded_more_than "$n"
}

reloaded_more_than() {
	[ "$(grep -c configuration_reloaded "$DIR/daemon.log")" -gt "$1" ]
}

app() { # NAME HOST TEXT
	"$WHERRY" run -d --name "$1" --label "wherry.http.host=$2" --label wherry.http.port=80 bb \
		sh -c "mkdir -p /w; echo '$3' >/w/index.html; exec httpd -f -h /w" >/dev/null
}

fetch() { # CA HOST [PATH]
	curl -s -m 5 --cacert "$1" --resolve "$2:$HTTPS:127.0.0.1" "https://$2:$HTTPS${3:-/}"
}

says() { # CA HOST TEXT
	[[ $(fetch "$1" "$2") == *"$3"* ]]
}

shown() { # HOST FORMAT-OPTION: of the certificate that is served
	openssl s_client -connect "127.0.0.1:$HTTPS" -servername "$1" </dev/null 2>/dev/null | openssl x509 -noout "$2"
}

serial_is() { # HOST SERIAL
	[ "$(shown "$1" -serial)" = "serial=$2" ]
}

doc_has() { # JQ-CONDITION
	curl -sf --unix-socket "$SOCK" http://d/wherry/v1/ingress | jq -e "$1"
}

# An authority of the test's own, and pairs that it signs.
make_own() {
	mkdir "$DIR/own"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$DIR/own/ca.key" -out "$DIR/own/ca.crt" -days 30 \
		-subj "/CN=test authority" 2>/dev/null
}

own_pair() { # FILE NAME SERIAL: FILE.crt FILE.key
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$2" 2>/dev/null
	openssl x509 -req -in "$1.csr" -CA "$DIR/own/ca.crt" -CAkey "$DIR/own/ca.key" -set_serial "0x$3" -days 30 \
		-extfile <(echo "subjectAltName=DNS:$2") -out "$1.crt" 2>/dev/null
}

# openssl x509 takes no dates.
expired_pair() { # FILE NAME
	local conf=$DIR/own/ca.conf
	: >"$DIR/own/index.txt"
	echo 0e >"$DIR/own/serial"
	printf '%s\n' '[ca]' default_ca=x '[x]' "database=$DIR/own/index.txt" "new_certs_dir=$DIR/own" "serial=$DIR/own/serial" default_md=sha256 policy=p \
		x509_extensions=v3 "certificate=$DIR/own/ca.crt" "private_key=$DIR/own/ca.key" '[p]' commonName=supplied '[v3]' "subjectAltName=DNS:$2" >"$conf"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$2" 2>/dev/null
	openssl ca -batch -notext -config "$conf" -in "$1.csr" -out "$1.crt" -startdate 20240101000000Z -enddate 20250101000000Z 2>/dev/null
}

# --- the job by itself ---

job() { # NAME, the request on standard input
	python3 "$BATS_TEST_DIRNAME/worker_job.py" "$BUILD/src/worker/wherry-worker" "$1"
}

certificates() { # DIR [MEMBERS]
	echo "{\"dir\": \"$1\", \"now\": $(date +%s), \"clock_is_set\": true, \"name\": \"box\", \"hostname\": \"box.example.net\",
		\"addresses\": [\"192.0.2.7\", \"2001:db8::7\"], \"search\": [\"lan\"], \"hosts\": [\"app.box.local\", \"a.b.box.local\", \"nas.example.org\"]
		${2:+, $2}}" | job certificates
}

@test "what the device's authority signs is believed by strict clients, and for other names refused" {
	local t=$BATS_TEST_TMPDIR/tls result device deep other
	result=$(certificates "$t")
	[ "$(jq '.problems | length' <<<"$result")" -eq 0 ]
	device=$(jq -r '.pairs[] | select(.names | index("*.box.local")) | .stem' <<<"$result").crt
	deep=$(jq -r '.pairs[] | select(.names | index("a.b.box.local")) | .stem' <<<"$result").crt
	other=$(jq -r '.pairs[] | select(.names | index("nas.example.org")) | .stem' <<<"$result").crt
	for name in box.local app.box.local box box.example.net box.lan; do
		openssl verify -x509_strict -purpose sslserver -CAfile "$t/ca.crt" -verify_hostname "$name" "$device"
	done
	for address in 192.0.2.7 2001:db8::7 127.0.0.1; do
		openssl verify -x509_strict -purpose sslserver -CAfile "$t/ca.crt" -verify_ip "$address" "$device"
	done
	openssl verify -x509_strict -purpose sslserver -CAfile "$t/ca.crt" -verify_hostname a.b.box.local "$deep"
	openssl verify -x509_strict -purpose sslserver -CAfile "$t/ca-other.crt" -verify_hostname nas.example.org "$other"
	run openssl verify -CAfile "$t/ca.crt" "$other"
	[ "$status" -ne 0 ]
	[ "$(stat -c %a%u "$t/ca.key")" = 6000 ]
	# a second run changes nothing, a new address is a new leaf of the same authority
	[ "$(certificates "$t" | jq -c .pairs)" = "$(jq -c .pairs <<<"$result")" ]
	certificates "$t" '"addresses": ["192.0.2.8"]' | jq -e '.pairs[0].names | index("192.0.2.8")'
}

@test "a clock that is not set yet makes certificates that are valid once it is" {
	local t=$BATS_TEST_TMPDIR/tls early late stem
	early=$(certificates "$t" '"now": 86400, "clock_is_set": false')
	stem=$(jq -r '.pairs[0].stem' <<<"$early")
	openssl verify -x509_strict -purpose sslserver -CAfile "$t/ca.crt" "$stem.crt"
	# the clock falls back: what is good stays
	[ "$(certificates "$t" '"now": 0, "clock_is_set": false' | jq -r '.pairs[0].stem')" = "$stem" ]
	# and is far ahead, then right again: what begins in the future is replaced
	late=$(certificates "$t" "\"now\": $(($(date +%s) + 200000000))" | jq -r '.pairs[0].stem')
	[ "$late" != "$stem" ]
	stem=$(certificates "$t" | jq -r '.pairs[0].stem')
	openssl verify -x509_strict -purpose sslserver -CAfile "$t/ca.crt" "$stem.crt"
}

@test "an authority of a fleet signs instead, and what it may not the device's own does" {
	local t=$BATS_TEST_TMPDIR/tls stem
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$BATS_TEST_TMPDIR/f.key" -out "$BATS_TEST_TMPDIR/f.crt" -days 30 -subj "/CN=fleet" \
		-addext keyUsage=critical,keyCertSign,cRLSign -addext "nameConstraints=critical,permitted;DNS:local" 2>/dev/null
	result=$(certificates "$t" "\"authority\": {\"cert\": \"$BATS_TEST_TMPDIR/f.crt\", \"key\": \"$BATS_TEST_TMPDIR/f.key\"}")
	stem=$(jq -r '.pairs[] | select(.names | index("box.local")) | .stem' <<<"$result")
	openssl verify -x509_strict -purpose sslserver -CAfile "$BATS_TEST_TMPDIR/f.crt" -verify_hostname app.box.local "$stem.crt"
	jq -e '.authorities[0] | .given and .subject == "fleet"' <<<"$result"
	# unreadable: named, and its leafs stay
	echo x >"$BATS_TEST_TMPDIR/f.key"
	result=$(certificates "$t" "\"authority\": {\"cert\": \"$BATS_TEST_TMPDIR/f.crt\", \"key\": \"$BATS_TEST_TMPDIR/f.key\"}")
	jq -e --arg s "$stem" '(.problems[0].error | test("not a private key")) and any(.pairs[]; .stem == $s)' <<<"$result"
}

# --- served by nginx ---

@test "apps, the device and its addresses are believed with the device's authority alone" {
	app one app 'text of one'
	app two . 'text of the device'
	eventually 10 says "$DIR/data/tls/ca.crt" app.box.local 'text of one'
	eventually 10 says "$DIR/data/tls/ca.crt" box.local 'text of the device'
	[[ $(curl -s -m 5 --cacert "$DIR/data/tls/ca.crt" "https://127.0.0.1:$HTTPS/") == 'text of the device' ]]
	python3 - "$DIR/data/tls/ca.crt" "$HTTPS" <<-END
		import socket, ssl, sys
		c = ssl.create_default_context(cafile=sys.argv[1])
		c.verify_flags |= ssl.VERIFY_X509_STRICT
		s = c.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), server_hostname="app.box.local")
		assert ("DNS", "*.box.local") in s.getpeercert()["subjectAltName"]
	END
	doc_has '.Certificates[0] | .Source == "local" and (.Issuer | test("wherry CA")) and .NotAfter > "2026"'
}

@test "the page that leads to trust is there by plain http, with its files and their types" {
	local page=http://127.0.0.1:$HTTP/.wherry/ca type
	app one app 'text of one'
	eventually 10 says "$DIR/data/tls/ca.crt" app.box.local 'text of one'
	[[ $(curl -s -w '%{http_code} %{content_type}' -o "$DIR/page.html" "$page") == '200 text/html'* ]]
	grep -q "<svg.*http://box.local:$HTTP/.wherry/ca" "$DIR/page.html"
	[ "$(curl -s -w '%{http_code} %{content_type}' -o "$DIR/page.crt" "$page/ca.crt")" = '200 application/x-x509-ca-cert' ]
	cmp "$DIR/page.crt" "$DIR/data/tls/ca.crt"
	[ "$(curl -s -w '%{http_code} %{content_type}' -o "$DIR/page.plist" "$page/wherry.mobileconfig")" = '200 application/x-apple-aspen-config' ]
	python3 - "$DIR/page.plist" "$DIR/page.crt" <<-END
		import plistlib, ssl, sys
		p = plistlib.load(open(sys.argv[1], "rb"))
		assert p["PayloadType"] == "Configuration" and p["PayloadContent"][0]["PayloadType"] == "com.apple.security.root"
		assert p["PayloadContent"][0]["PayloadContent"] == ssl.PEM_cert_to_DER_cert(open(sys.argv[2]).read())
	END
	fetch "$DIR/data/tls/ca.crt" app.box.local /.wherry/ca | grep -q '<svg'
	[ "$("$WHERRY" ingress ca)" = "$(cat "$DIR/data/tls/ca.crt")" ]
	[ "sha256 Fingerprint=$("$WHERRY" ingress ca --fingerprint)" = "$(openssl x509 -in "$DIR/data/tls/ca.crt" -noout -fingerprint -sha256)" ]
}

@test "the user's files serve their names, are taken when they change, and bad ones change nothing" {
	own_pair "$DIR/own/a" own.example.org a1
	mkdir "$DIR/own/v1" "$DIR/own/v2"
	own_pair "$DIR/own/v1/tls" linked.example.org b1
	own_pair "$DIR/own/v2/tls" linked.example.org b2
	ln -s v1 "$DIR/own/..data"
	ln -s ..data/tls.crt "$DIR/own/tls.crt"
	ln -s ..data/tls.key "$DIR/own/tls.key"
	ingress "\"certificates\": [{\"cert\": \"$DIR/own/a.crt\", \"key\": \"$DIR/own/a.key\"}, {\"cert\": \"$DIR/own/tls.crt\", \"key\": \"$DIR/own/tls.key\"}]"
	app one own.example.org,linked.example.org,other.example.org 'text of one'
	eventually 10 says "$DIR/own/ca.crt" own.example.org 'text of one'
	serial_is own.example.org A1
	eventually 10 serial_is linked.example.org B1
	says "$DIR/data/tls/ca-other.crt" other.example.org 'text of one'
	# a renewal in place, and a swap of links, as certbot and Kubernetes do them
	own_pair "$DIR/own/new" own.example.org a2
	mv "$DIR/own/new.key" "$DIR/own/a.key"
	mv "$DIR/own/new.crt" "$DIR/own/a.crt"
	eventually 10 serial_is own.example.org A2
	ln -s v2 "$DIR/own/..next"
	mv -T "$DIR/own/..next" "$DIR/own/..data"
	eventually 10 serial_is linked.example.org B2
	# a key of another certificate, then an expired one: named, the old one stays
	cp "$DIR/own/v1/tls.key" "$DIR/own/a.key"
	eventually 10 doc_has 'any(.Problems[]; .Error | test("the certificate of before is kept: .*a.key is not the key of the certificate"))'
	expired_pair "$DIR/own/old" own.example.org
	cp "$DIR/own/old.key" "$DIR/own/a.key"
	cp "$DIR/own/old.crt" "$DIR/own/a.crt"
	eventually 10 doc_has 'any(.Problems[]; .Error | test("a.crt expired on 20"))'
	serial_is own.example.org A2
	"$WHERRY" events --since 1h --until 0s --filter type=ingress --format '{{.Action}} {{.Actor.ID}}' | grep -q "certificate-problem $DIR/own/a.crt"
}

# A directory on loopback that believes nobody but this host's nginx.
pebble_start() {
	local port management dns control
	port=$(free_port) management=$(free_port) dns=$(free_port) control=$(free_port)
	echo "$port $control" >"$DIR/pebble.ports"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$DIR/pebble.key" -out "$DIR/pebble.crt" -days 30 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost 2>/dev/null
	echo "{\"pebble\": {\"listenAddress\": \"127.0.0.1:$port\", \"managementListenAddress\": \"127.0.0.1:$management\", \"certificate\": \"$DIR/pebble.crt\",
		\"privateKey\": \"$DIR/pebble.key\", \"httpPort\": $HTTP, \"tlsPort\": $HTTPS, \"ocspResponderURL\": \"\", \"externalAccountBindingRequired\": false}}" >"$DIR/pebble.json"
	pebble-challtestsrv -defaultIPv4 127.0.0.1 -defaultIPv6 '' -dns01 "127.0.0.1:$dns" -http01 '' -https01 '' -tlsalpn01 '' -management "127.0.0.1:$control" \
		>"$DIR/challenge.log" 2>&1 3>&- &
	echo $! >"$DIR/challenge.pid"
	PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 PEBBLE_AUTHZREUSE=0 pebble -config "$DIR/pebble.json" -dnsserver "127.0.0.1:$dns" >"$DIR/pebble.log" 2>&1 3>&- &
	echo $! >"$DIR/pebble.pid"
	eventually 10 curl -sf --cacert "$DIR/pebble.crt" "https://localhost:$port/dir"
	eventually 10 curl -s "http://127.0.0.1:$control/"
	curl -sk "https://127.0.0.1:$management/roots/0" >"$DIR/pebble-root.crt"
}

issued() { # HOST
	shown "$1" -issuer | grep -q 'Pebble Intermediate'
}

@test "ACME answers http-01 through nginx and dns-01 by the hook, and says why it failed" {
	command -v pebble uacme >/dev/null || skip "pebble or uacme is not installed"
	pebble_start
	local port control
	read -r port control <"$DIR/pebble.ports"
	app one acme.example.org 'text of one'
	ingress "\"acme\": {\"directory\": \"https://localhost:$port/dir\", \"email\": \"a@example.org\", \"ca-file\": \"$DIR/pebble.crt\"}"
	eventually 30 issued acme.example.org
	says "$DIR/pebble-root.crt" acme.example.org 'text of one'
	doc_has '.Acme[0] | .Names == ["acme.example.org"] and .State == "good" and .Next > "2026"'
	[ -z "$(ls "$DIR/data/ingress/acme-challenge")" ]

	cat >"$DIR/hook" <<-END
		#!/bin/sh
		# METHOD TYPE IDENT TOKEN AUTH
		[ "\$1" = begin ] && what="set-txt" || what="clear-txt"
		curl -sf -d "{\"host\": \"_acme-challenge.\$3.\", \"value\": \"\$5\"}" "http://127.0.0.1:$control/\$what"
	END
	chmod +x "$DIR/hook"
	"$WHERRY" rm -f one >/dev/null
	app two '*.example.org' 'text of two'
	ingress "\"acme\": {\"directory\": \"https://localhost:$port/dir\", \"ca-file\": \"$DIR/pebble.crt\", \"dns-hook\": \"$DIR/hook\"}"
	eventually 30 issued any.example.org

	"$WHERRY" rm -f two >/dev/null
	app three dead.example.org 'text of three'
	printf '#!/bin/sh\nexit 1\n' >"$DIR/hook"
	eventually 30 doc_has 'any(.Acme[]; .State == "failed" and (.Error | test("no challenge")))'
	says "$DIR/data/tls/ca-other.crt" dead.example.org 'text of three'
}

# --- names ---

@test "names are published by avahi with the machine's addresses, again after its restart, and collisions are told" {
	command -v avahi-daemon dbus-daemon >/dev/null || skip "avahi-daemon or dbus is not installed"
	timeout -k 5 240 "$BATS_TEST_DIRNAME/mdns_lab.sh" "$BATS_TEST_TMPDIR/lab" \
		python3 "$BATS_TEST_DIRNAME/mdns_names.py" "$BUILD/src/worker/wherry-mdns" "$BATS_TEST_TMPDIR/lab"
}
