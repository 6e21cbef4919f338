// Package tcp is the banks' stream listener on gnet. The event loop only cuts
// frames; each admitted frame is answered on a goroutine of its own, and the
// replies of a connection leave together in one write.
//
// gnet cannot pause a connection. Frames that find no place stay in the
// connection's buffer and are looked at again when a place is free; a
// connection that piles up more than a few frames is closed.
//
// Stream serves the links that gnet does not fit: one message per connection,
// where the sender may shut down its side and still wait for the reply,
// connections that we dial, and replies that leave on another connection. It
// has a reader and a writer goroutine per connection; a reader that finds no
// place waits. Both kinds share the gate and the Handler.
package tcp
