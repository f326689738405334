# Logins: config.json, credential helpers, identity tokens. Everything the docker CLI does too is done by both, and compared.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	command -v docker-registry && command -v skopeo || {
		skip_all "docker-registry or skopeo is missing"
		return 0
	}
	export DOCKER
	DOCKER=$(docker_cli)
	[ -x "$DOCKER" ] || fail "no docker CLI: ./test fetches it"
	daemon_setup
	cd "$DIR"
	export PORT TOKEN_PORT FAKE_DIR=$DIR PATH=$BATS_TEST_DIRNAME:$DIR/helpers:$PATH
	PORT=$(free_port)
	TOKEN_PORT=$(free_port)
	export R=127.0.0.1:$TOKEN_PORT
	mkdir helpers small && echo 1 >small/one && tar -C small -cf one.tar one
	printf '#!/bin/sh\necho boom; exit 3\n' >helpers/docker-credential-bad
	chmod 755 helpers/*
	cat >registry.yml <<-END
		version: 0.1
		log: {level: error, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $DIR/registry}}
		http: {addr: "127.0.0.1:$PORT"}
	END
	docker-registry serve registry.yml >registry.log 2>&1 3>&- &
	echo $! >registry.pid
	python3 "$BATS_TEST_DIRNAME/token_server.py" "$TOKEN_PORT" "$PORT" >token.log 2>&1 3>&- &
	echo $! >token.pid
	eventually 10 curl -sf "http://127.0.0.1:$PORT/v2/"
	eventually 10 curl -s -o /dev/null "http://$R/v2/"
	python3 "$BATS_TEST_DIRNAME/image_archives.py" save --tag t:1 t.tar one.tar
	skopeo --insecure-policy copy -q --dest-tls-verify=false docker-archive:t.tar:t:1 "docker://127.0.0.1:$PORT/t:1"
}

teardown_file() {
	for pid in registry token private; do
		[ ! -e "$DIR/$pid.pid" ] || kill "$(cat "$DIR/$pid.pid")" || true
	done
	daemon_teardown
}

setup() {
	skip_if_all
	cd "$DIR"
	rm -f cred.* helper.log ./*.says "$DOCKER_CONFIG/config.json"
}

config() { # JSON: what config.json is
	echo "$1" >"$DOCKER_CONFIG/config.json"
}

one_says() { # PROGRAM CONFIG INPUT WORD...: its words and status, then config.json and what a helper was asked
	local program=$1 input=$3 status=0
	config "$2"
	rm -f cred.* helper.log
	shift 3
	echo "== $*"
	printf %s "$input" | "$program" "$@" 2>&1 || status=$?
	echo "status $status"
	echo "config $(tr -d '\n' <"$DOCKER_CONFIG/config.json")"
	[ ! -e helper.log ] || sort -u helper.log
}

# docker's and ours, to be compared by same_words.
both_say() {
	one_says "$DOCKER" "$@" >>docker.says
	# docker says nothing of a helper that fails when it is asked
	one_says "$WHERRY" "$@" | sed "s/'wherry /'docker /g; /^WARNING: error getting credentials/d" >>wherry.says
}

same_words() {
	python3 -SE - docker.says wherry.says <<-'END'
		import json, sys
		for name in sys.argv[1:]:
		    lines = open(name).read().split("\n")
		    for i, line in enumerate(lines):
		        if line.startswith("config "):
		            lines[i] = json.dumps(json.loads(line[7:]), sort_keys=True)
		    open(name, "w").write("\n".join(lines))
	END
	diff -u docker.says wherry.says
}

@test "login and logout say and keep what docker's do" {
	both_say '{}' '' login -u u -p wrong "$R"
	both_say '{}' '' login "$R"
	both_say '{}' '' login -u u "$R"
	both_say '{}' '' login -u u --password-stdin "$R"
	both_say '{}' $'wrong\nmore' login -u u --password-stdin "$R"
	both_say '{}' p login --password-stdin "$R"
	both_say '{}' p login -u u -p p --password-stdin "$R"
	both_say '{}' '' login -u '' -p p "$R"
	both_say '{}' '' login -u u -p '' "$R"
	known="{\"auths\":{\"$R\":{\"auth\":\"dTp4\"}}}" # u:x
	both_say "$known" '' login "$R"
	both_say "$known" '' logout "$R"
	both_say "$known" '' logout "https://$R/v2/"
	both_say "{\"auths\":{\"https://$R\":{\"auth\":\"dTp4\"}, \"other\":{\"auth\":\"dTp4\"}}}" '' logout "$R"
	both_say '{}' '' logout "$R"
	same_words
}

@test "credential helpers are asked as docker asks them" {
	token=$R
	R=127.0.0.1:$PORT # takes every password and gives no token
	both_say '{}' $'p\n' login -u u --password-stdin "$R"
	for config in '{"credsStore":"fake"}' "{\"credHelpers\":{\"$R\":\"fake\"}}"; do
		both_say "$config" $'p\n' login -u u --password-stdin "$R"
		both_say "$config" $'p\r\n' login -u u --password-stdin "http://$R/v2/"
		both_say "$config" '' login "$R"
	done
	for name in bad nothere; do
		both_say "{\"credsStore\":\"$name\"}" '' login -u u -p p "$R"
		both_say "{\"credsStore\":\"$name\"}" '' login "$R"
		both_say "{\"credsStore\":\"$name\"}" '' pull "$token/t:1"
	done
	same_words
	for name in bad nothere; do # docker's order is that of a Go map
		one_says "$DOCKER" "{\"credsStore\":\"$name\"}" '' logout "$R/v2/" | tr -d ' \t' | sort >docker.says
		one_says "$WHERRY" "{\"credsStore\":\"$name\"}" '' logout "$R/v2/" | tr -d ' \t' | sort >wherry.says
		diff -u docker.says wherry.says
	done
}

@test "an identity token is kept and sent instead of the password" {
	[ "$(api POST /auth -H 'Content-Type: application/json' -d "{\"username\":\"u\",\"password\":\"p\",\"serveraddress\":\"$R\"}")" = \
		'{"Status":"Login Succeeded","IdentityToken":"the.refresh"}' ]
	for program in "$WHERRY" "$DOCKER"; do
		config '{}'
		echo p | "$program" login -u u --password-stdin "$R"
		[ "$(python3 -c 'import json, sys; print(json.load(sys.stdin)["auths"][sys.argv[1]]["identitytoken"])' "$R" \
			<"$DOCKER_CONFIG/config.json")" = the.refresh ]
		run ! grep -q "$(printf u:p | base64)" "$DOCKER_CONFIG/config.json"
	done
	for program in "$WHERRY" "$DOCKER"; do
		: >token.log
		"$program" pull -q "$R/t:1"
		grep -q '^oauth refresh_token docker repository:t:pull$' token.log
		run ! grep -q basic token.log
		"$program" rmi "$R/t:1"
	done
	# a helper keeps it under its own name
	config '{"credsStore":"fake"}'
	echo p | "$WHERRY" login -u u --password-stdin "$R"
	grep -qF '"Username":"<token>","Secret":"the.refresh"' cred.*
	run ! grep -q the.refresh "$DOCKER_CONFIG/config.json"
	"$WHERRY" pull -q "$R/t:1" && "$WHERRY" rmi "$R/t:1"
	# a wrong token is no token
	config "{\"auths\":{\"$R\":{\"identitytoken\":\"other\"}}}"
	run -1 "$WHERRY" pull -q "$R/t:1"
	[[ "$output" == *"pull access denied for $R/t"* ]]
}

@test "every form of a stored login is good for pull, run, build and compose" {
	mkdir -p project && echo "FROM $R/t:1" >project/Dockerfile
	printf 'services: {a: {image: "%s/t:1", command: x}}\n' "$R" >project/compose.yaml
	pair=$(printf u:p | base64)
	printf '{"ServerURL":"%s","Username":"u","Secret":"p"}' "$R" >keep
	for config in "{\"auths\":{\"$R\":{\"auth\":\"$pair\"}}}" "{\"auths\":{\"http://$R/v1/\":{\"auth\":\"$pair\"}}}" \
		"{\"auths\":{\"$R\":{\"username\":\"u\",\"password\":\"p\"}}}" "{\"credHelpers\":{\"$R\":\"fake\"}}" \
		"{\"credsStore\":\"fake\",\"auths\":{\"$R\":{}}}"; do
		config "$config"
		cp keep "cred.$(printf %s "$R" | tr '/:' '__')"
		"$WHERRY" pull -q "$R/t:1" && "$WHERRY" rmi "$R/t:1"
	done
	for command in "create $R/t:1 x" "build -q -t made project" "compose -f project/compose.yaml pull -q" \
		"compose -f project/compose.yaml create"; do
		$WHERRY $command
		"$WHERRY" ps -aq | xargs -r "$WHERRY" rm -f
		"$WHERRY" images -q | sort -u | xargs "$WHERRY" rmi -f
	done
	rm cred.*
	run -1 "$WHERRY" pull -q "$R/t:1"
}

docker20() { # the path of a docker CLI that has BuildKit's calls in itself, when there is one
	local cli
	for cli in /usr/bin/docker "$DOCKER"; do
		[ ! -x "$cli" ] || ! "$cli" --version | grep -q ' 20\.10' || { echo "$cli" && return; }
	done
}

@test "a build logs in by its session, for its base and for its push" {
	local private made=0 program buildkit
	buildkit=$(docker20)
	private=127.0.0.1:$(free_port)
	perl -e 'print "u:", crypt("p", "\$2b\$05\$abcdefghijklmnopqrstuu"), "\n"' >htpasswd
	printf '%s\n' 'version: 0.1' 'log: {level: error, accesslog: {disabled: true}}' "http: {addr: \"$private\"}" \
		"storage: {filesystem: {rootdirectory: $DIR/private}}" "auth: {htpasswd: {realm: r, path: $DIR/htpasswd}}" >private.yml
	docker-registry serve private.yml >private.log 2>&1 3>&- &
	echo $! >private.pid
	eventually 10 curl -s -o /dev/null "http://$private/v2/"
	skopeo --insecure-policy copy -q --dest-creds u:p --dest-tls-verify=false docker-archive:t.tar:t:1 "docker://$private/t:1"
	mkdir -p logged && echo "FROM $private/t:1" >logged/Dockerfile && echo 'COPY Dockerfile /d' >>logged/Dockerfile
	for program in "$WHERRY" $buildkit; do
		made=$((made + 1))
		config "{\"auths\":{\"$private\":{\"auth\":\"dTpw\"}}}"
		DOCKER_BUILDKIT=1 "$program" build --pull --progress plain -o "type=image,name=$private/made:$made,push=true" logged
		skopeo inspect --raw --creds u:p --tls-verify=false "docker://$private/made:$made" | grep -q layers
		config "{\"auths\":{\"$private\":{\"auth\":\"dTp4\"}}}" # u:x
		DOCKER_BUILDKIT=1 run -1 "$program" build --pull --progress plain logged
		[[ $output == *"$private/t"* && $output == *[Uu]nauthorized* ]] || fail "$output"
		# a refresh token goes by the session, too
		config "{\"auths\":{\"$R\":{\"identitytoken\":\"the.refresh\"}}}"
		: >token.log
		echo "FROM $R/t:1" | DOCKER_BUILDKIT=1 "$program" build --pull -q -
		grep -q '^oauth refresh_token' token.log
		run ! grep -q basic token.log
	done
}

@test "what else is in config.json stays, also behind a link" {
	mkdir -p elsewhere
	echo '{"psFormat":"{{.ID}}","mine":{"n":1234567890123456789,"list":[1,null,"ü"]},"auths":{"a":{"auth":"dTp4"}}}' >elsewhere/c
	chmod 644 elsewhere/c
	ln -s "$DIR/elsewhere/c" "$DOCKER_CONFIG/config.json"
	echo p | "$WHERRY" login -u u --password-stdin "$R"
	[ -L "$DOCKER_CONFIG/config.json" ]
	[ "$(stat -c %a elsewhere/c)" = 600 ]
	python3 - elsewhere/c "$R" <<-'END'
		import json, sys
		c = json.load(open(sys.argv[1]))
		assert c["psFormat"] == "{{.ID}}" and c["mine"] == {"n": 1234567890123456789, "list": [1, None, "ü"]}, c
		assert c["auths"]["a"] == {"auth": "dTp4"} and sys.argv[2] in c["auths"], c
	END
	[ "$(ls elsewhere)" = c ] # no temporary file is left
	rm "$DOCKER_CONFIG/config.json"
	# a file that is not understood is not replaced
	config '{"auths": '
	run -1 "$WHERRY" login -u u -p p "$R"
	[ "$(cat "$DOCKER_CONFIG/config.json")" = '{"auths": ' ]
}

@test "a terminal is asked for what is missing, and does not show the password" {
	command -v script || skip "script is missing"
	config '{}'
	printf 'u\np\n' | script -qec "$WHERRY login $R" /dev/null >said
	grep -q 'Username: ' said && grep -q 'Password: ' said && grep -q 'Login Succeeded' said
	grep -q the.refresh "$DOCKER_CONFIG/config.json"
	# the name of a login that is no longer good is offered
	config "{\"auths\":{\"$R\":{\"auth\":\"dTp4\"}}}"
	printf '\np\n' | script -qec "$WHERRY login $R" /dev/null >said
	grep -qF 'Username (u): ' said && grep -q 'Login Succeeded' said
}
