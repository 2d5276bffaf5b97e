package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tocsin-io/tocsin/store"
)

// An Error is a refusal: what a [Client] returns, and what parts of a hub return
// to choose the status themselves. Its text is one sentence that says what to do.
type Error struct {
	Status     int           // HTTP
	Text       string        // for whoever asked
	Index      *int          // which item of a batch was refused; the whole batch was
	RetryAfter time.Duration // not before; 0 says nothing
	First      bool          // nobody has an account yet: the hub's machine has a link for the first
}

func (e *Error) Error() string { return e.Text }

// Is lets callers ask for the errors of package store on both sides of the wire.
func (e *Error) Is(target error) bool {
	switch target {
	case store.ErrNotFound:
		return e.Status == http.StatusNotFound
	case store.ErrExists:
		return e.Status == http.StatusConflict
	case store.ErrSpent:
		return e.Status == http.StatusGone
	case store.ErrFull:
		return e.Status == http.StatusInsufficientStorage
	}
	return false
}

// Refuse returns an [*Error] of that HTTP status.
func Refuse(status int, format string, args ...any) *Error {
	return &Error{Status: status, Text: fmt.Sprintf(format, args...)}
}

// errorBody is an [Error] as it travels.
type errorBody struct {
	Error string `json:"error"`
	Index *int   `json:"index,omitempty"`
	First bool   `json:"first,omitempty"`
}
