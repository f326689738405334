#!/bin/sh
# Starts nginx in the foreground, as the user the container runs as.
#
# LOG_RETENTION=true: logs of earlier runs are kept, in a folder named with the date and time of this start.
# Otherwise they are removed. A secret /run/secrets/NAME is preferred to the environment variable NAME.
set -eu
logs=/var/log/nginx
conf=/etc/nginx/nginx.conf

setting() { # NAME DEFAULT
	if [ -r "/run/secrets/$1" ]; then
		cat "/run/secrets/$1"
	else
		eval "printf '%s\n' \"\${$1:-$2}\""
	fi
}

retain_logs() {
	set -- "$logs"/*.log
	[ -e "$1" ] || return 0
	case $(setting LOG_RETENTION false) in
	[Tt]rue | 1 | yes)
		# A restart within the same second must not mix two runs.
		folder=$logs/$(date +%Y-%m-%d_%H-%M-%S)
		while ! mkdir "$folder" 2>/dev/null; do
			[ -d "$folder" ] || { echo "run.sh: cannot make $folder" >&2; return 0; }
			folder=${folder}x
		done
		mv "$@" "$folder"
		;;
	*) rm -f "$@" ;;
	esac
}

# nginx reads the address in `upstream app` only at its start and refuses to start without one. When the app is
# away it starts all the same, shows the error page, and finds the app by the resolver when it is back.
find_app() {
	for _ in 1 2 3 4 5; do
		! getent hosts app >/dev/null || return 0
		sleep 1
	done
	echo "run.sh: no service named app yet; starting without it" >&2
	sed 's/server app:8000 /server 127.0.0.1:8000 /' "$conf" >/tmp/nginx.conf
	conf=/tmp/nginx.conf
}

retain_logs
find_app
exec nginx -e "$logs/error.log" -c "$conf" -g 'daemon off;'
