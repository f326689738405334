# Volumes of servers: NFS and SMB in the guest itself, which go away (their packets are dropped) and come back.

NEEDS=keep-volume

# /srv/share is what both serve: guest/servers.sh.
servers() {
	guest <<'S' || return
	[ -d /run/payload/servers ] || { echo "the servers' packages cannot be had"; exit 77; }
	[ -e /run/w/served ] || bash /run/w/servers.sh /run/payload/servers start >/run/w/servers.log 2>&1 || { cat /run/w/servers.log; exit 1; }
	touch /run/w/served
	nft delete table inet dead 2>/dev/null || true
	rm -f /srv/share/by-*
S
}

VOLUMES='
state_of() { # VOLUME
	wherry volume inspect -f "{{.Status.State}}" "$1"
}
state_is() { # VOLUME STATE
	[ "$(state_of "$1")" = "$2" ]
}
server() { # dead|alive
	bash /run/w/servers.sh /run/payload/servers "$1"
}
credentials() { # PASSWORD
	(umask 077 && printf "username=bob\npassword=%s\n" "$1" >/run/w/case/smb.cred)
}
# Whatever anybody may look at, but the file itself.
all_words() {
	wherry volume inspect $(wherry volume ls -q)
	wherry inspect $(wherry ps -aq)
	wherry ps -a --no-trunc
	wherry events --since 1h --until 0s
	journalctl -o cat -b
	cat /proc/*/cmdline /proc/*/environ /proc/*/mountinfo 2>/dev/null || true
	grep -as "" /run/wherry/containers/*/config.json || true
}
'

volumes_guest() {
	{
		echo "$VOLUMES"
		cat
	} | guest "$@"
}

line volumes "NFS and SMB volumes, credentials from a secret: mounted, written to; a wrong password is a reason, and is nowhere to be seen"
case_volumes() {
	servers
	volumes_guest <<'S'
	credentials opensesami
	cat >"$CASE/compose.yaml" <<C
name: nas
services:
  app:
    image: bb
    command: sleep 100000
    stop_grace_period: 1s
    volumes: ["smb:/s", "nfs:/n"]
volumes:
  smb:
    driver_opts: {type: cifs, device: //127.0.0.1/share}
    x-wherry: {credentials: login, wait: true}
  nfs:
    driver_opts: {type: nfs4, o: "addr=127.0.0.1", device: ":/"}
secrets:
  login: {file: ./smb.cred}
C
	wherry compose -f "$CASE/compose.yaml" up -d
	state_is nas_smb waiting
	[ "$(wherry volume inspect -f '{{.Status.Reason}}' nas_smb)" = "the server refuses the name and password" ]
	[ "$(wherry inspect -f '{{.State.WherryWaitingFor}}' nas-app-1)" = "volume nas_smb" ]
	credentials opensesame
	wherry compose -f "$CASE/compose.yaml" up -d
	running() {
		state_of nas_smb
		[ "$(wherry inspect -f '{{.State.Status}}' nas-app-1)" = running ]
	}
	eventually 60 running
	wherry exec nas-app-1 sh -c 'cat /s/file /n/file && echo s >/s/by-smb && echo n >/n/by-nfs && sync'
	[ "$(cat /srv/share/by-smb /srv/share/by-nfs | tr -d '\n')" = sn ]
	grep -q ' cifs .*soft.*echo_interval=10' /proc/mounts
	grep -q ' nfs4 .*soft.*timeo=50,retrans=2' /proc/mounts
	all_words >"$CASE/words"
	never grep -aE 'opensesam[ei]' "$CASE/words"
	wherry compose -f "$CASE/compose.yaml" down -v
	never grep -E ' (cifs|nfs4) ' /proc/mounts
S
}

line volumes_dead "a server dies while containers read: all answers, the state is degraded; it comes back, and is another one"
case_volumes_dead() {
	servers
	volumes_guest <<'S'
	credentials opensesame
	wherry volume create --opt type=cifs --opt device=//127.0.0.1/share --label wherry.credentials="$CASE/smb.cred" smb >/dev/null
	wherry volume create --opt type=nfs4 --opt o=addr=127.0.0.1 --opt device=:/ nfs >/dev/null
	wherry run -d --name user -v smb:/s -v nfs:/n bb sh -c 'while :; do cat /s/file /n/file; sleep 0.5; done' >/dev/null
	wherry run -d --name other -v smb:/s -v nfs:/n bb sh -c 'while :; do ls -l /s /n; done' >/dev/null
	eventually 30 said user served
	life=$(life_of user)
	server dead
	eventually 60 state_is smb degraded
	eventually 60 state_is nfs degraded
	timeout 60 wherry ps >/dev/null
	timeout 60 wherry inspect user other >/dev/null
	timeout 60 wherry volume ls >/dev/null
	timeout 60 wherry system df -v >/dev/null
	timeout 120 wherry stop -t 1 other >/dev/null
	systemctl restart wherryd
	timeout 60 wherry ps >/dev/null
	eventually 60 state_is nfs degraded
	server alive
	eventually 90 state_is smb mounted
	eventually 90 state_is nfs mounted
	reads() {
		wherry exec user cat /s/file /n/file
	}
	eventually 60 reads
	[ "$(life_of user)" = "$life" ]
	# the share is another one
	rm -rf /srv/share && mkdir -m 777 /srv/share && echo anew >/srv/share/file
	LD_LIBRARY_PATH=/run/payload/servers/lib /run/payload/servers/bin/exportfs -ra
	anew() { # VOLUME FILE
		state_of "$1"
		[ "$(wherry exec user cat "$2")" = anew ]
	}
	eventually 90 anew nfs /n/file
	eventually 90 anew smb /s/file
	[ "$(life_of user)" = "$life" ]
	wherry rm -f user other >/dev/null
S
}

line volumes_start "no server at a start: it waits and starts by itself, or starts without and gets the volume, or fails"
case_volumes_start() {
	servers
	volumes_guest <<'S'
	nfs() { # VOLUME [OPTION...]
		wherry volume create --opt type=nfs4 --opt device=127.0.0.1:/ "${@:2}" "$1" >/dev/null
	}
	nfs waits --label wherry.wait=true
	nfs without --label wherry.wait=false
	nfs fails
	server dead
	# together: each needs a while to find nobody
	wherry run -d --name goer -v without:/n bb sleep 100000 >/dev/null &
	goer=$!
	wherry run --name failed -v fails:/n bb true 2>"$CASE/failed" &
	failed=$!
	wherry run -d --name waiter -v waits:/n bb sleep 100000 >/dev/null
	[ "$(wherry inspect -f '{{.State.Status}} {{.State.WherryWaitingFor}}' waiter)" = "restarting volume waits" ]
	wait $goer
	never wherry exec goer touch /n/lost
	state_is without waiting
	never wait $failed
	grep -q "error while mounting volume '/var/lib/wherry/volumes/fails/_data': " "$CASE/failed"
	systemctl restart wherryd
	waits_again() {
		[ "$(wherry inspect -f '{{.State.Status}} {{.State.WherryWaitingFor}}' waiter)" = "restarting volume waits" ]
	}
	eventually 60 waits_again
	server alive
	came() { # VOLUME CONTAINER
		state_of "$1"
		[ -n "$(wherry exec "$2" cat /n/file)" ]
	}
	eventually 90 came waits waiter
	eventually 90 came without goer
	wherry exec goer touch /n/by-goer
	[ -e /srv/share/by-goer ]
	wherry start -a failed
S
}
