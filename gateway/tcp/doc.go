// Package tcp is the banks' stream listener on gnet. The event loop only cuts
// frames; each admitted frame is answered on a goroutine of its own, and the
// replies of a connection leave together in one write.
//
// gnet cannot pause a connection. Frames that find no place stay in the
// connection's buffer and are looked at again when a place is free; a
// connection that piles up more than a few frames is closed.
package tcp
