# Images through the daemon, with the docker CLI: what users see of load, import, pull, tag, images and rmi.
# What must not go wrong below is image.sh.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	export DOCKER
	DOCKER=$(docker_cli)
	[ -x "$DOCKER" ] || fail "no docker CLI: ./test fetches it"
	daemon_setup
	cd "$DIR"
	mkdir small
	echo 1 >small/one && tar -C small -cf one.tar one
	echo 2 >small/two && tar -C small -cf two.tar two
	head -c 3000000 /dev/urandom >small/big && tar -C small -cf big.tar big
}

teardown_file() {
	[ -z "${REGISTRY_PID:-}" ] || kill "$REGISTRY_PID" || true
	for pid in registry private token proxy pages slow; do
		[ ! -e "$DIR/$pid.pid" ] || kill "$(cat "$DIR/$pid.pid")" || true
	done
	daemon_teardown
}

setup() {
	cd "$DIR"
}

d() {
	"$DOCKER" "$@"
}

make() {
	python3 "$BATS_TEST_DIRNAME/image_archives.py" "$@"
}

# On a free port of loopback, with image_archives.py's image as lib/t:1 and lib/t:latest.
registry_start() {
	[ ! -e registry.pid ] || return 0
	command -v docker-registry && command -v skopeo || skip "docker-registry or skopeo is missing"
	free_port >port
	cat >registry.yml <<-END
		version: 0.1
		log: {level: error, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $DIR/registry}}
		http: {addr: "127.0.0.1:$(cat port)"}
	END
	docker-registry serve registry.yml >registry.log 2>&1 3>&- &
	echo $! >registry.pid
	eventually 10 curl -sf "http://127.0.0.1:$(cat port)/v2/"
	make save --tag t:1 r.tar one.tar big.tar
	for tag in 1 latest; do
		skopeo --insecure-policy copy -q --dest-tls-verify=false docker-archive:r.tar:t:1 "docker://127.0.0.1:$(cat port)/lib/t:$tag"
	done
}

remove_all() {
	d rmi -f $(d images -aq --no-trunc | sort -u) >/dev/null
	[ -z "$(d images -aq)" ]
}

# What jobs keep below layers/tmp goes when a worker has removed it, a moment after the answer.
empty() {
	[ -z "$(ls "$DIR/data/layers/tmp")" ]
}

not_empty() {
	! empty
}

@test "layers are trees of their own for ext4" {
	[[ "$(stat -f -c %T data)" == ext2/ext3 ]] && command -v lsattr || skip "no ext4, or no lsattr"
	lsattr -d data/layers/tmp | cut -d' ' -f1 | grep -q T
}

@test "load tells what it loaded, from a file and a pipe" {
	make save --tag t:1 --tag other/name:2 s.tar one.tar two.tar
	[ "$(d load -i s.tar)" = $'Loaded image: t:1\nLoaded image: other/name:2' ]
	[ "$(gzip -c s.tar | d load -q)" = $'Loaded image: t:1\nLoaded image: other/name:2' ]
	id=$(make save s.tar two.tar)
	[ "$(d load -i s.tar)" = "Loaded image ID: $id" ]
	[ "$(d images --format '{{.Repository}}:{{.Tag}}' | sort | tr '\n' ' ')" = "<none>:<none> other/name:2 t:1 " ]
	remove_all
}

@test "load shows its steps only when they are wanted" {
	make save --tag t:1 s.tar big.tar
	curl -s --unix-socket "$SOCK" -X POST --data-binary @s.tar 'http://d/v1.45/images/load?quiet=0' >steps
	grep -q '"status":"Loading layer","progressDetail":{"current":[0-9]*,"total":[0-9]*},"progress":"\[=' steps
	remove_all
	curl -s --unix-socket "$SOCK" -X POST --data-binary @s.tar 'http://d/v1.45/images/load?quiet=1' >steps
	[ "$(cat steps)" = $'{"stream":"Loaded image: t:1\\n"}\r' ]
	remove_all
}

@test "a wrong archive is an error, and the next one loads" {
	make save --bad-diff-id --tag t:1 s.tar one.tar
	run -1 d load -i s.tar
	[[ "$output" == *'invalid diffID for layer 0: expected "sha256:'* ]]
	head -c 5000 big.tar >cut.tar
	run -1 d load -i cut.tar
	[ -z "$(d images -aq)" ]
	eventually 5 empty
	make save --tag t:1 s.tar one.tar
	d load -i s.tar
	remove_all
}

@test "import takes changes and a message" {
	id=$(d import -m hello -c 'CMD ["/x"]' -c 'ENV a=b' -c 'EXPOSE 80' one.tar imp:1)
	[ "$(d images -q --no-trunc imp:1)" = "$id" ]
	[ "$(d image inspect -f '{{.Config.Cmd}} {{.Config.Env}} {{.Config.ExposedPorts}} {{.Comment}}' imp:1)" = \
		"[/x] [a=b] map[80/tcp:{}] hello" ]
	[ "$(cat one.tar | d import - piped)" != "" ]
	run -1 d import -c 'RUN x' one.tar
	[[ "$output" == *"RUN is not a valid change command"* ]]
	remove_all
}

@test "tags move, and the last one takes the image along" {
	make save --tag t:1 s.tar one.tar && d load -qi s.tar
	d tag t:1 t:2
	d tag t:1 127.0.0.1:5000/a/b:c
	[ "$(d rmi t:1)" = "Untagged: t:1" ]
	run -1 d rmi t:1
	[[ "$output" == *"No such image: t:1"* ]]
	run -1 d tag nope x
	[[ "$output" == *"No such image: nope:latest"* ]]
	run -1 d rmi "$(d images -q --no-trunc t:2)"
	[[ "$output" == *"(must be forced) - image is referenced in multiple repositories"* ]]
	d rmi 127.0.0.1:5000/a/b:c
	d rmi t:2 | grep -q '^Deleted: sha256:'
	[ -z "$(d images -aq)" ]
	[ "$(ls "$DIR/data/layers" | tr '\n' ' ')" = "empty tmp " ]
}

@test "pull by tag, by digest, and again" {
	registry_start
	t=127.0.0.1:$(cat port)/lib/t
	run -0 d pull "$t"
	[[ "$output" == *"latest: Pulling from lib/t"*"Pull complete"*"Digest: sha256:"*"Status: Downloaded newer image for $t:latest"* ]]
	run -0 d pull "$t"
	[[ "$output" == *"Status: Image is up to date for $t:latest"* ]]
	[ "$(d pull -q "$t:1")" = "$t:1" ]
	digest=$(d image inspect -f '{{index .RepoDigests 0}}' "$t:1")
	[[ "$digest" == "$t@sha256:"* ]]
	remove_all
	d pull "$digest"
	[ "$(d images --digests --format '{{.Repository}}@{{.Digest}} {{.Tag}}')" = "$digest <none>" ]
	remove_all
}

@test "a pull for another platform warns" {
	registry_start
	t=127.0.0.1:$(cat port)/lib/t
	run -0 d pull --platform linux/mips64le "$t:1"
	[[ "$output" == *"WARNING: image with reference $t:1 was found but its platform"*"(linux/mips64le)"* ]]
	remove_all
}

@test "what cannot be pulled says why" {
	registry_start
	run -1 d pull "127.0.0.1:$(cat port)/lib/t:nope"
	[[ "$output" == *"manifest for 127.0.0.1:$(cat port)/lib/t:nope not found: manifest unknown"* ]]
	run -1 d pull 127.0.0.1:1/x
	[[ "$output" == *'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'* ]]
	run -1 d pull registry.invalid/x
	[[ "$output" == *"no such host"* ]]
}

put_manifest() { # NAME:TAG MEDIA-TYPE-OF-CONFIG LAYER: the layer's descriptor as JSON
	local config digest
	config='{}'
	digest=sha256:$(printf '%s' "$config" | sha256sum | cut -d' ' -f1)
	local upload
	upload=$(curl -s -i -X POST "http://127.0.0.1:$(cat port)/v2/${1%:*}/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //Ip')
	curl -sf -X PUT "$upload&digest=$digest" -H 'Content-Type: application/octet-stream' -d "$config"
	curl -sf -X PUT "http://127.0.0.1:$(cat port)/v2/${1%:*}/manifests/${1#*:}" -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
		-d "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",
		\"config\":{\"mediaType\":\"$2\",\"digest\":\"$digest\",\"size\":2},\"layers\":[$3]}"
}

@test "artifacts are refused; layers of every compression are pulled" {
	registry_start
	r=127.0.0.1:$(cat port)
	put_manifest helm:1 application/vnd.cncf.helm.config.v1+json ''
	run -1 d pull "$r/helm:1"
	[[ "$output" == *'Encountered remote "application/vnd.cncf.helm.config.v1+json"(unknown) when fetching'* ]]
	"$WHERRY" manifest inspect --insecure "$r/helm:1" | jq -e '.config.size == 2'
	make layout --tag forms:1 plain.saved one.tar big.tar
	make layout --zstd --tag forms:1 zstd.saved one.tar big.tar
	id=$(make layout --gzip --tag forms:1 gzip.saved one.tar big.tar)
	for form in plain zstd gzip; do
		rm -rf forms && mkdir forms && tar -C forms -xf $form.saved
		# the image alone, not its index, which names platforms that are not there
		skopeo --insecure-policy copy -q --preserve-digests --dest-tls-verify=false oci:forms:forms:1 "docker://$r/forms:$form"
		d pull -q "$r/forms:$form"
		[ "$(d images -q --no-trunc "$r/forms:$form")" = "$id" ]
		remove_all
	done
	[ "$(skopeo inspect --raw --tls-verify=false "docker://$r/forms:plain" | jq -r '.layers[0].mediaType')" = application/vnd.oci.image.layer.v1.tar ]
	[ "$(skopeo inspect --raw --tls-verify=false "docker://$r/forms:zstd" | jq -r '.layers[0].mediaType')" = application/vnd.oci.image.layer.v1.tar+zstd ]
}

auth() { # USER PASSWORD [PORT]: the engine's status and words
	api POST /auth -H 'Content-Type: application/json' -w ' %{http_code}' \
		-d "{\"username\":\"$1\",\"password\":\"$2\",\"serveraddress\":\"127.0.0.1:${3:-$(cat private.port)}\"}" | tr -d '\n'
}

@test "a registry with passwords is asked whether a login is good" {
	command -v docker-registry || skip "docker-registry is missing"
	python3 -Wignore -c 'import crypt; print("u:" + crypt.crypt("p", crypt.mksalt(crypt.METHOD_BLOWFISH)))' >htpasswd
	free_port >private.port
	r=127.0.0.1:$(cat private.port)
	printf '%s\n' 'version: 0.1' 'log: {level: error, accesslog: {disabled: true}}' "http: {addr: \"$r\"}" \
		"storage: {filesystem: {rootdirectory: $DIR/private}}" "auth: {htpasswd: {realm: r, path: $DIR/htpasswd}}" >private.yml
	docker-registry serve private.yml >private.log 2>&1 3>&- &
	echo $! >private.pid
	eventually 10 curl -s -o /dev/null "http://$r/v2/"
	[ "$(auth u p)" = '{"Status":"Login Succeeded","IdentityToken":""} 200' ]
	[ "$(auth u wrong)" = "{\"message\":\"login attempt to http://$r/v2/ failed with status: 401 Unauthorized\"} 401" ]
	[ "$(auth '' '')" = "{\"message\":\"Get \\\"http://$r/v2/\\\": no basic auth credentials\"} 401" ]
	[[ "$(auth u p 1)" == *'dial tcp 127.0.0.1:1: connect: connection refused'*' 500' ]]
	[[ "$(auth u p '1 2')" == *'unable to parse server address: '*' 400' ]]
	run -1 d login -u u -p wrong "$r"
	[[ "$output" == *"login attempt to http://$r/v2/ failed with status: 401 Unauthorized"* ]]
	run -1 "$WHERRY" login -u u -p wrong "$r"
	[[ "$output" == *"login attempt to http://$r/v2/ failed with status: 401 Unauthorized"* ]]
	run ! grep -q "$r" "$DOCKER_CONFIG/config.json"
	run -0 "$WHERRY" login -u u -p p "$r"
	[[ "$output" == *"Login Succeeded"* ]]
	run -0 "$WHERRY" logout "$r"
	run -0 d login -u u -p p "$r"
	d logout "$r"
}

@test "a token server is asked whether a login is good" {
	port=$(free_port)
	python3 "$BATS_TEST_DIRNAME/image_proxy.py" "$port" 1 token >proxy.log 2>&1 3>&- &
	echo $! >token.pid
	eventually 10 curl -s -o /dev/null "http://127.0.0.1:$port/v2/"
	[ "$(auth u wrong "$port")" = \
		"{\"message\":\"Get \\\"http://127.0.0.1:$port/v2/\\\": unauthorized: incorrect username or password\"} 401" ]
	[ "$(auth u p "$port")" = '{"Status":"Login Succeeded","IdentityToken":""} 200' ]
	grep -q '^token /token?service=reg&account=u&client_id=docker&offline_token=true$' proxy.log # for no repository
}

@test "pulls at the same time fetch a layer once" {
	registry_start
	t=127.0.0.1:$(cat port)/lib/t
	for n in 1 2 3 4; do
		d pull "$t:1" >"pull.$n" 2>&1 3>&- &
		pids[n]=$!
	done
	for n in 1 2 3 4; do
		wait "${pids[n]}"
	done
	[ "$(cat pull.? | grep -c 'Download complete')" = 2 ]
	eventually 5 empty
	remove_all
}

@test "pull takes all tags of a repository" {
	registry_start
	t=127.0.0.1:$(cat port)/lib/t
	d pull -a "$t" >all
	grep -q "^1: Pulling from lib/t" all
	grep -q "^latest: Pulling from lib/t" all
	[ "$(grep -c '^Digest: sha256:' all)" = 2 ]
	[ "$(grep '^Status' all)" = "Status: Downloaded newer image for $t" ]
	[ "$(d images --format '{{.Tag}}' "$t" | sort | tr '\n' ' ')" = "1 latest " ]
	remove_all
	"$WHERRY" pull -q -a "$t"
	[ "$(d images --format '{{.Tag}}' "$t" | sort | tr '\n' ' ')" = "1 latest " ]
	run -1 "$WHERRY" pull -a "$t:1"
	[[ "$output" == *"tag can't be used with --all-tags/-a"* ]]
	run -1 d pull -a "127.0.0.1:$(cat port)/lib/nothing"
	[[ "$output" == *"not found"* ]]
	remove_all
}

@test "all tags: what came before a failure stays; many tags and pages of them" {
	registry_start
	tags=registry/docker/registry/v2/repositories/lib/many/_manifests/tags
	cp -r registry/docker/registry/v2/repositories/lib/t registry/docker/registry/v2/repositories/lib/many
	many=127.0.0.1:$(cat port)/lib/many
	mv $tags/1 $tags/a && rm -r $tags/latest
	cp -r $tags/a $tags/b && cp -r $tags/a $tags/c
	printf 'sha256:%064d' 0 >$tags/b/current/link # nobody has it
	run -1 d pull -a "$many"
	[[ "$output" == *"manifest for $many:b not found"* ]]
	before=$(curl -s "http://${many%%/*}/v2/lib/many/tags/list" | jq -r '.tags[]' | sed '/^b$/Q' | sort)
	[ "$(d images --format '{{.Tag}}' "$many" | sort)" = "$before" ]
	[ -z "$before" ] || remove_all
	rm -r $tags/b
	for n in $(seq 300); do
		cp -r $tags/a "$tags/t$n"
	done
	free_port >pages.port
	python3 "$BATS_TEST_DIRNAME/image_proxy.py" "$(cat pages.port)" "$(cat port)" pages >pages.log 2>&1 3>&- &
	echo $! >pages.pid
	eventually 10 curl -sf "http://127.0.0.1:$(cat pages.port)/v2/"
	"$WHERRY" pull -q -a "127.0.0.1:$(cat pages.port)/lib/many"
	[ "$(d images -q "127.0.0.1:$(cat pages.port)/lib/many" | wc -l)" = 302 ]
	[ "$(grep -c '^page' pages.log)" = 4 ] # of 100 each
	remove_all
}

@test "downloads at the same time are as many as the configuration says" {
	registry_start
	for n in 1 2 3 4; do
		head -c 150000 /dev/urandom >small/many && tar -C small -cf "many$n.tar" many
	done
	make save --tag m:1 many.tar many1.tar many2.tar many3.tar many4.tar
	skopeo --insecure-policy copy -q --dest-tls-verify=false docker-archive:many.tar:m:1 "docker://127.0.0.1:$(cat port)/m:1"
	for n in 1 4; do
		before=$(grep -c 'configuration_reloaded' daemon.log) || true
		echo "{\"max-concurrent-downloads\": $n}" >daemon.json
		kill -HUP "$(cat daemon.pid)"
		eventually 10 eval "[ \$(grep -c 'configuration_reloaded' daemon.log) -gt $before ]"
		port=$(free_port)
		python3 "$BATS_TEST_DIRNAME/image_proxy.py" "$port" "$(cat port)" "together$n" >together.log 2>&1 3>&- &
		echo $! >slow.pid
		eventually 10 curl -sf "http://127.0.0.1:$port/v2/"
		d pull -q "127.0.0.1:$port/m:1"
		[ "$(sed -n 's/^together //p' together.log | sort -n | tail -1)" = $n ]
		kill "$(cat slow.pid)"
		rm slow.pid
		remove_all
	done
	echo '{}' >daemon.json
}

# What is kept of an unfinished layer, when it is more than a megabyte.
kept_of_a_pull() {
	[ -n "$(find "$DIR/data/layers/partial" -type f -size +1000k 2>/dev/null)" ]
}

@test "a pull that is cancelled keeps what it has, until a prune" {
	registry_start
	port=$(free_port)
	python3 "$BATS_TEST_DIRNAME/image_proxy.py" "$port" "$(cat port)" hold >proxy.log 2>&1 3>&- &
	echo $! >proxy.pid
	eventually 10 curl -s -o /dev/null "http://127.0.0.1:$port/v2/"
	"$DOCKER" pull "127.0.0.1:$port/lib/t:1" >/dev/null 2>&1 3>&- &
	pid=$!
	eventually 20 kept_of_a_pull
	kill $pid
	wait $pid || true
	eventually 10 empty
	kept_of_a_pull
	[ "$(api POST /images/prune | jq .SpaceReclaimed)" -gt 1000000 ]
	eventually 5 test ! -e "$DIR/data/layers/partial"
	[ -z "$(d images -aq)" ]
	d pull -q "127.0.0.1:$port/lib/t:1"
	[ "$(grep -c ^range proxy.log)" = 0 ]
	remove_all
}

@test "a client that goes away ends its load" {
	mkfifo slow
	make save --tag t:1 s.tar big.tar
	d load <slow >/dev/null 2>&1 3>&- &
	pid=$!
	exec 9>slow
	head -c 2000000 s.tar >&9
	eventually 5 not_empty
	kill -9 $pid
	exec 9>&-
	eventually 5 empty
	[ -z "$(d images -aq)" ]
}

@test "a daemon that is killed in a load begins clean" {
	rm -f slow && mkfifo slow
	d load <slow >/dev/null 2>&1 3>&- &
	pid=$!
	exec 9>slow
	head -c 2000000 s.tar >&9
	eventually 5 not_empty
	daemon_signal KILL
	exec 9>&-
	wait $pid || true
	daemon_start
	eventually 5 empty
	[ -z "$(d images -aq)" ]
	d load -qi s.tar
	remove_all
}
