#!/bin/sh
# need.sh WHAT...: make sure that the Debian packages for test, demo, demo-ssh or bench
# are there. As root it installs the missing ones, without starting or enabling
# the servers among them; otherwise it says plainly what will be skipped.
set -eu

packages() {
	case $1 in
	test) echo nftables iptables openssh-server openssh-client sshpass vsftpd samba smbclient nginx-light chromium \
		curl iproute2 util-linux systemd bsdutils gcc libc6-dev procps ;;
	demo) ;; # one program does all of it, nftables by the kernel itself
	demo-ssh) echo nftables openssh-server openssh-client sshpass systemd passwd util-linux ;;
	bench) echo nftables iptables fail2ban sshguard python3-systemd python3-pyinotify grep time chromium ;;
	*) echo "need.sh: $1 is not one of test, demo, demo-ssh, bench" >&2; exit 2 ;;
	esac
}

missing=
for what in "$@"; do
	for p in $(packages "$what"); do
		case " $missing " in *" $p "*) continue ;; esac
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
	done
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "need.sh: this is not Debian; install what provides:$missing" >&2
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "Not root, so these Debian packages are not installed:$missing" >&2
	echo "What needs them, or a network namespace, is skipped and says so." >&2
	exit 0
fi

echo "Installing Debian packages:$missing" >&2
# A server that comes with a package must not start on this machine: the tests
# start their own, in network namespaces.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null
if [ -d /run/systemd/system ]; then
	for p in $missing; do
		case $p in
		openssh-server) units="ssh.service ssh.socket" ;;
		samba) units="smbd.service nmbd.service samba-ad-dc.service" ;;
		vsftpd) units=vsftpd.service ;;
		nginx-light) units=nginx.service ;;
		fail2ban) units=fail2ban.service ;;
		sshguard) units=sshguard.service ;;
		nftables) units=nftables.service ;;
		*) continue ;;
		esac
		# shellcheck disable=SC2086
		systemctl disable --now $units >/dev/null 2>&1 || true
	done
fi
