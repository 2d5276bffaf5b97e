// Package takedown keeps the case by which a controller, a source of guesses or
// a hacked server is shut down at its provider: its states, who approved what,
// and its clock. A [Case] is nothing but the fold of its history, so it is
// stored as JSON and replayed to the same case. It is pure: times come as
// values.
//
// It promises that no mail counts as sent which people did not approve word by
// word, and that an address counts as down only by what the fleet's own devices
// saw. It writes no texts (package dossier), and mails nothing.
package takedown
