package sniff

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"qianzhi/conf"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

func shipped(t *testing.T) []Known {
	t.Helper()
	k, err := Shipped(conf.Files)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// conversation writes an example of every request of a link, and of every
// reply, as two streams.
func conversation(t *testing.T, d *protocol.Dialect) (asked, answered []byte) {
	t.Helper()
	for i := range d.Map.Messages {
		x, err := spec.NewExample(d, i)
		if err != nil {
			t.Fatal(err)
		}
		one, rec := spec.Only(d, i), new(protocol.Record)
		f, _, err := one.AppendRequest(&x.Request, rec, spec.ExampleTime())
		if err != nil {
			t.Fatal(err)
		}
		if asked, err = d.Request.Framer.Append(asked, f); err != nil {
			t.Fatal(err)
		}
		in, err := one.ReadRequest(&f, rec, spec.ExampleTime())
		if err != nil {
			t.Fatal(err)
		}
		if f, err = one.AppendReply(in, &x.Reply, new(protocol.Record)); err != nil {
			t.Fatal(err)
		}
		if answered, err = d.Reply.Framer.Append(answered, f); err != nil {
			t.Fatal(err)
		}
	}
	return asked, answered
}

// TestShippedLinksAreRecognised guesses framing and link from the bytes of
// each link, in both directions and from a single message.
func TestShippedLinksAreRecognised(t *testing.T) {
	known := shipped(t)
	for _, k := range known {
		if k.File == "bank-http.yaml" || k.File == "mis-soap.yaml" {
			continue // HTTP says where a message ends: TestHTTP
		}
		asked, answered := conversation(t, k.dialect)
		for side, b := range map[string][]byte{"请求": asked, "应答": answered} {
			g := Guesses(&Stream{Bytes: b}, known)
			if len(g) == 0 || g[0].Messages != len(k.dialect.Map.Messages) || !strings.Contains(g[0].Snippet, "extends: "+k.File) {
				t.Errorf("%s: %s: %d bytes: %+v", k.File, side, len(b), g)
				continue
			}
			snippetCuts(t, k.File, g[0].Snippet, b)
		}
	}
}

// snippetCuts holds the lines that are proposed to what they are proposed for.
func snippetCuts(t *testing.T, name, snippet string, b []byte) {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(snippet), &n); err != nil {
		t.Errorf("%s: %v\n%s", name, err, snippet)
		return
	}
	var text struct {
		Frame yaml.Node `yaml:"frame"`
	}
	if err := n.Decode(&text); err != nil {
		t.Fatal(err)
	}
	line, err := yaml.Marshal(&text.Frame)
	if err != nil {
		t.Fatal(err)
	}
	c := candidate{options: string(line)}
	if f := c.framer(); f == nil {
		t.Errorf("%s: no framing in\n%s", name, snippet)
	} else if _, _, rest, err := cut(f, b); rest != 0 || err != nil {
		t.Errorf("%s: %d bytes left, %v", name, rest, err)
	}
}

func TestSingleFrames(t *testing.T) {
	text := "交易码=1001;户号=0512000123"
	gbk, _ := hex.DecodeString("BDBBD2D7C2EB7C313030317CBBA7BAC57C303531323030303132337C")
	for _, c := range []struct {
		name, wire string
		frame      string
		also       string
	}{
		{"STX", "\x02ABCDEFGHIJ|1|2|3\x03", `{start: "02", end: "03", max: 65536}`, "分隔字段"},
		{"blanks on the right", "28        " + string(gbk), `read: {side: right, with: " "}`, "gbk"},
		{"counts itself", "0032" + string(gbk), "kind: ascii, bytes: 4, counts: self", "gbk"},
		{"low byte first", "\x1c\x00\x00\x00" + string(gbk), "bytes: 4, order: little, counts: body", "gbk"},
		{"BCD", "\x00\x28" + string(gbk), "kind: bcd, bytes: 2, counts: body", "gbk"},
		{"JSON alone", `{"a": "` + text + `"}`, "kind: none", "JSON"},
		{"kv", "000017a=1&b=2&c=3&dd=44", "kind: ascii, bytes: 6, counts: body", "名=值"},
	} {
		g := Guesses(&Stream{Bytes: []byte(c.wire)}, nil)
		if len(g) == 0 || !strings.Contains(g[0].Snippet, c.frame) || !strings.Contains(g[0].What, c.also) {
			t.Errorf("%s: got %+v", c.name, g)
		}
	}
}

func TestForeignStreams(t *testing.T) {
	for wire, want := range map[string]string{
		"\x91\x03\x98\x58\x00\x00\x00\x04more": "Tuxedo",
		"\x16\x03\x01\x00\xa5":                 "TLS",
		"\x16\x01\x01\x00\xa5":                 "TLCP",
	} {
		g := Guesses(&Stream{Bytes: []byte(wire)}, nil)
		if len(g) != 1 || !strings.Contains(g[0].What, want) || g[0].Snippet != "" {
			t.Errorf("%s: got %+v", want, g)
		}
	}
	if g := Guesses(&Stream{Bytes: []byte{0xFF, 0xFE, 0xFD, 1, 2, 3}}, nil); len(g) > 0 && g[0].Score > 20 {
		t.Errorf("noise: got %+v", g)
	}
}

func TestHTTP(t *testing.T) {
	var k Known
	for _, k = range shipped(t) {
		if k.File == "bank-http.yaml" {
			break
		}
	}
	x, err := spec.NewExample(k.dialect, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := *k.dialect
	f, _, err := d.AppendRequest(&x.Request, new(protocol.Record), spec.ExampleTime())
	if err != nil {
		t.Fatal(err)
	}
	post := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len(f.Body), f.Body)
	g := Guesses(&Stream{Bytes: []byte(post + post)}, shipped(t))
	if len(g) != 1 || g[0].Messages != 2 || !strings.Contains(g[0].Snippet, "extends: bank-http.yaml") {
		t.Errorf("got %+v", g)
	}
	reply := "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 12\r\n\r\n<a><b/></a>\n"
	if g := Guesses(&Stream{Bytes: []byte(reply)}, nil); len(g) != 1 || !strings.Contains(g[0].Snippet, "content_type: text/xml") {
		t.Errorf("got %+v", g)
	}
}

// segmentOf builds an Ethernet frame with one TCP segment.
func segmentOf(seq uint32, flags byte, data []byte) []byte {
	tcp := make([]byte, 20, 20+len(data))
	binary.BigEndian.PutUint16(tcp, 40001)
	binary.BigEndian.PutUint16(tcp[2:], 7002)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	tcp[12], tcp[13] = 5<<4, flags
	tcp = append(tcp, data...)
	ip := make([]byte, 20, 20+len(tcp))
	ip[0], ip[9] = 0x45, protoTCP
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(tcp)))
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	out := make([]byte, 14)
	out[12] = 8
	return append(append(out, ip...), tcp...)
}

func classicFile(packets [][]byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, 0xA1B2C3D4)
	out = append(out, make([]byte, 16)...)
	out = binary.LittleEndian.AppendUint32(out, linkEthernet)
	for _, p := range packets {
		out = append(out, make([]byte, 8)...)
		out = binary.LittleEndian.AppendUint32(out, uint32(len(p)))
		out = append(binary.LittleEndian.AppendUint32(out, uint32(len(p))), p...)
	}
	return out
}

func blocks(packets [][]byte) []byte {
	block := func(out []byte, kind uint32, body []byte) []byte {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		size := uint32(12 + len(body))
		out = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(out, kind), size)
		return binary.LittleEndian.AppendUint32(append(out, body...), size)
	}
	out := block(nil, blockSection, []byte{0x4D, 0x3C, 0x2B, 0x1A, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255})
	out = block(out, blockInterface, []byte{linkEthernet, 0, 0, 0, 0, 0, 4, 0})
	for _, p := range packets {
		head := make([]byte, 20)
		binary.LittleEndian.PutUint32(head[12:], uint32(len(p)))
		binary.LittleEndian.PutUint32(head[16:], uint32(len(p)))
		out = block(out, blockEnhanced, append(head, p...))
	}
	return out
}

// TestCaptures joins segments that are out of order, repeated, and begin with
// a sequence number that wraps.
func TestCaptures(t *testing.T) {
	first := uint32(0xFFFFFFF8)
	packets := [][]byte{segmentOf(first-1, 2, nil), segmentOf(first+6, 0x18, []byte("world")), segmentOf(first, 0x18, []byte("hello ")),
		segmentOf(first, 0x18, []byte("hello ")), segmentOf(first+3, 0x18, []byte("lo wor"))}
	for name, file := range map[string][]byte{"pcap": classicFile(packets), "pcapng": blocks(packets)} {
		s, err := Read(file)
		if err != nil || len(s) != 1 || string(s[0].Bytes) != "hello world" || s[0].Name != "10.0.0.1:40001 -> 10.0.0.2:7002" || s[0].Lost {
			t.Errorf("%s: got %+v, %v", name, s, err)
		}
		if s, err := Read(file[:len(file)-7]); err != nil || len(s) != 1 {
			t.Errorf("%s: cut at the end: %+v, %v", name, s, err)
		}
	}
	s, err := Read(classicFile([][]byte{packets[0], segmentOf(first, 0x18, []byte("a")), segmentOf(first+5, 0x18, []byte("b"))}))
	if err != nil || len(s) != 1 || string(s[0].Bytes) != "a" || !s[0].Lost {
		t.Errorf("a gap: got %+v, %v", s, err)
	}
	if _, err := Read(classicFile(nil)); err == nil {
		t.Error("a capture without packets was read")
	}
}

func TestInputs(t *testing.T) {
	for in, want := range map[string]string{
		"30 30 30 35\n68:65:6C 6c 6f": "0005hello", "0005hello": "0005hello", "000531": "000531",
	} {
		if s, err := Read([]byte(in)); err != nil || string(s[0].Bytes) != want {
			t.Errorf("%q: got %q, %v", in, s[0].Bytes, err)
		}
	}
	if _, err := Read(nil); err == nil {
		t.Error("nothing was read")
	}
}

// TestAnyBytes never panics and never proposes what it cannot cut.
func TestAnyBytes(t *testing.T) {
	known := shipped(t)
	capture := classicFile([][]byte{segmentOf(1, 2, nil), segmentOf(2, 0x18, []byte("0005hello"))})
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "capture") {
			b = bytes.Clone(capture)
			b[rapid.IntRange(4, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		streams, err := Read(b)
		if err != nil {
			return
		}
		var out bytes.Buffer
		Write(&out, streams, known)
	})
}
