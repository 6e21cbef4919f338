// Package protocol says what a wire is without knowing one: how bytes are cut
// into frames, frames turned into records, records into business messages, and
// back. Everything here is a pure function on slices; nothing reads a socket,
// a file or a clock.
//
// The way in is Framer.Next, Envelope.Open, Codec.Index, Auth.Verify,
// Mapping.Request; the way out is Mapping.Reply, Codec.Append, Auth.Sign,
// Envelope.Seal, Framer.Append. One Dialect serves both ends of a link, so that
// a simulated peer and the gateway prove each other.
package protocol
