package e2e_test

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

const (
	ftpPort  = 21
	sshPort  = 22
	httpPort = 80
	smbPort  = 445
)

// startServers starts what Debian ships, as an owner would set it up.
func (b *box) startServers() {
	b.t.Helper()
	b.startSSH()
	b.write(b.dir+"/vsftpd.conf", "listen=NO\nlisten_ipv6=YES\nbackground=NO\nlocal_enable=YES\nxferlog_enable=YES\n"+
		"dual_log_enable=NO\nxferlog_std_format=NO\nvsftpd_log_file=/var/log/vsftpd.log\npam_service_name=vsftpd\n"+
		"secure_chroot_dir=/run/vsftpd/empty\nmax_login_fails=1\ndelay_failed_login=0\nallow_writeable_chroot=YES\n")
	b.write("/etc/pam.d/vsftpd", "auth required pam_unix.so nodelay\naccount required pam_permit.so\nsession required pam_permit.so\n")
	b.start("vsftpd", b.dir+"/vsftpd.conf")

	b.write(b.dir+"/nginx.conf", "daemon off;\nuser www-data;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log;\n"+
		"events {}\nhttp {\n access_log off;\n server {\n  listen 80;\n  listen [::]:80;\n"+
		"  location / { auth_basic nas; auth_basic_user_file "+b.dir+"/htpasswd; root /nonexistent; }\n }\n}\n")
	b.write(b.dir+"/htpasswd", "anna:{PLAIN}right horse\n")
	b.run("mkdir", "-p", "/var/log/nginx", "/var/log/samba", "/var/lib/nginx")
	b.start("nginx", "-c", b.dir+"/nginx.conf")

	b.write(b.dir+"/smb.conf", "[global]\nserver role = standalone server\nmap to guest = never\nlog file = /var/log/samba/log.smbd\n"+
		"log level = 1 auth_audit:3\nstate directory = "+b.dir+"/srv\ncache directory = "+b.dir+"/srv\nlock directory = "+b.dir+"/srv\n"+
		"private dir = "+b.dir+"/srv\npid directory = /run/samba\nncalrpc dir = /run/samba/ncalrpc\ndisable spoolss = yes\nload printers = no\n"+
		"[data]\npath = /srv\n")
	cmd := b.command(b.net.Device, "smbpasswd", "-c", b.dir+"/smb.conf", "-s", "-a", "anna")
	cmd.Stdin = strings.NewReader("right horse\nright horse\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("smbpasswd: %v\n%s", err, out)
	}
	b.start("smbd", "--foreground", "--no-process-group", "--configfile="+b.dir+"/smb.conf")

	for _, port := range []uint16{sshPort, ftpPort, httpPort, smbPort} {
		until(b.t, fmt.Sprint("a server on port ", port), func() bool { return b.reaches("198.51.100.1", port) })
	}
}

func (b *box) startSSH() {
	b.t.Helper()
	b.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", b.dir+"/hostkey")
	b.write(b.dir+"/sshd_config", strings.Join([]string{
		"HostKey " + b.dir + "/hostkey", "UsePAM yes", "PasswordAuthentication yes", "PermitRootLogin yes",
		"KbdInteractiveAuthentication no", "MaxStartups 200", "PidFile none", "Subsystem sftp internal-sftp",
	}, "\n")+"\n")
	b.start("/usr/sbin/sshd", "-D", "-f", b.dir+"/sshd_config")
}

// ssh logs in with the real client and reports whether it was let in.
func (b *box) ssh(from, user, password string) bool {
	b.t.Helper()
	to := b.at4
	if netip.MustParseAddr(from).Is6() {
		to = testnet.Device6
	}
	return b.command(b.net.World, "sshpass", "-p", password, "ssh", "-F", "none", "-b", from, "-o", "ConnectTimeout=2",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "PubkeyAuthentication=no",
		"-o", "NumberOfPasswordPrompts=1", user+"@"+to.String(), "true").Run() == nil
}

// curl fetches with the real client and reports whether it was let in.
func (b *box) curl(from, url, user, password string) bool {
	b.t.Helper()
	return b.command(b.net.World, "curl", "-sf", "--interface", from, "--max-time", "3", "-u", user+":"+password, url).Run() == nil
}

// smb logs in with the real client, which cannot choose its source: the world
// routes it.
func (b *box) smb(from, user, password string) bool {
	b.t.Helper()
	dev := testnet.Device4.String() + "/32"
	if out, err := b.command(b.net.World, "ip", "route", "replace", dev, "dev", "eth0", "src", from).CombinedOutput(); err != nil {
		b.t.Fatalf("route: %v\n%s", err, out)
	}
	err := b.command(b.net.World, "timeout", "5", "smbclient", "-s", b.dir+"/smb.conf", "-U", user+"%"+password,
		"//"+testnet.Device4.String()+"/data", "-c", "quit").Run()
	if out, err := b.command(b.net.World, "ip", "route", "del", dev).CombinedOutput(); err != nil {
		b.t.Fatalf("route: %v\n%s", err, out)
	}
	return err == nil
}

// startGuard starts tocsin guard as root starts it: it gives up root by itself.
func (b *box) startGuard(backend, extra string) *process {
	b.t.Helper()
	b.write("/etc/tocsin/guard.toml", "[guard]\nstate = \""+b.dir+"/state\"\n"+
		"[firewall]\nbackend = \""+backend+"\"\n"+
		"[never_block]\nallow = [\"198.51.100.20\", \"2001:db8:20::/64\"]\n"+extra)
	g := b.start(b.bin, "guard", "-v")
	b.awaitGuard(g)
	return g
}

func (b *box) awaitGuard(g *process) {
	b.t.Helper()
	until(b.t, "the guard", func() bool {
		select {
		case <-g.done:
			b.t.Fatalf("the guard ended:\n%s", g.output())
		default:
		}
		return b.command(b.net.Device, b.bin, "status").Run() == nil
	})
}

// stop ends a guard in good order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.kill(syscall.SIGTERM)
	if code := p.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s ended with %d:\n%s", p.name, code, p.output())
	}
}
