package centre

import (
	"bytes"
	"context"
	"crypto/des"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/encoding"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/prefix"

	"qianzhi/adapters/posp"
	"qianzhi/adapters/socket"
	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// The card centre of this file is not ours: its messages are read and written by
// moov-io/iso8583, its keys and codes come from the standard library. What our
// terminals send is judged by code that shares none with them.

// cup is the field table of the terminals' messages in the peer's words.
var cup = func() *iso8583.MessageSpec {
	s := &iso8583.MessageSpec{Fields: map[int]field.Field{
		0: field.NewString(&field.Spec{Length: 4, Enc: encoding.BCD, Pref: prefix.BCD.Fixed}),
		1: field.NewBitmap(&field.Spec{Length: 8, Enc: encoding.Binary, Pref: prefix.Binary.Fixed}),
	}}
	add := func(kind string, length int, numbers ...int) {
		for _, n := range numbers {
			f := &field.Spec{Length: length, Enc: encoding.ASCII, Pref: prefix.BCD.Fixed}
			switch kind {
			case "n":
				f.Enc = encoding.BCD
			case "left":
				f.Enc = encoding.LBCD
			case "LL":
				f.Enc, f.Pref = encoding.LBCD, prefix.BCD.LL
			case "LLL":
				f.Enc, f.Pref = encoding.LBCD, prefix.BCD.LLL
			case "text":
				f.Pref = prefix.BCD.LLL
			case "bytes", "binary":
				f.Enc, f.Pref = encoding.Binary, map[string]prefix.Prefixer{"bytes": prefix.BCD.LLL, "binary": prefix.Binary.Fixed}[kind]
				s.Fields[n] = field.NewBinary(f)
				continue
			}
			s.Fields[n] = field.NewString(f)
		}
	}
	add("LL", 19, 2)
	add("n", 6, 3, 11, 12)
	add("n", 12, 4)
	add("n", 4, 13, 14, 15)
	add("left", 3, 22)
	add("n", 3, 23)
	add("n", 2, 25, 26)
	add("LL", 37, 35)
	add("", 12, 37)
	add("", 6, 38)
	add("", 2, 39)
	add("", 8, 41)
	add("", 15, 42)
	add("LLL", 322, 48)
	add("", 3, 49)
	add("binary", 8, 52, 64)
	add("n", 16, 53)
	add("bytes", 999, 55, 62)
	add("LLL", 29, 60, 61)
	add("text", 163, 63)
	return s
}()

var master = []byte("0123456789ABCDEF")

// double encrypts with a double-length DES key, block by block.
func double(key, plain []byte) []byte {
	c, err := des.NewTripleDESCipher(append(bytes.Clone(key), key[:8]...))
	if err != nil {
		panic(err) // the key is 16 bytes
	}
	out := make([]byte, len(plain))
	for i := 0; i < len(plain); i += 8 {
		c.Encrypt(out[i:], plain[i:])
	}
	return out
}

// code is the "ECB" MAC of bank card terminals with a double-length key.
func code(key, data []byte) []byte {
	var x [8]byte
	for i, b := range data {
		x[i%8] ^= b
	}
	text := []byte(strings.ToUpper(hex.EncodeToString(x[:])))
	half := double(key, text[:8])
	for i := range half {
		half[i] ^= text[8+i]
	}
	return []byte(strings.ToUpper(hex.EncodeToString(double(key, half)))[:8])
}

// stranger is the card centre.
type stranger struct {
	t        *testing.T
	mu       sync.Mutex
	mak      map[string][]byte // by terminal
	charges  map[string]int64  // terminal, batch and trace: what was charged, in fen
	credits  map[string]int64
	uploaded []string
	seen     []string // message types
	wrongMAC bool     // in answers
}

func (s *stranger) serve(nc net.Conn) {
	defer nc.Close()
	for {
		var head [2]byte
		if _, err := io.ReadFull(nc, head[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(nc, b); err != nil {
			return
		}
		out, err := s.answer(b[11:])
		if err != nil {
			s.t.Errorf("the centre: %v in %x", err, b)
			return
		}
		frame := append([]byte{0x60, b[3], b[4], b[1], b[2]}, b[5:11]...) // the reply has the addresses exchanged
		frame = append(frame, out...)
		if _, err := nc.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(frame))), frame...)); err != nil {
			return
		}
	}
}

func (s *stranger) answer(body []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := iso8583.NewMessage(cup)
	if err := in.Unpack(body); err != nil {
		return nil, err
	}
	get := func(n int) string { v, _ := in.GetString(n); return v } // an absent field is empty
	mti := get(0)
	s.seen = append(s.seen, mti+"/"+get(60)[8:min(11, len(get(60)))])
	coded := mti == "0200" || mti == "0400" || mti == "0220"
	mak := s.mak[get(41)]
	if coded {
		mac, err := in.GetBytes(64)
		if err != nil || !bytes.Equal(mac, code(mak, body[:len(body)-8])) {
			return nil, fmt.Errorf("MAC %q of %s is wrong, %v", mac, mti, err)
		}
	}
	out := iso8583.NewMessage(cup)
	out.MTI(mti[:2] + string(mti[2]+1) + mti[3:])
	set := map[int]string{11: get(11), 12: "101010", 13: "0131", 39: "00", 41: get(41), 42: get(42), 60: get(60)}
	key := get(41) + get(60)[2:8] + get(11)
	amount, _ := strconv.ParseInt(get(4), 10, 64)
	switch mti {
	case "0800":
		pik, mak := []byte("PPPPPPPPQQQQQQQQ"), []byte("MMMMMMMMNNNNNNNN")
		s.mak[get(41)] = mak
		var keys []byte
		for _, k := range [][]byte{pik, mak} {
			keys = append(append(keys, double(master, k)...), double(k, make([]byte, 8))[:4]...)
		}
		if err := out.BinaryField(62, keys); err != nil {
			return nil, err
		}
	case "0200", "0220":
		set[3], set[4], set[25], set[37], set[49] = get(3), get(4), get(25), "123456789012", get(49)
		if get(3) == "000000" {
			s.charges[key] = amount
			if get(2) != "6225000000000014" || get(48) != "0512000123" {
				return nil, fmt.Errorf("card %q pays for %q", get(2), get(48))
			}
		} else {
			set[61] = get(61)
			of := get(41) + get(61)[:12]
			if s.charges[of] < amount {
				set[39] = "64"
			} else {
				s.credits[key] = amount
			}
		}
	case "0400":
		set[3], set[4], set[25], set[37], set[49] = get(3), get(4), get(25), "123456789012", get(49)
		if _, there := s.charges[key]; !there {
			set[39] = "25"
		}
		delete(s.charges, key)
	case "0500":
		set[48] = s.compare(get(41)+get(60)[2:8], get(48))
	case "0320":
		if v := get(48); len(v) > 40 {
			for v = v[2:]; len(v) >= 40; v = v[40:] {
				s.uploaded = append(s.uploaded, v[2:8]+" "+strings.TrimLeft(v[28:40], "0"))
			}
		}
	}
	for n, v := range set {
		if v != "" {
			if err := out.Field(n, v); err != nil {
				return nil, err
			}
		}
	}
	if !coded {
		return out.Pack()
	}
	if err := out.BinaryField(64, make([]byte, 8)); err != nil {
		return nil, err
	}
	b, err := out.Pack()
	if err != nil {
		return nil, err
	}
	copy(b[len(b)-8:], code(mak, b[:len(b)-8]))
	if s.wrongMAC {
		b[len(b)-1] ^= 1
	}
	return b, nil
}

// compare answers a 批结算 from the centre's own charges.
func (s *stranger) compare(batch, said string) string {
	sum := func(of map[string]int64) (n int, total int64) {
		for k, a := range of {
			if strings.HasPrefix(k, batch) {
				n, total = n+1, total+a
			}
		}
		return n, total
	}
	debits, debit := sum(s.charges)
	credits, credit := sum(s.credits)
	ours, result := fmt.Sprintf("%012d%03d%012d%03d", debit, debits, credit, credits), "2"
	if strings.HasPrefix(said, ours) {
		result = "1"
	}
	return ours + result
}

// terminals connects ours to the stranger.
func terminals(t *testing.T, s *stranger) *posp.Adapter {
	t.Helper()
	const name = "links/posp-des.yaml"
	l, err := spec.Load(name, func(file string) ([]byte, error) {
		if file == name {
			return []byte("extends: posp.yaml\nid: posp-des\nauth: {mac: {algorithm: cup-ecb}}\n"), nil
		}
		return conf.Files.ReadFile(file)
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(spec.Parts{Keys: secure.Keys{Ring: secure.Ring{"k": {SM4: master}}, Roles: map[string]string{"master": "k"}}, Sessions: secure.NewSessions(10), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go s.serve(nc)
		}
	}()
	var a *posp.Adapter
	quiet := slog.New(slog.DiscardHandler)
	link, err := socket.New(socket.Options{Name: "posp", Dial: socket.Dialer(ln.Addr().String(), time.Second), Dialect: d, Conns: 1, Queue: 10, MaxIn: 1 << 16, Backoff: 10 * time.Millisecond,
		Ceiling: time.Second, Late: func(op pay.Op, rep pay.Reply) { a.LateAnswer(op, rep) }, Now: time.Now, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- link.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, ln.Close()); err != nil {
			t.Error(err)
		}
	})
	a, err = posp.New(posp.Options{Name: "posp", Link: link, Terminals: []posp.Terminal{{Terminal: "60120001", Merchant: "301051249000001"}},
		Accept: d.Request.Auth.(interface {
			Accept(*pay.Request, *pay.Reply) error
		}).Accept, Owed: time.Second, Wait: 2 * time.Second, Now: time.Now, Log: quiet, Late: func(pay.Op, string, pay.Reply) {}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const settledDay = pay.Day(20260131)

func oursOf(row int) string { return fmt.Sprintf("%s01%010d", settledDay, row) }

func message(op pay.Op, row, of int, amount pay.Amount) *pay.Request {
	r := &pay.Request{Op: op, Day: settledDay, Account: "0512000123", Amount: amount, Ref: pay.Ref{Kind: op.Kind(), Serial: oursOf(row)},
		More: []pay.Field{{ID: pay.FPAN, Val: "6225000000000014"}, {ID: pay.FEntryMode, Val: "051"}, {ID: pay.FCardSequence, Val: "001"}, {ID: pay.FChip, Val: "\x9F\x26\x01\xAA"},
			{ID: pay.FPIN, Val: "\x01\x02\x03\x04\x05\x06\x07\x08"}}}
	if of > 0 {
		r.Original = &pay.Ref{Kind: pay.KindPay, Serial: oursOf(of)}
	}
	return r
}

// TestStrangerAtTheCardCentre signs on, charges, reverses, gives back and settles
// at a centre that shares no code with us.
func TestStrangerAtTheCardCentre(t *testing.T) {
	s := &stranger{t: t, mak: map[string][]byte{}, charges: map[string]int64{}, credits: map[string]int64{}}
	a := terminals(t, s)
	do := func(req *pay.Request, want pay.Verdict) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		rep, err := a.Do(ctx, req)
		if err != nil || rep.Verdict != want || want == pay.Approved && rep.Amount != 0 && rep.Amount != req.Amount {
			t.Errorf("%s: %+v, %v", req.Op, rep, err)
		}
	}
	for row := 1; row <= 11; row++ {
		do(message(pay.Pay, row, 0, pay.Amount(100+row)), pay.Approved)
	}
	reversal := message(pay.Reverse, 11, 11, 111)
	reversal.More = append(reversal.More, pay.Field{ID: pay.FReason, Val: "98"})
	do(reversal, pay.Approved)
	do(message(pay.Cancel, 12, 1, 101), pay.Approved)
	do(message(pay.Refund, 13, 2, 50), pay.Approved)
	do(message(pay.Refund, 14, 2, 5000), pay.Declined)

	charges := func(more ...posp.Charge) posp.Charges {
		return func(_ context.Context, _ pay.Day, yield func(posp.Charge) error) (int, error) {
			list := more
			for row := 1; row <= 10; row++ {
				list = append(list, posp.Charge{Serial: oursOf(row), Of: oursOf(row), Amount: pay.Amount(100 + row), Void: row == 1})
			}
			list = append(list, posp.Charge{Serial: oursOf(12), Of: oursOf(1), Amount: 101, Credit: true}, posp.Charge{Serial: oursOf(13), Of: oursOf(2), Amount: 50, Credit: true})
			for _, c := range list {
				if err := yield(c); err != nil {
					return 0, err
				}
			}
			return 0, nil
		}
	}
	settle := func(want posp.Step, c posp.Charges) {
		t.Helper()
		all, err := a.Settle(t.Context(), settledDay, c, posp.Folder(t.TempDir()))
		if err != nil || len(all) != 1 || all[0].Step != want {
			t.Errorf("settled as %+v, %v", all, err)
		}
	}
	settle(posp.Balanced, charges())
	settle(posp.Uploaded, charges(posp.Charge{Serial: oursOf(15), Of: oursOf(15), Amount: 999}))
	s.mu.Lock()
	_, trace, err := posp.Numbers(oursOf(15))
	if err != nil || len(s.uploaded) != 10 || s.uploaded[0] != trace+" 999" {
		t.Errorf("uploaded %q", s.uploaded)
	}
	if last := s.seen[len(s.seen)-1]; last != "0320/202" {
		t.Errorf("the upload ends with %s", last)
	}
	s.wrongMAC = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var f *pay.Fault
	if rep, err := a.Do(ctx, message(pay.Pay, 20, 0, 1)); !errors.As(err, &f) || !f.Sent {
		t.Errorf("an answer with a wrong MAC was believed: %+v, %v", rep, err)
	}
}
