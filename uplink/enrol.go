package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/keys"
)

// ErrNotEnrolled says that the folder holds no enrolment.
var ErrNotEnrolled = errors.New("this device belongs to no hub: enrol it with tocsin enroll")

// About is what a device tells of itself when it enrols.
type About struct {
	Name, Model, Firmware, Version string
	Clock                          *clock.Clock // nil is the wall clock
}

// judging returns the clock by which certificates and keys are judged.
func judging(clk *clock.Clock, now func() time.Time, heard time.Time) *keys.Clock {
	if clk.Invented() {
		return keys.NewInventedClock(clk.Now)
	}
	return keys.NewClock(now, keys.Built(), heard)
}

// An enrolment is what is kept besides keys and certificates.
type enrolment struct {
	Addresses []string        `json:"addresses"` // of the hub, host:port, best first
	Device    tocsin.DeviceID `json:"device"`
	Owner     tocsin.OwnerID  `json:"owner"`
	Floor     time.Time       `json:"floor,omitzero"` // the newest time that the hub signed
}

const enrolmentFile = "enrolment.json"

// Enrol redeems a token: the device makes its keys in folder, proves the hub by
// the hash in the token, and keeps what it is told. An enrolment that broke off
// may be repeated with another token.
func Enrol(ctx context.Context, folder, token string, about About) (tocsin.DeviceID, tocsin.OwnerID, error) {
	if _, err := os.Stat(filepath.Join(folder, enrolmentFile)); err == nil {
		return "", "", fmt.Errorf("this device is enrolled already: move %s away first", folder)
	}
	t, err := keys.ParseToken(token)
	if err != nil {
		return "", "", err
	}
	id, err := keys.OpenIdentity(folder)
	if err != nil {
		return "", "", err
	}
	sealing, err := keys.OpenSealingKey(folder)
	if err != nil {
		return "", "", err
	}
	request, err := id.Request()
	if err != nil {
		return "", "", err
	}
	conn, authority, err := t.Dial(ctx, judging(about.Clock, time.Now, time.Time{}), "http/1.1")
	if err != nil {
		return "", "", err
	}
	defer conn.Close()
	client := api.OverConn(conn)
	defer client.Close()
	e, err := client.Enrol(ctx, api.Enrolment{
		Secret: t.Secret.Text(), CSR: string(request), SealingKey: sealing.Public(),
		Name: about.Name, Model: about.Model, Firmware: about.Firmware, Version: about.Version,
		Invented: about.Clock.Invented(),
	})
	if err != nil {
		return "", "", err
	}
	if _, err := keys.Pin(folder, e.Root); err != nil {
		return "", "", err
	}
	if err := id.Install([]byte(e.Certificates), authority); err != nil {
		return "", "", err
	}
	return e.Device, e.Owner, keep(folder, enrolment{Addresses: t.Addresses, Device: e.Device, Owner: e.Owner})
}

func keep(folder string, e enrolment) error {
	b, err := json.MarshalIndent(e, "", "\t")
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(folder, enrolmentFile), 0o600, func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

// Enrolled reports whether the folder holds an enrolment.
func Enrolled(folder string) bool { _, err := load(folder); return !errors.Is(err, ErrNotEnrolled) }

func load(folder string) (e enrolment, err error) {
	b, err := os.ReadFile(filepath.Join(folder, enrolmentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return e, ErrNotEnrolled
	}
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(b, &e); err != nil || len(e.Addresses) == 0 || e.Device == "" {
		return e, fmt.Errorf("%s is damaged: enrol this device again", filepath.Join(folder, enrolmentFile))
	}
	return e, nil
}
