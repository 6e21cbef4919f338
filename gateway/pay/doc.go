// Package pay is the vocabulary of the gateway: what a payment is, which
// states it may pass through and how money, days and outcomes are written
// down. It knows no wire format, no storage and no clock, and imports nothing
// of this module.
package pay
