package storetest

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// A Faulty store fails the calls that it was told to fail, for the tests of
// whoever uses a store. Methods that only Upkeep has never fail.
type Faulty struct {
	Store
	mu     sync.Mutex // guards faults
	faults []*fault
}

type fault struct {
	call   string
	left   int // calls until it strikes
	err    error
	answer bool
}

// Fail makes the nth call from now on (1 is the next) of the method called so,
// "" being any, return err instead of being made.
func (f *Faulty) Fail(call string, nth int, err error) { f.add(call, nth, err, false) }

// Lose makes the nth call, and returns err all the same: what happens when the
// answer is lost, or the disk fails at the end of a commit.
func (f *Faulty) Lose(call string, nth int, err error) { f.add(call, nth, err, true) }

func (f *Faulty) add(call string, nth int, err error, answer bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &fault{call, nth, err, answer})
}

// next returns what is to become of a call.
func (f *Faulty) next(call string) (before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.faults {
		if x.call != "" && x.call != call {
			continue
		}
		if x.left--; x.left == 0 {
			if x.answer {
				after = x.err
			} else {
				before = x.err
			}
		}
	}
	return before, after
}

func call[T any](f *Faulty, name string, do func() (T, error)) (T, error) {
	var none T
	before, after := f.next(name)
	if before != nil {
		return none, before
	}
	v, err := do()
	if err == nil && after != nil {
		return none, after
	}
	return v, err
}

func act(f *Faulty, name string, do func() error) error {
	_, err := call(f, name, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// each fails a sequence at its beginning, or after all was yielded.
func each[T any](f *Faulty, name string, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		before, after := f.next(name)
		if before != nil {
			yield(none, before)
			return
		}
		for v, err := range seq {
			if !yield(v, err) {
				return
			}
		}
		if after != nil {
			yield(none, after)
		}
	}
}

// The methods are those of the contract.

func (f *Faulty) Append(ctx context.Context, b []tocsin.Received) ([]tocsin.Event, error) {
	return call(f, "Append", func() ([]tocsin.Event, error) { return f.Store.Append(ctx, b) })
}

func (f *Faulty) Highest(ctx context.Context, device tocsin.DeviceID) (tocsin.ID, error) {
	return call(f, "Highest", func() (tocsin.ID, error) { return f.Store.Highest(ctx, device) })
}

func (f *Faulty) Add(ctx context.Context, e tocsin.Event) (tocsin.Event, error) {
	return call(f, "Add", func() (tocsin.Event, error) { return f.Store.Add(ctx, e) })
}

func (f *Faulty) Since(ctx context.Context, after uint64) iter.Seq2[tocsin.Event, error] {
	return each(f, "Since", f.Store.Since(ctx, after))
}

func (f *Faulty) From(ctx context.Context, t time.Time) iter.Seq2[tocsin.Event, error] {
	return each(f, "From", f.Store.From(ctx, t))
}

func (f *Faulty) About(ctx context.Context, source string, before uint64, most int) ([]tocsin.Event, error) {
	return call(f, "About", func() ([]tocsin.Event, error) { return f.Store.About(ctx, source, before, most) })
}

func (f *Faulty) Forget(ctx context.Context, before time.Time, most int) (int, error) {
	return call(f, "Forget", func() (int, error) { return f.Store.Forget(ctx, before, most) })
}

func (f *Faulty) AddToken(ctx context.Context, t store.Token) error {
	return act(f, "AddToken", func() error { return f.Store.AddToken(ctx, t) })
}

func (f *Faulty) Redeem(ctx context.Context, hash [32]byte, now time.Time, d tocsin.Device) (tocsin.Device, error) {
	return call(f, "Redeem", func() (tocsin.Device, error) { return f.Store.Redeem(ctx, hash, now, d) })
}

func (f *Faulty) Device(ctx context.Context, id tocsin.DeviceID) (tocsin.Device, error) {
	return call(f, "Device", func() (tocsin.Device, error) { return f.Store.Device(ctx, id) })
}

func (f *Faulty) Devices(ctx context.Context) iter.Seq2[tocsin.Device, error] {
	return each(f, "Devices", f.Store.Devices(ctx))
}

func (f *Faulty) Change(ctx context.Context, d tocsin.Device) error {
	return act(f, "Change", func() error { return f.Store.Change(ctx, d) })
}

func (f *Faulty) Reported(ctx context.Context, id tocsin.DeviceID, s store.DeviceState) error {
	return act(f, "Reported", func() error { return f.Store.Reported(ctx, id, s) })
}

func (f *Faulty) States(ctx context.Context) iter.Seq2[store.DeviceState, error] {
	return each(f, "States", f.Store.States(ctx))
}

func (f *Faulty) Publish(ctx context.Context, frames []store.Frame) error {
	return act(f, "Publish", func() error { return f.Store.Publish(ctx, frames) })
}

func (f *Faulty) FramesSince(ctx context.Context, list string, epoch, after uint64) iter.Seq2[store.Frame, error] {
	return each(f, "FramesSince", f.Store.FramesSince(ctx, list, epoch, after))
}

func (f *Faulty) Snapshot(ctx context.Context, list string) (store.Frame, error) {
	return call(f, "Snapshot", func() (store.Frame, error) { return f.Store.Snapshot(ctx, list) })
}

func (f *Faulty) Heads(ctx context.Context) ([]store.Frame, error) {
	return call(f, "Heads", func() ([]store.Frame, error) { return f.Store.Heads(ctx) })
}

func (f *Faulty) ForgetFrames(ctx context.Context, before time.Time) (int, error) {
	return call(f, "ForgetFrames", func() (int, error) { return f.Store.ForgetFrames(ctx, before) })
}

func (f *Faulty) Value(ctx context.Context, name string) ([]byte, error) {
	return call(f, "Value", func() ([]byte, error) { return f.Store.Value(ctx, name) })
}

func (f *Faulty) Put(ctx context.Context, name string, value []byte) error {
	return act(f, "Put", func() error { return f.Store.Put(ctx, name, value) })
}

func (f *Faulty) PutNew(ctx context.Context, name string, value []byte) ([]byte, error) {
	return call(f, "PutNew", func() ([]byte, error) { return f.Store.PutNew(ctx, name, value) })
}

func (f *Faulty) Drop(ctx context.Context, name string) error {
	return act(f, "Drop", func() error { return f.Store.Drop(ctx, name) })
}

func (f *Faulty) Names(ctx context.Context, prefix string) ([]string, error) {
	return call(f, "Names", func() ([]string, error) { return f.Store.Names(ctx, prefix) })
}

func (f *Faulty) AddAccess(ctx context.Context, a store.Access) error {
	return act(f, "AddAccess", func() error { return f.Store.AddAccess(ctx, a) })
}

func (f *Faulty) Access(ctx context.Context, hash [32]byte) (store.Access, error) {
	return call(f, "Access", func() (store.Access, error) { return f.Store.Access(ctx, hash) })
}

func (f *Faulty) UseAccess(ctx context.Context, hash [32]byte, at time.Time) error {
	return act(f, "UseAccess", func() error { return f.Store.UseAccess(ctx, hash, at) })
}

func (f *Faulty) Accesses(ctx context.Context) ([]store.Access, error) {
	return call(f, "Accesses", func() ([]store.Access, error) { return f.Store.Accesses(ctx) })
}

func (f *Faulty) DropAccess(ctx context.Context, name string) error {
	return act(f, "DropAccess", func() error { return f.Store.DropAccess(ctx, name) })
}
