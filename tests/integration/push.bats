# Pushes, and what a registry is asked for: Debian's docker-registry, and upload_registry.py for what registries do to uploads.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	command -v docker-registry && command -v skopeo || skip "docker-registry or skopeo is missing"
	export DOCKER R
	DOCKER=$(docker_cli)
	[ -x "$DOCKER" ] || fail "no docker CLI: ./test fetches it"
	daemon_setup
	cd "$DIR"
	R=127.0.0.1:$(free_port)
	registry_serve registry "$R" ''
	mkdir small
	echo 1 >small/one && tar -C small -cf one.tar one
	head -c 1500000 /dev/urandom >small/big && tar -C small -cf big.tar big
	python3 "$BATS_TEST_DIRNAME/image_archives.py" save --tag t:1 s.tar one.tar big.tar >/dev/null
	"$DOCKER" load -qi s.tar
}

teardown_file() {
	for pid in "$DIR"/*.registry-pid; do
		[ ! -e "$pid" ] || kill "$(cat "$pid")" || true
	done
	daemon_teardown
}

setup() {
	cd "$DIR"
}

w() {
	"$WHERRY" "$@"
}

registry_serve() { # NAME HOST:PORT YAML
	printf '%s\n' 'version: 0.1' 'log: {level: error, accesslog: {disabled: true}}' "http: {addr: \"$2\"}" \
		"storage: {filesystem: {rootdirectory: $DIR/$1}, delete: {enabled: true}}" "$3" >"$1.yml"
	docker-registry serve "$1.yml" >"$1.log" 2>&1 3>&- &
	echo $! >"$1.registry-pid"
	eventually 10 curl -s -o /dev/null "http://$2/v2/"
}

odd_serve() { # WAY: its address is $O, its words are in $WAY.log
	O=127.0.0.1:$(free_port)
	python3 "$BATS_TEST_DIRNAME/upload_registry.py" "${O#*:}" "$1" >"$1.log" 2>&1 3>&- &
	echo $! >"$1-${O#*:}.registry-pid"
	eventually 10 curl -s -o /dev/null "http://$O/v2/"
}

push_api() { # NAME TAG [HEADER]
	api POST "/images/$1/push${2:+?tag=$2}" -H "${3:-X-Registry-Auth: e30=}" | tr -d '\r'
}

status() { # METHOD PATH...: the body and the status
	api "$@" -w '%{http_code}' | tr -d '\n'
}

same_layers() { # IMAGE: its layers in the registry, unpacked, are the tars that were loaded
	rm -rf copy
	skopeo --insecure-policy copy -q --src-tls-verify=false "docker://$1" "dir:copy"
	local n
	for n in 0 1; do
		zcat "copy/$(jq -r ".layers[$n].digest" copy/manifest.json | cut -d: -f2)" | sha256sum | cut -d' ' -f1
	done | cmp - <(sha256sum one.tar big.tar | cut -d' ' -f1)
}

@test "a push says what dockerd says, and skopeo finds every byte" {
	w tag t:1 "$R/a/t:1"
	push_api "$R/a/t" 1 >out
	jq -r '.status // "aux " + .aux.Tag' out | grep -v '^Pushing$' | sed 's/sha256:[0-9a-f]*/DIGEST/' >words
	[ "$(head -3 words)" = "The push refers to repository [$R/a/t]"$'\nPreparing\nPreparing' ]
	[ "$(grep -c '^Pushed$' words)" = 2 ]
	size=$(skopeo inspect --raw --tls-verify=false "docker://$R/a/t:1" | wc -c)
	[ "$(tail -2 words)" = "1: digest: DIGEST size: $size"$'\naux 1' ]
	grep -q '"status":"Pushing","progressDetail":{"current":[0-9]*,"total":[0-9]*},"progress":"' out
	same_layers "$R/a/t:1"
	digest=$(jq -r '.aux.Digest // empty' out)
	[ "$(w image inspect -f '{{index .RepoDigests 0}}' t:1)" = "$R/a/t@$digest" ]
	[ "sha256:$(skopeo inspect --raw --tls-verify=false "docker://$R/a/t:1" | sha256sum | cut -d' ' -f1)" = "$digest" ]
	# again: nothing is sent
	push_api "$R/a/t" 1 >out
	[ "$(grep -c 'Layer already exists' out)" = 2 ]
	! grep -q Pushing out
}

@test "the layers of another repository are mounted" {
	w tag t:1 "$R/b/t:2"
	w tag t:1 "$R/b/t:3"
	push_api "$R/b/t" '' >out
	[ "$(grep -c '"Mounted from a/t"' out)" = 2 ]
	[ "$(grep -c '"Layer already exists"' out)" = 2 ]
	[ "$(jq -r '.aux.Tag // empty' out | tr '\n' ' ')" = "2 3 " ]
	same_layers "$R/b/t:3"
}

@test "what was pulled is pushed as the same manifest" {
	skopeo --insecure-policy copy -q --dest-tls-verify=false --format oci docker-archive:s.tar:t:1 "docker://$R/oci/t:1"
	w rmi -f "$(w images -q --no-trunc t:1)"
	w pull -q "$R/oci/t:1"
	w tag "$R/oci/t:1" "$R/other/t:1"
	w push -q "$R/other/t:1"
	skopeo inspect --raw --tls-verify=false "docker://$R/oci/t:1" >want
	skopeo inspect --raw --tls-verify=false "docker://$R/other/t:1" | cmp - want
	w rmi -f "$(w images -q --no-trunc "$R/oci/t:1")"
	"$DOCKER" load -qi s.tar
}

@test "a layer that the registry has lost is sent again" {
	w tag t:1 "$R/lost/t:1"
	w push -q "$R/lost/t:1"
	kill "$(cat registry.registry-pid)"
	rm -r registry
	registry_serve registry "$R" ''
	w push "$R/lost/t:1" >out
	[ "$(grep -c ': Pushed$' out)" = 2 ]
	same_layers "$R/lost/t:1"
}

@test "the docker CLI pushes, and its exit status tells" {
	w tag t:1 "$R/cli/t:latest"
	run -0 "$DOCKER" push "$R/cli/t"
	[[ "$output" == "Using default tag: latest"*"latest: digest: sha256:"*" size: "* ]]
	run -0 "$DOCKER" push -a "$R/cli/t"
	run -1 "$DOCKER" push "$R/cli/t:nope"
	[[ "$output" == *"tag does not exist: $R/cli/t:nope" ]]
	run -1 "$DOCKER" push no/such
	[[ "$output" == *"An image does not exist locally with the tag: no/such" ]]
}

@test "our CLI pushes, quietly and all" {
	w tag t:1 "$R/ours/t:1"
	w tag t:1 "$R/ours/t:2"
	run -0 w push -a "$R/ours/t"
	[[ "$output" == *"1: digest: sha256:"*"2: digest: sha256:"* ]]
	[ "$(w push -q "$R/ours/t:1")" = "$R/ours/t:1" ]
	run -1 w push -a "$R/ours/t:1"
	[ "$output" = "tag can't be used with --all-tags/-a" ]
	run -1 w push --platform linux/mips "$R/ours/t:1"
	[[ "$output" == *"does not match the specified platform: wanted linux/mips"* ]]
	run -1 w push "$R/ours/t"
	[[ "$output" == *"tag does not exist: $R/ours/t:latest"* ]]
	run -1 w push 127.0.0.1:1/nothing/here
	[[ "$output" == *"An image does not exist locally with the tag: 127.0.0.1:1/nothing/here"* ]]
}

@test "what cannot begin is 400, what fails later is in the stream" {
	[ "$(status POST '/images/UPPER/push?tag=1' -H 'X-Registry-Auth: e30=')" = \
		'{"message":"invalid reference format: repository name (library/UPPER) must be lowercase"}400' ]
	[ "$(status POST '/images/t/push?tag=a:b' -H 'X-Registry-Auth: x')" = '{"message":"invalid tag format"}400' ]
	[ "$(status POST '/images/t/push?tag=1')" = \
		'{"message":"bad parameters and missing X-Registry-Auth: invalid X-Registry-Auth header: EOF"}400' ]
	w tag t:1 127.0.0.1:1/x:1
	push_api 127.0.0.1:1/x 1 >out
	[ "$(jq -r '.error // empty' out)" = 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused' ]
	w rmi 127.0.0.1:1/x:1
}

@test "a registry with passwords wants the right ones" {
	python3 -Wignore -c 'import crypt; print("u:" + crypt.crypt("p", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' >htpasswd
	P=127.0.0.1:$(free_port)
	registry_serve private "$P" "auth: {htpasswd: {realm: r, path: $DIR/htpasswd}}"
	w tag t:1 "$P/t:1"
	run -1 w push "$P/t:1"
	[[ "$output" == *"no basic auth credentials"* ]]
	push_api "$P/t" 1 "X-Registry-Auth: $(printf '{"username":"u","password":"wrong"}' | base64 -w0)" >out
	[[ "$(jq -r '.error // empty' out)" == "unauthorized: "* ]]
	auth=$(printf '{"username":"u","password":"p","note":"???>>>"}' | base64 -w0)
	[[ "$auth" == *[+/]* ]] # both alphabets are understood
	push_api "$P/t" 1 "X-Registry-Auth: $auth" | grep -q '"aux"'
	push_api "$P/t" 1 "X-Registry-Auth: $(tr '+/' '-_' <<<"$auth")" | grep -q '"aux"'
	api POST "/images/$P/t/push?tag=1" -d '{"username":"u","password":"p"}' | grep -q '"aux"'
}

@test "uploads go on behind a cut, or begin again" {
	odd_serve cut
	w tag t:1 "$O/t:1"
	w push -q "$O/t:1"
	grep -q '^cut' cut.log
	grep -q '^status [1-9]' cut.log
	[ "$(grep -c '^begin' cut.log)" = 3 ] # two layers and the configuration: none twice
	odd_serve lost
	w tag t:1 "$O/t:1"
	w push -q "$O/t:1"
	[ "$(grep -c '^begin' lost.log)" = 4 ]
	! grep -q 'wrong digest' cut.log lost.log
}

@test "relative locations, refused mounts, lengths, redirects and busy registries" {
	for way in plain length redirect elsewhere busy; do
		odd_serve "$way"
		w tag t:1 "$O/x/t:1"
		w push -q "$O/x/t:1"
		w tag t:1 "$O/y/t:1"
		w push -q "$O/y/t:1"
		[ "$(grep -c '^manifest' "$way.log")" = 2 ]
	done
	grep -q '^begin mount=sha256%3A[0-9a-f]*&from=x%2Ft$' plain.log
	grep -q '^length wanted' length.log
	grep -q '^redirected' redirect.log
	! grep -q leaked redirect.log elsewhere.log
	grep -q '^no mount' elsewhere.log
	grep -q '^busy PATCH' busy.log
}

@test "a token is for pull and push, and is renewed in the middle" {
	odd_serve token
	w tag t:1 "$O/some/t:1"
	w push -q "$O/some/t:1"
	grep -q '^token /token?service=reg&scope=repository%3Asome%2Ft%3Apull%2Cpush$' token.log
	grep -q '^expired' token.log
	[ "$(grep -c '^manifest' token.log)" = 1 ]
}

@test "what a registry refuses is said in its words" {
	odd_serve denied
	w tag t:1 "$O/t:1"
	run -1 w push "$O/t:1"
	[[ "$output" == *"denied: requested access to the resource is denied"* ]]
	odd_serve broken
	w tag t:1 "$O/t:1"
	run -1 w push "$O/t:1"
	[[ "$output" == *"received unexpected HTTP status: 500 Internal Server Error"* ]]
}

@test "a client that goes away ends its push" {
	odd_serve plain
	w tag t:1 "$O/t:1"
	w push "$O/t:1" >/dev/null 2>&1 3>&- &
	pid=$!
	kill -9 $pid
	wait $pid || true
	no_worker() {
		! pgrep -P "$(cat "$DIR/daemon.pid")" -f 'wherry-worker push' >/dev/null
	}
	eventually 10 no_worker
}

@test "distribution tells of a manifest without pulling it" {
	w tag t:1 "$R/dist/t:1"
	w push -q "$R/dist/t:1"
	digest=$(skopeo inspect --format '{{.Digest}}' --tls-verify=false "docker://$R/dist/t:1")
	api GET "/distribution/$R/dist/t:1/json" >out
	[ "$(jq -r '.Descriptor.digest + " " + .Descriptor.mediaType' out)" = \
		"$digest application/vnd.docker.distribution.manifest.v2+json" ]
	[ "$(jq -r '.Descriptor.size' out)" = "$(skopeo inspect --raw --tls-verify=false "docker://$R/dist/t:1" | wc -c)" ]
	[ "$(jq -c '.Platforms | map(.os)' out)" = '["linux"]' ]
	[ "$(api GET "/distribution/$R/dist/t@$digest/json" | jq -r .Descriptor.digest)" = "$digest" ]
	[ "$(status GET "/distribution/$R/dist/t:2/json")" = '{"message":"manifest unknown: manifest unknown"}404' ]
}

@test "a search goes to a registry that has Docker Hub's, and its words are shown" {
	odd_serve search
	w search --format '{{.Name}} {{.StarCount}} {{.IsOfficial}} {{.Description}}' "$O/needle" >out
	grep -q '^search /v1/search?q=needle&n=25$' search.log
	[ "$(head -1 out)" = "a/needle3 3  number 3" ]
	[ "$(sed -n 2p out)" = "a/needle2 2 [OK] number 2" ]
	diff <(w search "$O/needle" | sort) <("$DOCKER" search "$O/needle" | sort) # docker of after 20.10 leaves the order to the registry
	[ "$(w search --filter stars=3 --format '{{.Name}}' "$O/needle")" = a/needle3 ]
	[ "$(w search --filter is-official=true --format '{{.Name}}' "$O/needle")" = a/needle2 ]
}

@test "a catalogue of many pages is read to its end" {
	# the registry knows a repository by its directory, and gives a thousand names at a time
	(cd registry/docker/registry/v2/repositories && seq -f 'many/r%05g' 1100 | sed 's|$|/_layers|' | xargs mkdir -p)
	mkdir -p registry/docker/registry/v2/repositories/zz/needle/_layers
	[ "$(api GET "/images/search?term=$R/zz/" | jq -c 'map(.name)')" = "[\"$R/zz/needle\"]" ]
	rm -r registry/docker/registry/v2/repositories/{many,zz}
}

@test "a registry's catalogue is searched" {
	w tag t:1 "$R/find/me:1"
	w push -q "$R/find/me:1"
	[ "$(api GET "/images/search?term=$R/me" | jq -c 'map(.name)')" = "[\"$R/find/me\"]" ]
	[ "$(api GET "/images/search?term=$R/nothing")" = '[]' ]
	[ "$(api GET "/images/search?term=$R/me&filters=%7B%22stars%22:%5B%221%22%5D%7D")" = '[]' ]
	[ "$(api GET '/images/search?term=x&limit=101')" = '{"message":"limit 101 is outside the range of [1, 100]"}' ]
	[ "$(w search "$R/me")" = "$("$DOCKER" search "$R/me")" ]
	[ "$(w search --format '{{.Name}} {{.StarCount}}' --limit 5 --no-trunc "$R/me")" = "$R/find/me 0" ]
}
