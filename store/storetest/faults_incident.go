package storetest

import (
	"context"
	"iter"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

func (f *Faulty) AddClues(ctx context.Context, b []store.Clue) ([]store.Clue, error) {
	return call(f, "AddClues", func() ([]store.Clue, error) { return f.Store.AddClues(ctx, b) })
}

func (f *Faulty) HighestClue(ctx context.Context, device tocsin.DeviceID) (tocsin.ID, error) {
	return call(f, "HighestClue", func() (tocsin.ID, error) { return f.Store.HighestClue(ctx, device) })
}

func (f *Faulty) Clues(ctx context.Context, device tocsin.DeviceID, t time.Time) iter.Seq2[store.Clue, error] {
	return each(f, "Clues", f.Store.Clues(ctx, device, t))
}

func (f *Faulty) CountClues(ctx context.Context) (map[tocsin.DeviceID]uint64, error) {
	return call(f, "CountClues", func() (map[tocsin.DeviceID]uint64, error) { return f.Store.CountClues(ctx) })
}

func (f *Faulty) ForgetClues(ctx context.Context, t time.Time, most int) (int, error) {
	return call(f, "ForgetClues", func() (int, error) { return f.Store.ForgetClues(ctx, t, most) })
}

func (f *Faulty) AddContacts(ctx context.Context, b []tocsin.Contact) error {
	return act(f, "AddContacts", func() error { return f.Store.AddContacts(ctx, b) })
}

func (f *Faulty) Contacts(ctx context.Context, device tocsin.DeviceID, t time.Time) iter.Seq2[tocsin.Contact, error] {
	return each(f, "Contacts", f.Store.Contacts(ctx, device, t))
}

func (f *Faulty) ForgetContacts(ctx context.Context, t time.Time, most int) (int, error) {
	return call(f, "ForgetContacts", func() (int, error) { return f.Store.ForgetContacts(ctx, t, most) })
}

func (f *Faulty) Cover(ctx context.Context, device tocsin.DeviceID, c tocsin.Coverage) error {
	return act(f, "Cover", func() error { return f.Store.Cover(ctx, device, c) })
}

func (f *Faulty) Gaps(ctx context.Context, device tocsin.DeviceID, stream tocsin.Stream, within tocsin.Span) ([]tocsin.Gap, error) {
	return call(f, "Gaps", func() ([]tocsin.Gap, error) { return f.Store.Gaps(ctx, device, stream, within) })
}

func (f *Faulty) Covered(ctx context.Context) iter.Seq2[store.Covered, error] {
	return each(f, "Covered", f.Store.Covered(ctx))
}

func (f *Faulty) PutRecord(ctx context.Context, r store.Record) (store.Record, error) {
	return call(f, "PutRecord", func() (store.Record, error) { return f.Store.PutRecord(ctx, r) })
}

func (f *Faulty) Record(ctx context.Context, kind, id string) (store.Record, error) {
	return call(f, "Record", func() (store.Record, error) { return f.Store.Record(ctx, kind, id) })
}

func (f *Faulty) Records(ctx context.Context, kind string) iter.Seq2[store.Record, error] {
	return each(f, "Records", f.Store.Records(ctx, kind))
}

func (f *Faulty) DropRecord(ctx context.Context, kind, id string, version uint64) error {
	return act(f, "DropRecord", func() error { return f.Store.DropRecord(ctx, kind, id, version) })
}
