package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tocsin-io/tocsin/bulletin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/takedown"
)

func badRequest(format string, args ...any) *Error {
	return Refuse(http.StatusBadRequest, format, args...)
}

// asError turns what a part of the hub returned into what the asker may know;
// false means that the cause is the hub's own business, and belongs in its log.
func asError(err error) (*Error, bool) {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e, true
	case errors.Is(err, store.ErrNotFound):
		return Refuse(http.StatusNotFound, "not found: look at its name again"), true
	case errors.Is(err, store.ErrExists):
		return Refuse(http.StatusConflict, "it is there already: take another name"), true
	case errors.Is(err, store.ErrChanged):
		return Refuse(http.StatusConflict, "somebody changed it meanwhile: read it again"), true
	case errors.Is(err, store.ErrSpent):
		return Refuse(http.StatusGone, "used before, or too old: make a new one"), true
	case errors.Is(err, store.ErrFull):
		return &Error{Status: http.StatusInsufficientStorage, Text: store.ErrFull.Error(), RetryAfter: 10 * time.Second}, false
	}
	for _, known := range []func(error) *Error{ofIncident, ofSignIn} {
		if e := known(err); e != nil {
			return e, true
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Status: http.StatusServiceUnavailable, Text: "the hub took too long: try again later", RetryAfter: 10 * time.Second}, false
	}
	return Refuse(http.StatusInternalServerError, "the hub could not do it: look into its log"), false
}

// ofIncident returns what a case or a text cannot do as it stands, which is the
// asker's to know, or nil.
func ofIncident(err error) *Error {
	for _, known := range []error{
		takedown.ErrState, takedown.ErrApproval, takedown.ErrTooEarly, takedown.ErrRepeat, takedown.ErrNotProven,
		compromise.ErrNothingToClose, bulletin.ErrNotApproved, bulletin.ErrChanged,
	} {
		if errors.Is(err, known) {
			return Refuse(http.StatusConflict, "%v", err)
		}
	}
	return nil
}

// writeError answers with e.
func writeError(w http.ResponseWriter, e *Error) {
	w.Header().Del("Content-Disposition")
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="tocsin"`)
	}
	writeJSON(w, e.Status, errorBody{e.Text, e.Index, e.First})
}

// writeJSON answers with v. An answer that could not be written is the asker's
// loss: the connection is gone.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, `{"error":"the answer could not be written: tell the makers of this hub"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
