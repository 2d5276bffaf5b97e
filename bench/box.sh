# box.sh DIR: inside a mount namespace of its own, make a machine out of this
# one: its own users, configuration, /run and journal, on the disk. Prints READY
# and stays.
set -eu
dir=$0
mount --make-rprivate /
mkdir -p "$dir/box" "$dir/journald" "$dir/log/journal"
mount -t tmpfs tmpfs "$dir/box"
mkdir "$dir/box/upper" "$dir/box/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$dir/box/upper,workdir=$dir/box/work" /etc
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log
mount --bind "$dir/journald" /run/systemd/journal
mount --bind "$dir/log" /var/log
[ -s /etc/machine-id ] || od -An -tx1 -N16 /dev/urandom | tr -d ' \n' >/etc/machine-id
mkdir -p /etc/systemd/journald.conf.d /etc/tocsin
cat >/etc/systemd/journald.conf.d/box.conf <<END
[Journal]
Storage=persistent
RateLimitIntervalSec=0
ForwardToSyslog=no
ReadKMsg=no
Audit=no
END
touch /run/systemd/journal/flushed
# The guard takes an opened sshd as a hint of lines to come: of its own only.
for f in /usr/sbin/sshd /usr/lib/openssh/sshd-session; do
	[ -f "$f" ] || continue
	cp "$f" "$dir/box/${f##*/}"
	mount --bind "$dir/box/${f##*/}" "$f"
done
id tocsin >/dev/null 2>&1 || useradd -r -M -N -d /nonexistent -s /bin/false tocsin
echo 'nameserver 198.51.100.53' >/etc/resolv.conf
/lib/systemd/systemd-journald &
while [ ! -S /run/systemd/journal/dev-log ]; do sleep 0.05; done
echo READY
wait
