package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/config"
)

// tokenVariable names the environment variable that holds an API token.
const tokenVariable = "TOCSIN_TOKEN"

// hubTalk adds the flags of every command that talks to a hub.
type hubTalk struct {
	socket string
	hub    string
	token  string // name of a file
	ca     string // name of a file
	json   bool
}

func (t *hubTalk) flags(cmd *cobra.Command) {
	t.reach(cmd)
	cmd.Flags().BoolVar(&t.json, "json", false, "print JSON")
}

// reach adds the flags that say which hub.
func (t *hubTalk) reach(cmd *cobra.Command) {
	usual := filepath.Join(config.DefaultHub().Folder, "hub.sock")
	cmd.Flags().StringVar(&t.socket, "hub-socket", usual, "control socket of the hub on this machine")
	cmd.Flags().StringVar(&t.hub, "hub", "", "hub elsewhere, as host:port; it takes an API token")
	cmd.Flags().StringVar(&t.token, "token-file", "", "file with the API token (default the variable "+tokenVariable+")")
	cmd.Flags().StringVar(&t.ca, "ca", "", "PEM file with the hub's authority (default those that this machine trusts)")
}

// ask lets do talk to the hub, and says plainly what came in between.
func (t *hubTalk) ask(cmd *cobra.Command, do func(context.Context, *api.Client) error) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	defer c.Close()
	return t.plain(do(cmd.Context(), c))
}

func (t *hubTalk) client() (*api.Client, error) {
	if t.hub == "" {
		if t.token != "" || t.ca != "" {
			return nil, mistake("--token-file and --ca are for a hub elsewhere: name it with --hub HOST:PORT")
		}
		return api.OverSocket(t.socket), nil
	}
	if host, port, err := net.SplitHostPort(t.hub); err != nil || host == "" || port == "" {
		return nil, mistake("--hub %q: write host:port, such as hub.example.net:7443", t.hub)
	}
	token, err := t.secret()
	if err != nil {
		return nil, err
	}
	trust, err := trusting(t.ca)
	if err != nil {
		return nil, err
	}
	return api.WithToken(t.hub, token, trust), nil
}

// secret returns the API token.
func (t *hubTalk) secret() (string, error) {
	token := os.Getenv(tokenVariable)
	if t.token != "" {
		b, err := readFile(t.token, 4<<10)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		token = string(b)
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return "", fmt.Errorf("a hub elsewhere wants an API token: make one there with tocsin hub access add, and name its file with --token-file or put it into %s", tokenVariable)
	}
	if strings.ContainsAny(token, " \t\r\n") {
		return "", errors.New("the API token has blanks in it: keep it alone in its file")
	}
	return token, nil
}

// trusting returns which certificates of a hub hold; no file is nil, those of the
// system.
func trusting(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	b, err := readFile(file, 1<<20)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("--ca %s: there is no certificate in it: want PEM", file)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// plain takes the HTTP out of an error, and adds what to do.
func (t *hubTalk) plain(err error) error {
	var request *url.Error
	var dial *net.OpError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var refused *api.Error
	switch {
	case errors.As(err, &refused):
		told := *refused // it may quote what others wrote
		told.Text = clean(told.Text)
		return &told
	case t.hub == "" && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s is for root and the hub's group: ask as one of them, or by --hub with an API token", t.socket)
	case errors.As(err, &authority):
		return fmt.Errorf("%s: this machine does not know who vouches for that hub: name its authority with --ca FILE", t.hub)
	case errors.As(err, &name):
		return fmt.Errorf("%s: the hub's certificate is for another name: call the hub by an address of its own (%w)", t.hub, name)
	case t.hub != "" && errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("no hub answers at %s: look at --hub, and whether it runs: %w", t.hub, dial.Err)
	case errors.As(err, &request):
		return request.Err
	}
	return err
}

// print writes v as JSON, or has a person's words written.
func (t *hubTalk) print(w io.Writer, v any, words func() error) error {
	if t.json {
		return json.NewEncoder(w).Encode(v)
	}
	return words()
}

// printList shows a list as a table below its head, or one value a line with --json;
// none is what is said of nothing.
func printList[R any](t *hubTalk, w io.Writer, list []R, none, head string, cells func(R) []any) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	enc := json.NewEncoder(w)
	if !t.json && len(list) == 0 {
		fmt.Fprintln(w, none)
	} else if !t.json {
		fmt.Fprintln(tab, head)
	}
	for _, one := range list {
		if t.json {
			if err := enc.Encode(one); err != nil {
				return err
			}
			continue
		}
		for i, cell := range cells(one) {
			if i > 0 {
				fmt.Fprint(tab, "\t")
			}
			fmt.Fprint(tab, cell)
		}
		fmt.Fprintln(tab)
	}
	return tab.Flush()
}

// readFile reads a file of at most so many bytes.
func readFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: larger than %d bytes: it is another file", name, most)
	}
	return b, err
}

// free refuses a name that is taken.
func free(name string) error {
	_, err := os.Lstat(name)
	switch {
	case err == nil:
		return fmt.Errorf("%s is there already: name another file, or move it away", name)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

// seconds reads a flag such as --for; "" is 0.
func seconds(flag, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	d, err := config.ParseDuration(text)
	if err != nil || d < time.Second {
		return 0, mistake("%s %q: write a time such as 90m, 24h or 7d", flag, text)
	}
	return int(d / time.Second), nil
}

// moment writes a time for a person, or a dash.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// until writes when something ends.
func until(t time.Time) string {
	if t.After(time.Now().AddDate(5, 0, 0)) {
		return "for good"
	}
	return "until " + moment(t)
}

// clean takes out of a text of others what would steer a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
