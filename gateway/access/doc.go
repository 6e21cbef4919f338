// Package access says who may do what: users with argon2id passwords (RFC 9106)
// and time-based codes (RFC 6238), one role each, lock-out after failures,
// sessions with limits, and the rule of the second person.
//
// Users live in one file that only the daemon's user can read. Daemon and
// command line change it under the same lock and replace it whole, so neither
// needs the other. Every change is recorded before it is made.
package access
