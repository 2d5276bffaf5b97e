#!/bin/sh
# box.sh DIR: inside a mount namespace of its own, make a machine out of this
# one: its own users, /run, /dev/log and journal. Prints READY and stays.
set -eu
dir=$1
mount --make-rprivate /
mount -t tmpfs tmpfs "$dir"
mkdir "$dir/upper" "$dir/work" "$dir/dev" "$dir/log" "$dir/srv"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$dir/upper,workdir=$dir/work" /etc
mount -t tmpfs tmpfs /run
mount --bind "$dir/log" /var/log
mkdir -p /run/systemd/journal /run/log/journal /run/sshd /run/samba /run/vsftpd/empty

for d in null zero full random urandom tty; do
	touch "$dir/dev/$d"
	mount --bind "/dev/$d" "$dir/dev/$d"
done
for d in pts shm; do
	mkdir "$dir/dev/$d"
	mount --rbind "/dev/$d" "$dir/dev/$d"
done
ln -s pts/ptmx "$dir/dev/ptmx"
ln -s /proc/self/fd "$dir/dev/fd"
ln -s /run/systemd/journal/dev-log "$dir/dev/log"
mount --rbind "$dir/dev" /dev

[ -s /etc/machine-id ] || od -An -tx1 -N16 /dev/urandom | tr -d ' \n' >/etc/machine-id
mkdir -p /etc/systemd/journald.conf.d
cat >/etc/systemd/journald.conf.d/box.conf <<X
[Journal]
Storage=volatile
RateLimitIntervalSec=0
ForwardToSyslog=no
ReadKMsg=no
Audit=no
X

# A wrong password costs the client no wait, so that tests do not wait either.
echo 'auth required pam_unix.so nodelay' >/etc/pam.d/common-auth
useradd -M -N -d /nonexistent -s /bin/sh anna
useradd -M -N -d /nonexistent -s /bin/sh bert
useradd -r -M -N -d /nonexistent -s /bin/false tocsin
printf 'anna:right horse\nbert:low battery\n' | chpasswd
echo 'nameserver 198.51.100.53' >/etc/resolv.conf

/lib/systemd/systemd-journald &
while [ ! -S /run/systemd/journal/dev-log ]; do sleep 0.05; done
echo READY
wait
