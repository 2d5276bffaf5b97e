package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Bounds of a [Token].
const (
	MaxToken     = 2048 // bytes of its text
	maxAddresses = 8
	maxGroups    = 16
	maxAddress   = 260
)

// ErrToken says that a text is not a whole enrolment token.
var ErrToken = errors.New("not a whole enrolment token: copy all of it, from \"tocsin1.\" on")

const tokenPrefix = "tocsin1."

// A Secret is what makes a token worth something: 160 random bits. It never
// shows in a log.
type Secret [20]byte

// NewSecret returns a random one.
func NewSecret() (s Secret) {
	rand.Read(s[:]) // never fails
	return s
}

// Hash returns what a hub keeps instead of the secret. A plain hash is enough:
// nobody tries 2^160 secrets.
func (s Secret) Hash() [sha256.Size]byte {
	return sha256.Sum256(append([]byte("tocsin enrolment secret\x00"), s[:]...))
}

// Text returns the secret as it is sent to the hub.
func (s Secret) Text() string { return base64.RawURLEncoding.EncodeToString(s[:]) }

// ParseSecret is the reverse of [Secret.Text].
func ParseSecret(text string) (s Secret, err error) {
	if len(text) > 2*len(s) {
		return s, errors.New("not an enrolment secret")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(s) {
		return s, errors.New("not an enrolment secret")
	}
	return Secret(b), nil
}

// String hides the secret.
func (s Secret) String() string { return "(secret)" }

// GoString hides the secret.
func (s Secret) GoString() string { return "(secret)" }

// LogValue hides the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// MarshalText refuses: a secret is written by [Secret.Text] only.
func (s Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// A Token lets one device enrol, once. Owner and groups are told for the person
// who reads it: those that count are the hub's own note.
type Token struct {
	Addresses []string // of the hub, host:port, best first; at least one
	Authority [sha256.Size]byte
	Owner     tocsin.OwnerID
	Groups    []string
	Secret    Secret
	Expires   time.Time // to the second; the hub judges it, not the device's clock
}

// Text returns the token as people copy it: "tocsin1." and letters, digits,
// dashes and underscores.
func (t Token) Text() (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	b := t.body()
	sum := sha256.Sum256(b)
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(append(b, sum[:4]...))
	if len(text) > MaxToken {
		return "", fmt.Errorf("token: %d characters, at most %d: fewer addresses or groups", len(text), MaxToken)
	}
	return text, nil
}

// String tells about the token without its secret.
func (t Token) String() string {
	return fmt.Sprintf("token for owner %s at %s until %s", t.Owner, strings.Join(t.Addresses, ", "), t.Expires.UTC().Format(time.RFC3339))
}

// LogValue tells about the token without its secret.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

func (t Token) body() []byte {
	b := append([]byte(nil), t.Authority[:]...)
	b = append(b, t.Secret[:]...)
	b = binary.AppendUvarint(b, uint64(max(t.Expires.Unix(), 0)))
	b = appendStrings(b, []string{string(t.Owner)})
	b = appendStrings(b, t.Groups)
	return appendStrings(b, t.Addresses)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

func (t Token) check() error {
	if len(t.Addresses) == 0 || len(t.Addresses) > maxAddresses || len(t.Groups) > maxGroups {
		return fmt.Errorf("token: 1 to %d addresses and at most %d groups", maxAddresses, maxGroups)
	}
	for _, a := range t.Addresses {
		if err := checkAddress(a); err != nil {
			return err
		}
	}
	for _, n := range append([]string{string(t.Owner)}, t.Groups...) {
		if !validName(n) {
			return fmt.Errorf("token: name %q: 1 to %d letters, digits, dots, dashes and underscores", n, maxName)
		}
	}
	if t.Expires.Unix() < 0 || t.Expires.Year() > 9999 {
		return errors.New("token: its end is out of range")
	}
	return nil
}

// checkAddress takes host:port with a host that can be nothing but one.
func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil || len(a) > maxAddress {
		return fmt.Errorf("token: address %q: want host:port", a)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("token: address %q: want a port from 1 to 65535", a)
	}
	if _, err := netip.ParseAddr(host); err == nil && !strings.Contains(host, "%") {
		return nil
	}
	for _, label := range strings.Split(host, ".") {
		if !plain(label, 63) {
			return fmt.Errorf("token: address %q: want a host name or an address", a)
		}
	}
	return nil
}

// ParseToken reads the text of a token; white space around it, and line breaks
// that a mail program put in, do not matter. Whatever is not exactly a token is
// [ErrToken]. It does not judge the end: the device's clock may be wrong.
func ParseToken(text string) (Token, error) {
	if len(text) > MaxToken+MaxToken/8 {
		return Token{}, fmt.Errorf("%w: longer than a token can be", ErrToken)
	}
	text = strings.Join(strings.Fields(text), "")
	encoded, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(text) > MaxToken {
		return Token{}, ErrToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(b) < 4 {
		return Token{}, ErrToken
	}
	b, check := b[:len(b)-4], b[len(b)-4:]
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:4], check) {
		return Token{}, fmt.Errorf("%w: characters are missing or changed", ErrToken)
	}
	t, err := parseBody(b)
	if err == nil {
		err = t.check()
	}
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	if !bytes.Equal(t.body(), b) {
		return Token{}, ErrToken
	}
	return t, nil
}

func parseBody(b []byte) (t Token, err error) {
	if len(b) < len(t.Authority)+len(t.Secret) {
		return t, errors.New("too short")
	}
	b = b[copy(t.Authority[:], b):]
	b = b[copy(t.Secret[:], b):]
	end, n := binary.Uvarint(b)
	if n <= 0 || end > 1<<40 {
		return t, errors.New("its end is out of range")
	}
	t.Expires = time.Unix(int64(end), 0).UTC()
	b = b[n:]
	owner, b, err := cutStrings(b, 1)
	if err != nil || len(owner) != 1 {
		return t, errors.New("no owner")
	}
	t.Owner = tocsin.OwnerID(owner[0])
	if t.Groups, b, err = cutStrings(b, maxGroups); err != nil {
		return t, err
	}
	if t.Addresses, b, err = cutStrings(b, maxAddresses); err != nil {
		return t, err
	}
	if len(b) > 0 {
		return t, errors.New("more than a token holds")
	}
	return t, nil
}

func cutStrings(b []byte, most uint64) (list []string, rest []byte, err error) {
	count, n := binary.Uvarint(b)
	if n <= 0 || count > most {
		return nil, nil, errors.New("too many names")
	}
	b = b[n:]
	for range count {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, nil, errors.New("too short")
		}
		list = append(list, string(b[n:n+int(size)]))
		b = b[n+int(size):]
	}
	return list, b, nil
}

// Dial connects to the first of the token's addresses behind which the pinned
// authority answers, and returns the connection with that authority. Nothing is
// sent but the first message of the handshake before that holds: somebody in
// between learns no secret. The caller sets the application protocols.
func (t Token) Dial(ctx context.Context, clock *Clock, protocols ...string) (*tls.Conn, *x509.Certificate, error) {
	config := pinned(t.Authority, clock)
	config.NextProtos = protocols
	var errs []error
	for _, address := range t.Addresses {
		conn, authority, err := dial(ctx, address, config, t.Authority, clock)
		if err == nil {
			return conn, authority, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", address, err))
	}
	return nil, nil, errors.Join(errs...)
}

// dialTimeout bounds one address, so that a dead one does not hide the next.
const dialTimeout = 10 * time.Second

func dial(ctx context.Context, address string, config *tls.Config, sum [sha256.Size]byte, clock *Clock) (*tls.Conn, *x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	conn := c.(*tls.Conn)
	authority, err := verifyHub(conn.ConnectionState(), sum, clock)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, authority, nil
}
