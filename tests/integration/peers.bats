# image-peers: a second engine gets its layers from the first, and from the registry when the first is no good.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	command -v docker-registry && command -v skopeo || skip "docker-registry or skopeo is missing"
	daemon_setup
	cd "$DIR"
	export PORT PEER_PORT BAD_PORT R
	PORT=$(free_port)
	PEER_PORT=$(free_port)
	BAD_PORT=$(free_port)
	R=127.0.0.1:$PORT
	cat >registry.yml <<-END
		version: 0.1
		log: {level: error, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $DIR/registry}}
		http: {addr: "$R"}
	END
	docker-registry serve registry.yml >registry.log 2>&1 3>&- &
	echo $! >registry.pid
	eventually 10 curl -sf "http://$R/v2/"
	make_busybox
	mkdir big && head -c 24000000 /dev/urandom >big/random && echo x >big/x && tar -C big -cf big.tar random x
	tar -C big -cf x.tar x
	python3 "$BATS_TEST_DIRNAME/image_archives.py" save --gzip --tag t:1 t.tar bb.tar big.tar x.tar
	skopeo --insecure-policy copy -q --dest-tls-verify=false docker-archive:t.tar:t:1 "docker://$R/t:1"
	python3 "$BATS_TEST_DIRNAME/bad_peers.py" "$BAD_PORT" bb.tar >bad.log 2>&1 3>&- &
	echo $! >bad.pid
	# the first engine has the image and gives its layers away
	daemon_signal TERM
	echo "{\"image-peers-listen\": \"127.0.0.1:$PEER_PORT\"}" >daemon.json
	daemon_start
	"$WHERRY" pull -q "$R/t:1"
}

teardown_file() {
	for pid in registry bad; do
		[ ! -e "$DIR/$pid.pid" ] || kill "$(cat "$DIR/$pid.pid")" || true
	done
	[ ! -d "$DIR/two" ] || (second && daemon_teardown)
	daemon_teardown
}

setup() {
	cd "$DIR"
}

# In a subshell: all that follows is about the second engine.
second() {
	DIR=$DIR/two TAG=${TAG}b BRIDGE=${BRIDGE}b SOCK=$DIR/two/wherry.sock
	export WHERRY_HOST=unix://$SOCK DOCKER_HOST=unix://$SOCK
}

pull_with() { # PEER...: by a new second engine
	mkdir -p two
	(
		second
		[ ! -e "$DIR/daemon.pid" ] || daemon_teardown
		mkdir -p "$DIR"
		python3 -c 'import json, sys; print(json.dumps({"image-peers": sys.argv[1:]}))' "$@" >"$DIR/daemon.json"
		daemon_start
		"$WHERRY" pull "$R/t:1"
		[ "$("$WHERRY" run --rm "$R/t:1" sha256sum /random | cut -d' ' -f1)" = "$(sha256sum <"$DIR/../big/random" | cut -d' ' -f1)" ]
		[ "$("$WHERRY" image inspect "$R/t:1" --format '{{json .RootFS}}')" = \
			"$(DOCKER_HOST= WHERRY_HOST=unix://$DIR/../wherry.sock "$WHERRY" image inspect "$R/t:1" --format '{{json .RootFS}}')" ]
		eventually 5 eval '[ -z "$(ls "$DIR/data/layers/tmp")" ]'
	)
}

diff_id() { # TAR
	echo "sha256:$(sha256sum <"$1" | cut -d' ' -f1)"
}

peer() { # PATH [CURL-OPTION...]: the status
	curl -s -o /dev/null -w '%{http_code}' "${@:2}" "http://127.0.0.1:$PEER_PORT$1"
}

@test "layers come from a peer, also when the registry has lost them" {
	mkdir lost
	for blob in $(find registry -path '*/blobs/*' -name data -size +100k); do
		mv "$blob" lost/"$(basename "$(dirname "$blob")")"
	done
	pull_with "http://127.0.0.1:$PEER_PORT/"
	for blob in lost/*; do
		mv "$blob" "registry/docker/registry/v2/blobs/sha256/$(basename "$blob" | head -c 2)/$(basename "$blob")/data"
	done
}

@test "a peer that is wrong, cut, broken, busy, slow, endless or absent changes nothing" {
	b=http://127.0.0.1:$BAD_PORT
	pull_with "$b/wrong" "$b/cut" "$b/broken" "$b/refuse" "$b/slow" "$b/endless" http://127.0.0.1:9
	for way in wrong cut broken refuse slow endless; do
		grep -q "^/$way/layers/sha256:" bad.log
	done
	[ "$(grep -c '^/slow/layers' bad.log)" -le 3 ] # the layers that were asked for at the same time
}

@test "what a peer gives is the layer's tar, and nothing else" {
	for tar in bb.tar big.tar; do
		curl -sf "http://127.0.0.1:$PEER_PORT/layers/$(diff_id $tar)" | cmp - $tar
	done
	for path in / /_ping /info /v1.45/containers/json /layers /layers/ /layers/sha256:abc /layers/../info "/layers/$(diff_id bb.tar)/x" \
		"/layers/$(diff_id t.tar)" "/layers/sha256:..%2f..%2fwherry.db" /metrics; do
		[ "$(peer "$path" --path-as-is)" = 404 ]
	done
	[ "$(peer "/layers/$(diff_id bb.tar)" -X POST)" = 404 ]
	[ "$(peer "/layers/$(diff_id bb.tar)" -X DELETE)" = 404 ]
}

@test "peers are few at a time" {
	python3 - "$PEER_PORT" "/layers/$(diff_id big.tar)" <<-'END'
		import http.client, socket, sys
		port, path = int(sys.argv[1]), sys.argv[2]

		def ask():
		    s = socket.socket()
		    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what is not read stays there
		    s.connect(("127.0.0.1", port))
		    s.sendall(b"GET %s HTTP/1.1\r\nHost: p\r\n\r\n" % path.encode())
		    return s, s.recv(12)

		held = [ask() for _ in range(4)]
		assert all(head == b"HTTP/1.1 200" for _, head in held), held
		fifth, head = ask()
		assert head == b"HTTP/1.1 503", head
		# and no more connections than 16, whatever they do
		more = [socket.create_connection(("127.0.0.1", port)) for _ in range(11)]
		over = socket.create_connection(("127.0.0.1", port))
		over.settimeout(30)
		assert over.recv(1) == b""
		for s in [s for s, _ in held] + [fifth, over] + more:
		    s.close()
	END
	eventually 10 eval '[ "$(peer "/layers/$(diff_id bb.tar)")" = 200 ]'
}

@test "addresses of peers are checked" {
	for peers in '["192.168.1.5"]' '["ftp://x"]' '["http://"]' '["http://u@x"]' 7; do
		echo "{\"image-peers\": $peers}" >wrong.json
		run -1 "$WHERRYD" --config-file "$DIR/wrong.json" --validate
		[[ "$output" == *image-peers* ]]
	done
}
