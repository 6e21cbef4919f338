// Package journal is the durable record of every payment: rows that are only
// ever added, one log per accounting day. What a payment is now is the fold of
// its rows; nothing is stored twice and nothing is changed in place.
//
// # Days
//
// A payment is named by the day that was running at Begin and the row of its
// first event in that day's log. Later events go to the log that is running
// when they are written. A log explains itself: the first row of an older
// payment in it is a carried one, a complete copy of the payment, so that
// every chain of previous rows ends inside the log. Undecided payments are
// carried when the day is cut, decided ones when something happens to them.
//
// The cut is one row, the last of the old log. The new log begins with one
// commit: a first row that holds the old log's hash, signed, then a data key,
// then everything carried. A process that dies between the two commits
// finishes the second when it starts again.
//
// # Writing
//
// Decisions are taken in memory under one lock, in the order in which their
// rows are queued; the writer commits all that is queued, again and again, and
// nobody is answered before the commit that carries the answer. When a commit
// fails, everything that was decided and not committed is taken back, newest
// first, and fails with it.
//
// # Memory
//
// Memory holds a table from key tokens to rows for the running day and DupDays
// before it, and the payments that are undecided. Both are rebuilt from the
// logs at the start. Tokens are HMAC-SM3 under the index key; a hit is always
// confirmed against the key itself.
//
// What memory learned of the running day is written down every million rows, so
// that a start reads only what came later; a closed day keeps its table in a
// file. Both are made from the log and can be made again.
//
// # Searching
//
// Indexes never live in a log, where they would slow the writer down. A closed
// day gets an index of its own, made beside the writer. The running day is
// indexed in segments as it grows; the few rows that are in none are scanned. An
// Archive searches and tells the history of a payment without a lock, beside
// whoever writes; what an index says is always confirmed against the log.
//
// # Secrecy and proof
//
// Contents are sealed with SM4-GCM under a data key for each log and process
// start; the data key stands in the log, wrapped by the key encryption key.
// All rows of a log form one SM3 chain, of which signed checkpoints are kept in
// a file beside it: Verify names the first row that is not what was written,
// and notices a tail that is missing.
package journal
