package storetest

import (
	"context"
	"iter"
	"time"

	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/store"
)

func (f *Faulty) AddUser(ctx context.Context, u store.User) error {
	return act(f, "AddUser", func() error { return f.Store.AddUser(ctx, u) })
}

func (f *Faulty) User(ctx context.Context, name string) (store.User, error) {
	return call(f, "User", func() (store.User, error) { return f.Store.User(ctx, name) })
}

func (f *Faulty) Users(ctx context.Context) ([]store.User, error) {
	return call(f, "Users", func() ([]store.User, error) { return f.Store.Users(ctx) })
}

func (f *Faulty) ChangeUser(ctx context.Context, u store.User) error {
	return act(f, "ChangeUser", func() error { return f.Store.ChangeUser(ctx, u) })
}

func (f *Faulty) DropUser(ctx context.Context, name string) error {
	return act(f, "DropUser", func() error { return f.Store.DropUser(ctx, name) })
}

func (f *Faulty) AddSession(ctx context.Context, s store.Session, stale time.Time, most int) error {
	return act(f, "AddSession", func() error { return f.Store.AddSession(ctx, s, stale, most) })
}

func (f *Faulty) Session(ctx context.Context, hash [32]byte) (store.Session, error) {
	return call(f, "Session", func() (store.Session, error) { return f.Store.Session(ctx, hash) })
}

func (f *Faulty) Sessions(ctx context.Context, user string) ([]store.Session, error) {
	return call(f, "Sessions", func() ([]store.Session, error) { return f.Store.Sessions(ctx, user) })
}

func (f *Faulty) SeeSession(ctx context.Context, hash [32]byte, at time.Time) error {
	return act(f, "SeeSession", func() error { return f.Store.SeeSession(ctx, hash, at) })
}

func (f *Faulty) DropSession(ctx context.Context, hash [32]byte) error {
	return act(f, "DropSession", func() error { return f.Store.DropSession(ctx, hash) })
}

func (f *Faulty) DropSessions(ctx context.Context, user string, but [32]byte) (int, error) {
	return call(f, "DropSessions", func() (int, error) { return f.Store.DropSessions(ctx, user, but) })
}

func (f *Faulty) AddInvitation(ctx context.Context, i store.Invitation) error {
	return act(f, "AddInvitation", func() error { return f.Store.AddInvitation(ctx, i) })
}

func (f *Faulty) Invitation(ctx context.Context, hash [32]byte, now time.Time) (store.Invitation, error) {
	return call(f, "Invitation", func() (store.Invitation, error) { return f.Store.Invitation(ctx, hash, now) })
}

func (f *Faulty) DropInvitations(ctx context.Context) error {
	return act(f, "DropInvitations", func() error { return f.Store.DropInvitations(ctx) })
}

func (f *Faulty) Accept(ctx context.Context, hash [32]byte, now time.Time, name, password string) (store.User, error) {
	return call(f, "Accept", func() (store.User, error) { return f.Store.Accept(ctx, hash, now, name, password) })
}

func (f *Faulty) Enter(ctx context.Context, e ledger.Entry) (ledger.Entry, error) {
	return call(f, "Enter", func() (ledger.Entry, error) { return f.Store.Enter(ctx, e) })
}

func (f *Faulty) Entries(ctx context.Context, after uint64) iter.Seq2[ledger.Entry, error] {
	return each(f, "Entries", f.Store.Entries(ctx, after))
}

func (f *Faulty) LastEntries(ctx context.Context, before uint64, most int) ([]ledger.Entry, error) {
	return call(f, "LastEntries", func() ([]ledger.Entry, error) { return f.Store.LastEntries(ctx, before, most) })
}
