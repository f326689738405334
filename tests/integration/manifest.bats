# Manifest lists made on this side: what docker's CLI prints, keeps and pushes, against Debian's docker-registry.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	export DOCKER R S
	DOCKER=$(docker_cli)
	if ! command -v docker-registry >/dev/null || ! command -v skopeo >/dev/null; then
		skip_all "docker-registry or skopeo is missing"
		return
	fi
	[ -x "$DOCKER" ] || fail "no docker CLI: ./test fetches it"
	daemon_setup
	cd "$DIR"
	R=127.0.0.1:$(free_port)
	registry_serve plain http "$R" ''
	mkdir small
	for n in 1 2 3; do
		echo $n >small/one && tar -C small -cf "$n.tar" one
		python3 "$BATS_TEST_DIRNAME/image_archives.py" save --tag "$R/src/$n:1" "$n.saved" "$n.tar" >/dev/null
		"$WHERRY" load -qi "$n.saved"
		"$WHERRY" push -q "$R/src/$n:1"
	done
	skopeo --insecure-policy copy -q --dest-tls-verify=false --format oci docker-archive:1.saved "docker://$R/src/oci:1"
	# with TLS and a password
	S=127.0.0.1:$(free_port)
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -keyout key.pem -out cert.pem 2>/dev/null
	python3 -Wignore -c 'import crypt; print("u:" + crypt.crypt("p", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' >htpasswd
	registry_serve private https "$S" "auth: {htpasswd: {realm: r, path: $DIR/htpasswd}}"
	for n in 1 2; do
		skopeo --insecure-policy copy -q --dest-tls-verify=false --dest-creds u:p "docker-archive:$n.saved" "docker://$S/src/$n:1"
	done
}

teardown_file() {
	for pid in "${DIR:-/nowhere}"/*.registry-pid; do
		[ ! -e "$pid" ] || kill "$(cat "$pid")" || true
	done
	daemon_teardown
}

setup() {
	skip_if_all
	cd "$DIR"
	export DOCKER_CONFIG=$DIR/config
	rm -rf config && mkdir config && echo '{}' >config/config.json
}

registry_serve() { # NAME SCHEME HOST:PORT YAML
	local tls=
	[ "$2" = http ] || tls=", tls: {certificate: $DIR/cert.pem, key: $DIR/key.pem}"
	printf '%s\n' 'version: 0.1' 'log: {level: error, accesslog: {disabled: true}}' "http: {addr: \"$3\"$tls}" \
		"storage: {filesystem: {rootdirectory: $DIR/$1}}" "$4" >"$1.yml"
	docker-registry serve "$1.yml" >"$1.log" 2>&1 3>&- &
	echo $! >"$1.registry-pid"
	eventually 10 curl -sk -o /dev/null "$2://$3/v2/"
}

m() {
	"$WHERRY" manifest "$@"
}

dm() {
	"$DOCKER" manifest "$@"
}

same() { # WORDS: both programs print the same and end the same way
	local status=0
	dm "$@" >want 2>&1 || status=$?
	run -"$status" m "$@"
	diff want - <<<"$output"
}

@test "manifest: a list is made, annotated, shown and pushed as by docker" {
	m create --insecure "$R/l/ours" "$R/src/1:1" "$R/src/2:1"
	dm create --insecure "$R/l/docker" "$R/src/1:1" "$R/src/2:1"
	for of in "m $R/l/ours" "dm $R/l/docker"; do
		set -- $of
		$1 annotate "$2" "$R/src/2:1" --os linux --arch arm --variant v7 --os-version 1.2 --os-features b,a --os-features b
	done
	same inspect "$R/l/docker" # each reads what the other has written
	same inspect "$R/l/ours"
	same inspect "$R/l/ours" "$R/src/2:1"
	[ "$(m push "$R/l/ours" | sed "s,/l/ours,/l/docker,")" = "$(dm push --insecure "$R/l/docker")" ]
	skopeo inspect --raw --tls-verify=false "docker://$R/l/ours" >ours
	skopeo inspect --raw --tls-verify=false "docker://$R/l/docker" | cmp - ours
	[ "$(jq -c '.manifests[1].platform' ours)" = \
		'{"architecture":"arm","os":"linux","os.version":"1.2","os.features":["b","a"],"variant":"v7"}' ]
	# the blobs came along
	skopeo --insecure-policy copy -q --src-tls-verify=false --override-arch arm --override-variant v7 "docker://$R/l/ours" dir:copy
	[ "$(zcat "copy/$(jq -r '.layers[0].digest' copy/manifest.json | cut -d: -f2)" | sha256sum)" = "$(sha256sum <2.tar)" ]
	m rm "$R/l/ours" "$R/l/docker"
	[ -z "$(ls config/manifests)" ]
	same inspect --insecure "$R/l/ours" # now as the registry has it
}

@test "manifest: a docker of before 24 keeps no exact text, and its lists are pushed all the same" {
	dm create --insecure "$R/old/l" "$R/src/1:1" "$R/src/2:1"
	for f in config/manifests/*/*; do
		jq -c 'del(.Raw)' "$f" >f && mv f "$f"
	done
	same inspect "$R/old/l"
	run -0 m push -p "$R/old/l"
	[ ! -e "config/manifests/${R/:/-}_old_l-latest" ]
	[ "$(skopeo inspect --raw --tls-verify=false "docker://$R/old/l" | sha256sum | cut -d' ' -f1)" = "$(tail -1 <<<"$output" | cut -d: -f2)" ]
}

@test "manifest: manifests and lists of a registry are inspected without pulling them" {
	same inspect --insecure "$R/src/1:1"
	digest=$(skopeo inspect --format '{{.Digest}}' --tls-verify=false "docker://$R/src/1:1")
	same inspect --insecure "$R/src/1@$digest"
	m inspect -v --insecure "$R/src/1:1" >v
	[ "$(jq -r '.Descriptor.digest + " " + .Ref' v)" = "$digest $R/src/1:1" ]
	[ "$(jq -r '.Raw' v | base64 -d | sha256sum | cut -d' ' -f1)" = "${digest#sha256:}" ]
	[ "$(jq -c '.SchemaV2Manifest' v)" = "$(m inspect --insecure "$R/src/1:1" | jq -c .)" ]
	[ "$(m inspect --insecure "$R/src/oci:1")" = "$(skopeo inspect --raw --tls-verify=false "docker://$R/src/oci:1" | jq --tab .)" ]
	m create --insecure "$R/verbose/l" "$R/src/1:1" "$R/src/oci:1"
	m push -p "$R/verbose/l"
	m inspect -v --insecure "$R/verbose/l" >v
	[ "$(jq -r '.[0].Ref' v)" = "$R/verbose/l:latest@$digest" ]
	[ "$(jq -c 'map(.Descriptor.platform.os), map(has("OCIManifest"))' v | tr -d '\n')" = '["linux","linux"][false,true]' ]
}

@test "manifest: what cannot be done is refused in docker's words" {
	same inspect --insecure "$R/src/nope:1"
	same inspect --insecure 127.0.0.1:1/x
	same inspect "$R/l" "$R/src/nope:1"
	same create --insecure "$R/l" "$R/src/nope:1"
	m create --insecure "$R/l" "$R/src/1:1"
	same create --insecure "$R/l" "$R/src/1:1"
	same create -a --insecure "$R/l" "$R/src/1:1"
	same annotate "$R/l" "$R/src/1:1" --arch nope
	same annotate "$R/l" "$R/src/nope:1" --arch arm
	same annotate "$R/other" "$R/src/1:1" --arch arm
	m create --insecure "$S/l" "$R/src/1:1" # only a push compares the registries
	same push "$S/l"
	same inspect "$S/l"
	run -1 m rm "$R/nope" "$R/l" X
	[ "$output" = "No such manifest: $R/nope:latest"$'\n'"invalid reference format: repository name (library/X) must be lowercase" ]
	same push "$R/l"
	m create --insecure "$R/list" "$R/src/1:1"
	m push "$R/list"
	run -1 m create --insecure "$R/l" "$R/list"
	[ "$output" = "$R/list:latest is a manifest list" ]
	run -1 m inspect "$R/src/1:1" # in the clear only when it is asked for
	[[ "$output" == "failed to configure transport: error pinging v2 registry: Get \"https://$R/v2/\": "* ]]
}

@test "manifest: TLS and passwords of config.json" {
	same inspect "$S/src/1:1"
	[[ "$output" == *"no basic auth credentials" ]]
	auth() {
		printf '{"auths":{"%s":{"auth":"%s"}}}' "$S" "$(printf '%s' "$1" | base64)" >config/config.json
	}
	auth u:wrong
	run -1 m inspect "$S/src/1:1"
	[[ "$output" == "unauthorized: "* ]]
	auth u:p
	same inspect "$S/src/1:1"
	m create "$S/l/l" "$S/src/1:1" "$S/src/2:1"
	m push "$S/l/l"
	[ "$(skopeo inspect --raw --tls-verify=false --creds u:p "docker://$S/l/l" | jq '.manifests | length')" = 2 ]
}
