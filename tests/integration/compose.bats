# wherry compose against the engine: up, ps, logs, down, what changes and what does not, and files that are wrong.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	daemon_setup
	busybox_image
}

teardown_file() {
	daemon_teardown
}

setup() {
	cd "$(mktemp -d "$DIR/project.XXXXXX")"
	export COMPOSE_PROJECT_NAME=p$RANDOM
}

teardown() {
	local ids
	ids=$("$WHERRY" ps -aq)
	[ -z "$ids" ] || "$WHERRY" rm -f -v $ids >/dev/null
	"$WHERRY" network ls -q -f label=com.docker.compose.project | xargs -r "$WHERRY" network rm >/dev/null
	"$WHERRY" volume ls -q -f label=com.docker.compose.project | xargs -r "$WHERRY" volume rm >/dev/null
}

c() {
	"$WHERRY" compose "$@"
}

w() {
	"$WHERRY" "$@"
}

nothing_exists() {
	[ -z "$(w ps -aq)" ] || fail "containers: $(w ps -a)"
	[ -z "$(w network ls -q -f label=com.docker.compose.project)" ] || fail "networks are left"
	[ -z "$(w volume ls -q -f label=com.docker.compose.project)" ] || fail "volumes are left"
}

# A file that must be refused: compose.yaml from stdin; $1: what the sentence must hold.
refused() {
	cat >compose.yaml
	run c up -d
	[ "$status" -ne 0 ] || fail "accepted: $(cat compose.yaml)"
	[[ "$output" == *"$1"* ]] || fail "expected '$1' in: $output"
	[ "$(grep -c . <<<"$output")" -le 2 ] || fail "more than a sentence: $output"
	nothing_exists
}

@test "up, ps, logs and down of two services that know each other by name" {
	cat >compose.yaml <<-'END'
		x-common: &common
		  GREETING: hello
		services:
		  web:
		    image: bb
		    command: ["sh", "-c", "mkdir -p /w; echo $$GREETING $$WHO > /w/index.html; exec httpd -f -p 80 -h /w"]
		    environment:
		      <<: *common
		      WHO: ${WHO:-world}
		    healthcheck:
		      test: wget -qO- http://localhost/
		      interval: 200ms
		    networks: [front]
		  client:
		    image: bb
		    depends_on:
		      web:
		        condition: service_healthy
		    command: sh -c 'wget -qO- http://web/; exec sleep 1000'
		    networks: [front]
		    stop_signal: KILL
		networks:
		  front: {}
	END
	c up -d
	eventually 5 sh -c "'$WHERRY' compose logs client | grep -q 'hello world'"
	[ "$(c ps --services | sort | tr '\n' ' ')" = "client web " ]
	[ "$(c ps -q | wc -l)" -eq 2 ]
	before=$(w ps -q --no-trunc | sort)
	c up -d
	[ "$(w ps -q --no-trunc | sort)" = "$before" ] || fail "an up without change made containers new"
	WHO=moon c up -d
	eventually 5 sh -c "'$WHERRY' compose exec -T web wget -qO- http://localhost/ | grep -q 'hello moon'"
	c down -t 1
	nothing_exists
}

@test "labels and names are those of docker compose" {
	printf 'services:\n  one:\n    image: bb\n    command: sleep 1000\n    volumes: ["data:/data"]\nvolumes:\n  data:\n' >compose.yaml
	c up -d
	[ "$(w ps --format '{{.Names}}')" = "$COMPOSE_PROJECT_NAME-one-1" ]
	[ "$(w inspect -f '{{index .Config.Labels "com.docker.compose.service"}}' "$COMPOSE_PROJECT_NAME-one-1")" = one ] ||
		[[ "$(w inspect "$COMPOSE_PROJECT_NAME-one-1")" == *'"com.docker.compose.service": "one"'* ]]
	w network inspect "${COMPOSE_PROJECT_NAME}_default" >/dev/null
	w volume inspect "${COMPOSE_PROJECT_NAME}_data" >/dev/null
	c down -t 0
	w volume inspect "${COMPOSE_PROJECT_NAME}_data" >/dev/null
	c down -v -t 0
	nothing_exists
}

@test "up --build builds the image and uses a new one" {
	mkdir app
	printf 'FROM bb\nARG WORD=none\nRUN echo $WORD >/word\nCMD ["sh", "-c", "cat /word; exec sleep 1000"]\n' >app/Dockerfile
	printf 'services:\n  app:\n    stop_signal: KILL\n    build:\n      context: app\n      args:\n        WORD: first\n' >compose.yaml
	c up --build -d
	eventually 5 sh -c "'$WHERRY' compose logs --no-log-prefix app | grep -qx first"
	sed -i s/first/second/ compose.yaml
	c up --build -d
	eventually 5 sh -c "'$WHERRY' compose logs --no-log-prefix app | grep -qx second"
	c down --rmi local -t 0
	nothing_exists
	run w image inspect "$COMPOSE_PROJECT_NAME-app"
	[ "$status" -ne 0 ]
}

@test "a service that cannot start says why and down takes the rest away" {
	printf 'services:\n  good:\n    image: bb\n    command: sleep 1000\n    stop_signal: KILL\n  bad:\n    image: bb\n    command: nosuchcommand\n    depends_on: [good]\n' >compose.yaml
	run c up -d
	[ "$status" -ne 0 ]
	[[ "$output" == *nosuchcommand* ]]
	c down -t 0
	nothing_exists
}

@test "a build that fails creates nothing" {
	mkdir app
	printf 'FROM bb\nRUN exit 3\n' >app/Dockerfile
	printf 'services:\n  app:\n    build: app\n  other:\n    image: bb\n    command: sleep 1000\n' >compose.yaml
	run c up --build -d
	[ "$status" -ne 0 ]
	[[ "$output" == *"Dockerfile:2"* ]]
	nothing_exists
}

@test "wrong files are refused with line and column before anything is made" {
	refused 'compose.yaml:3:5' <<-'END'
		services:
		  a:
		    imagee: bb
	END
	refused 'compose.yaml:4:' <<-'END'
		services:
		  a:
		    image: bb
		    ports: ["99999:80"]
	END
	refused 'compose.yaml:4:' <<-'END'
		services:
		  a:
		    image: bb
		    restart: sometimes
	END
	refused 'compose.yaml:' <<-'END'
		services:
		  a:
		    image: bb
		    depends_on: [b]
	END
	refused 'compose.yaml:' <<-'END'
		services:
		  a: {image: bb, depends_on: [b]}
		  b: {image: bb, depends_on: [a]}
	END
	refused 'compose.yaml:' <<-'END'
		services:
		  a:
		    image: bb
		   command: x
	END
	refused 'MISSING' <<-'END'
		services:
		  a:
		    image: ${MISSING:?must be set}
	END
	refused 'compose.yaml:' <<-'END'
		services:
		  a:
		    image: bb
		    networks: [undeclared]
	END
	rm compose.yaml
	run c up -d
	[ "$status" -ne 0 ]
	[[ "$output" == *"compose.yaml"* || "$output" == *"configuration file"* ]]
}

@test "an alias bomb meets a limit" {
	{
		echo 'a: &a [x,x,x,x,x,x,x,x,x]'
		prev=a
		for n in b c d e f g h i; do
			echo "$n: &$n [*$prev,*$prev,*$prev,*$prev,*$prev,*$prev,*$prev,*$prev,*$prev]"
			prev=$n
		done
		echo 'services: {a: {image: bb}}'
	} >compose.yaml
	run timeout 10 "$WHERRY" compose config
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	[[ "$output" == *compose.yaml:* ]]
}

@test "attached up prints prefixed lines and Ctrl-C stops the services" {
	printf 'services:\n  a:\n    image: bb\n    command: sh -c "echo from-a; exec sleep 1000"\n    stop_signal: KILL\n' >compose.yaml
	"$WHERRY" compose up >out 2>&1 &
	pid=$!
	eventually 10 grep -q 'from-a' out
	grep -q 'a-1.*| from-a' out
	kill -INT $pid
	wait $pid || true
	[ -z "$(w ps -q)" ]
	c down
	nothing_exists
}

@test "scale, stop, start, restart and rm" {
	printf 'services:\n  a:\n    image: bb\n    command: sleep 1000\n    stop_signal: KILL\n' >compose.yaml
	c up -d --scale a=3
	[ "$(c ps -q | wc -l)" -eq 3 ]
	c stop
	[ -z "$(w ps -q)" ]
	c start
	[ "$(w ps -q | wc -l)" -eq 3 ]
	c up -d --scale a=1
	[ "$(c ps -q | wc -l)" -eq 1 ]
	c restart -t 0
	c rm -f -s
	c down
	nothing_exists
}
