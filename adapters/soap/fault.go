package soap

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Fault is what a server says instead of an answer.
type Fault struct {
	Code string // local part of the code, in SOAP 1.2 of the innermost subcode; "HTTP" and the status where there is no fault
	Text string
}

// Error tells code and text, both cut to a length for logs.
func (f Fault) Error() string { return fmt.Sprintf("fault %.64q: %.256q", f.Code, f.Text) }

const (
	ns11 = "http://schemas.xmlsoap.org/soap/envelope/"
	ns12 = "http://www.w3.org/2003/05/soap-envelope"
)

// ReadFault reads the fault of an envelope, SOAP 1.1 section 4.4 or SOAP 1.2
// part 1 section 5.4. It reports false where there is none.
func ReadFault(body []byte) (Fault, bool) {
	var e struct {
		XMLName xml.Name
		Body    struct {
			Fault *struct {
				Code11 string `xml:"faultcode"`
				Text11 string `xml:"faultstring"`
				Code12 *code  `xml:"Code"`
				Text12 string `xml:"Reason>Text"`
			} `xml:"Fault"`
		} `xml:"Body"`
	}
	d := decoder(body)
	if err := d.Decode(&e); err != nil || e.XMLName.Local != "Envelope" || e.XMLName.Space != ns11 && e.XMLName.Space != ns12 || e.Body.Fault == nil {
		return Fault{}, false
	}
	f := Fault{Code: e.Body.Fault.Code11, Text: e.Body.Fault.Text11}
	if c := e.Body.Fault.Code12; c != nil {
		for c.Sub != nil {
			c = c.Sub
		}
		f = Fault{Code: c.Value, Text: e.Body.Fault.Text12}
	}
	f.Code = strings.TrimSpace(f.Code[strings.LastIndexByte(f.Code, ':')+1:])
	return f, true
}

type code struct {
	Value string `xml:"Value"`
	Sub   *code  `xml:"Subcode"`
}

// decoder reads XML in the encodings that web services here use.
func decoder(body []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.CharsetReader = func(label string, r io.Reader) (io.Reader, error) {
		switch strings.ToLower(label) {
		case "utf-8":
			return r, nil
		case "gbk", "gb2312", "gb18030":
			return simplifiedchinese.GB18030.NewDecoder().Reader(r), nil
		}
		return nil, fmt.Errorf("encoding %q", label)
	}
	return d
}
