#!/bin/bash
# servers.sh DIRECTORY start|dead|alive - runs in the guest: the kernel's NFS server and Samba, on 127.0.0.1. Share "share" of
# both is /srv/share; SMB's user is "bob" with the password "opensesame". dead: packets to them are dropped, as if the machine were gone.
set -eu
bin=$1/bin
export LD_LIBRARY_PATH=$1/lib
case $2 in
start)
	mkdir -p /srv/share /var/lib/nfs/{v4recovery,rpc_pipefs,nfsdcltrack} /run/smb/ncalrpc
	chmod 777 /srv/share
	echo served >/srv/share/file
	touch /var/lib/nfs/{etab,rmtab}
	echo '/srv/share 127.0.0.1(rw,no_root_squash,insecure,no_subtree_check,fsid=0)' >/etc/exports
	grep -q "^nfs" /etc/services 2>/dev/null || printf "nfs 2049/tcp\nnfs 2049/udp\n" >>/etc/services
	modprobe -a nfsd nfs cifs
	mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
	echo 10 >/proc/fs/nfsd/nfsv4leasetime
	echo 10 >/proc/fs/nfsd/nfsv4gracetime
	"$bin/exportfs" -ra
	"$bin/rpc.mountd" -N 2 -N 3
	"$bin/rpc.nfsd" -N 3 -V 4 4
	cat >/etc/wherry-smb.conf <<C
[global]
	workgroup = GUEST
	interfaces = lo
	bind interfaces only = yes
	private dir = /run/smb
	lock directory = /run/smb
	state directory = /run/smb
	cache directory = /run/smb
	pid directory = /run/smb
	ncalrpc dir = /run/smb/ncalrpc
	log file = /run/smb/log
	passdb backend = smbpasswd:/run/smb/passwd
	rpc start on demand helpers = no
	load printers = no
	disable spoolss = yes
	disable netbios = yes
[share]
	path = /srv/share
	read only = no
	valid users = bob
	force user = root
C
	id bob >/dev/null 2>&1 || useradd -M bob
	printf 'opensesame\nopensesame\n' | "$bin/smbpasswd" -c /etc/wherry-smb.conf -s -a bob
	"$bin/smbd" -D -s /etc/wherry-smb.conf
	;;
dead)
	nft 'table inet dead { chain i { type filter hook input priority -200; tcp dport { 445, 2049 } drop; tcp sport { 445, 2049 } drop; }; }'
	;;
alive) nft delete table inet dead ;;
esac
