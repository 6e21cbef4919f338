// Package sim is the seeded simulation of the whole gateway, as tests: engine,
// resolver, real SQLite journal, links, a host and banks in one bubble of
// virtual time, over a network that loses, delays, doubles, reorders and cuts,
// with journal errors, crashes, clock steps and day cuts. Checkers hold every
// effect and every answer against what may be.
//
// A seed draws the options and then everything that happens. A failure prints
// the seed and the command that plays it again.
package sim
