package logmix

import "fmt"

// A conn is one connection: who comes, and as whom.
type conn struct {
	addr string
	port int
	name string
}

// lines returns what sshd writes of c. Kind, below 100, says what happens; luck
// varies it.
func (c conn) lines(kind, luck int) []string {
	switch {
	case kind < 42:
		return c.root(luck)
	case kind < 58:
		return c.nobody(luck)
	case kind < 66:
		return c.stubborn()
	case kind < 78:
		return c.visitor(luck)
	case kind < 90:
		return c.modern(luck)
	case kind < 95:
		return c.user()
	}
	return []string{
		"!pam_unix(cron:session): session opened for user root by (uid=0)",
		"!pam_unix(cron:session): session closed for user root",
	}
}

func (c conn) pam(user string) string {
	return "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=" + c.addr + user
}

func (c conn) from(what string) string {
	return fmt.Sprintf("%s from %s port %d ssh2", what, c.addr, c.port)
}

func (c conn) bye() string { return "Received disconnect from " + c.addr + ": 11: Bye Bye [preauth]" }

func (c conn) reverse() string {
	return "reverse mapping checking getaddrinfo for host.example [" + c.addr + "] failed - POSSIBLE BREAK-IN ATTEMPT!"
}

// root guesses once at root.
func (c conn) root(luck int) []string {
	ls := []string{c.pam("  user=root"), c.from("Failed password for root"), c.bye()}
	if luck%5 == 0 {
		ls = append([]string{c.reverse()}, ls...)
	}
	if luck%4 == 0 {
		ls[len(ls)-1] = "Connection closed by " + c.addr + " [preauth]"
	}
	return ls
}

// nobody guesses once at an account that is not there.
func (c conn) nobody(luck int) []string {
	ls := []string{
		"Invalid user " + c.name + " from " + c.addr,
		"input_userauth_request: invalid user " + c.name + " [preauth]",
		"pam_unix(sshd:auth): check pass; user unknown",
		c.pam(""),
		c.from("Failed password for invalid user " + c.name),
		c.bye(),
	}
	if luck%3 == 0 {
		ls = append([]string{c.reverse()}, ls...)
	}
	return ls
}

// stubborn guesses at root until he is thrown out.
func (c conn) stubborn() []string {
	return []string{
		c.pam("  user=root"),
		c.from("Failed password for root"),
		"message repeated 5 times: [ " + c.from("Failed password for root") + "]",
		c.from("error: maximum authentication attempts exceeded for root") + " [preauth]",
		"Disconnecting: Too many authentication failures [preauth]",
		"PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=" + c.addr + "  user=root",
		"PAM service(sshd) ignoring max retries; 6 > 3",
	}
}

// visitor leaves before he names an account.
func (c conn) visitor(luck int) []string {
	switch luck % 3 {
	case 0:
		return []string{"Did not receive identification string from " + c.addr}
	case 1:
		return []string{fmt.Sprintf("Connection closed by %s port %d [preauth]", c.addr, c.port)}
	}
	return []string{"error: " + c.bye()[:len(c.bye())-len("11: Bye Bye [preauth]")] +
		"3: com.jcraft.jsch.JSchException: Auth fail [preauth]"}
}

// modern is a guess as newer servers tell it.
func (c conn) modern(luck int) []string {
	who := fmt.Sprintf("%s port %d", c.addr, c.port)
	if luck%2 == 0 {
		return []string{
			c.pam("  user=root"), c.from("Failed password for root"),
			"Connection closed by authenticating user root " + who + " [preauth]",
		}
	}
	return []string{
		"Invalid user " + c.name + " from " + who, c.pam(""), c.from("Failed password for invalid user " + c.name),
		"Received disconnect from " + who + ":11: Bye Bye [preauth]",
		"Disconnected from invalid user " + c.name + " " + who + " [preauth]",
	}
}

// user logs in.
func (c conn) user() []string {
	return []string{
		c.from("Accepted password for curi"),
		"pam_unix(sshd:session): session opened for user curi by (uid=0)",
		"pam_unix(sshd:session): session closed for user curi",
	}
}
