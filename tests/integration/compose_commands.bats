# wherry compose, command by command: words, exit status, which stream. What docker compose 2.40.3 answers stands in the tests.
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
	P=$DIR/p
	rm -rf "$P"
	mkdir -p "$P"
	cd "$P" || return 1
	cat >compose.yaml <<-'YAML'
		services:
		  a:
		    image: bb
		    command: sh -c "echo hello; exec sleep 1000"
		    init: true
		  b:
		    image: bb
		    command: sleep 1000
		    init: true
		    depends_on: [a]
	YAML
}

teardown() {
	cd "$P" && "$WHERRY" compose --profile '*' down -v -t 0 --remove-orphans >/dev/null 2>&1 || true
}

c() {
	"$WHERRY" compose "$@"
}

# refused TEXT WORD...: status 1 and that sentence alone
refused() {
	local text=$1
	shift
	run --separate-stderr c "$@"
	[ "$status" -eq 1 ] && [ "$stderr" = "$text" ] && [ -z "$output" ]
}

@test "wrong words are answered as docker compose answers them" {
	refused 'unknown flag: --bogus' up --bogus
	refused "unknown shorthand flag: 'Z' in -Z" stop -Z
	refused 'requires at least 2 arg(s), only received 1' exec a
	refused 'unknown command "x" for "wherry compose ls"' ls x
	refused 'unsupported --progress value "x"' --progress x ps
	refused "can't use --progress tty while ANSI support is disabled" --ansi never --progress tty ps
	refused 'COMPOSE_PARALLEL_LIMIT must be an integer (found: "many")' --env-file <(echo COMPOSE_PARALLEL_LIMIT=many) ps
	run c bogus
	[ "$status" -eq 1 ]
	[[ "$output" == *'unknown docker command: "compose bogus"' ]]
	[[ "$(c version --short)" =~ ^2\.[0-9]+\.[0-9]+\+wherry ]]
	[[ "$(c version -f json)" == '{"version":"2.'*'"}' ]]
}
