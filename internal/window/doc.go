// Package window is a bounded memory: of keys that an attacker chooses, such as
// sources and accounts, and of the last few things each of them did.
//
// A [Table] never holds more than its cap, forgets the key seen longest ago,
// holds nothing that the garbage collector would have to look at, and takes the
// same time per look-up whoever chose the keys: its hash is keyed by a [Seed].
// A [Ring] answers "how many within the last hour" from the last few times.
//
// It decides nothing and reads no clock: what the values mean is the business of
// the packages above, such as detect. It is not safe for concurrent use.
package window
