# box.sh NAME, run by sh -c as the first process of mount and process namespaces
# of its own: makes a small machine out of this one, with its own /etc, /run,
# /dev, users and journal. What it mounts goes with its namespace and what runs
# in it ends with it. Says READY and stays. The machine named hub has no sshd.
set -eu
name=$1
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/box/upper /run/box/work /run/box/dev /run/box/log /run/sshd /run/systemd/journal /run/log/journal
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/box/upper,workdir=/run/box/work /etc
mount --bind /run/box/log /var/log

# /dev/log must lead to the journal of the box.
for d in null zero full random urandom tty; do
	touch "/run/box/dev/$d"
	mount --bind "/dev/$d" "/run/box/dev/$d"
done
for d in pts shm; do
	mkdir "/run/box/dev/$d"
	mount --rbind "/dev/$d" "/run/box/dev/$d"
done
ln -s pts/ptmx /run/box/dev/ptmx
ln -s /proc/self/fd /run/box/dev/fd
ln -s /run/systemd/journal/dev-log /run/box/dev/log
mount --rbind /run/box/dev /dev

[ -s /etc/machine-id ] || od -An -tx1 -N16 /dev/urandom | tr -d ' \n' >/etc/machine-id
mkdir -p /etc/systemd/journald.conf.d
cat >/etc/systemd/journald.conf.d/zz-box.conf <<X
[Journal]
Storage=volatile
RateLimitIntervalSec=0
ForwardToSyslog=no
ForwardToWall=no
ReadKMsg=no
Audit=no
X

# A wrong password costs no wait; nothing of the machine's own set-up matters.
cat >/etc/pam.d/sshd <<X
auth required pam_unix.so nodelay
account required pam_unix.so
session required pam_unix.so
X
rm -f /etc/hosts.allow /etc/hosts.deny /etc/resolv.conf /etc/nologin
: >/etc/resolv.conf
user() { id "$1" >/dev/null 2>&1 || useradd -M -N -d /nonexistent -s "$2" "$1"; }
user tocsin /bin/false
mkdir -p /etc/tocsin
if [ "$name" = hub ]; then
	printf '[hub]\nfolder = "/run/box/hub"\n' >/etc/tocsin/hub.toml
	echo READY
	while :; do sleep 3600; done
fi
user anna /bin/sh
echo 'anna:right horse' | chpasswd

ssh-keygen -q -t ed25519 -N '' -f /run/box/hostkey
cat >/run/box/sshd_config <<X
HostKey /run/box/hostkey
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin yes
PrintMotd no
PidFile none
MaxStartups 200
X
# Newer servers punish guessing themselves: here the guard is to be seen.
if /usr/sbin/sshd -t -f /run/box/sshd_config -o PerSourcePenalties=no 2>/dev/null; then
	echo 'PerSourcePenalties no' >>/run/box/sshd_config
fi

cat >/etc/tocsin/guard.toml <<X
[guard]
state = "/run/box/state"
device = "$name"
[firewall]
backend = "nft"
[read]
# Accounts and keys here are those of the machine that plays all five.
changes = false
X

/lib/systemd/systemd-journald &
n=0
while [ ! -S /run/systemd/journal/dev-log ]; do
	n=$((n + 1))
	[ $n -lt 200 ] || { echo "journald does not start" >&2; exit 1; }
	sleep 0.05
done
echo READY
wait
