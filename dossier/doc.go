// Package dossier writes what a provider is told of a case: a forwardable
// dossier, which the attacker may well read, a full one for those who ask for
// it, and the report in X-ARF v4.2 that machines read. It also prints a case
// with its clock.
//
// The forwardable dossier never tells devices, owners, accounts or how the
// attack was found; the full one tells no credentials, and nothing of owners who
// did not agree. Whatever an attacker wrote comes out on one line, without
// control characters. The package reads no clock and sends nothing.
package dossier
