package gm

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"
	"time"
)

// rootPEM is a root of OpenSSL's making, whose key is gone.
const rootPEM = `-----BEGIN CERTIFICATE-----
MIIBnjCCAUWgAwIBAgIUXcdP+HbDZId+Nyq0zNoFrO7FhmUwCgYIKoEcz1UBg3Uw
HDELMAkGA1UEBhMCQ04xDTALBgNVBAMMBHJvb3QwIBcNMjYxMTI1MDkzMDQ1WhgP
MjEyNjExMDEwOTMwNDVaMBwxCzAJBgNVBAYTAkNOMQ0wCwYDVQQDDARyb290MFkw
EwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAE/nJtujG2Y7J151imIhQplRKcISAu9sk1
xWJWVA0XU1hh6H/BItGpyuPSnmXDBrJRDTcpVvkpATzFjW6vTI4/YaNjMGEwHQYD
VR0OBBYEFJsSVTS7BDpE6Kw/pJSazSV5ngzTMB8GA1UdIwQYMBaAFJsSVTS7BDpE
6Kw/pJSazSV5ngzTMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMAoG
CCqBHM9VAYN1A0cAMEQCIFazSRpYJnGWjCp2o/M2HBOWH2GR6HNzpeXvWd70ebPB
AiB/OKJMnZlMBDiYt3uUKLZeCPdG0Z8kpC3NmCOrbS6q3g==
-----END CERTIFICATE-----
`

// FuzzParseCertificates reads anything; what is read is written and read again
// as the same certificate, and leads to no root but itself.
func FuzzParseCertificates(f *testing.F) {
	f.Add([]byte(rootPEM))
	f.Add([]byte(rootPEM + rootPEM))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	root, err := ParseCertificates([]byte(rootPEM))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		chain, err := ParseCertificates(text)
		if err != nil {
			return
		}
		for _, c := range chain {
			again, err := ParseCertificates(c.PEM())
			if err != nil || len(again) != 1 || !again[0].Key().Equal(c.Key()) || again[0].Subject() != c.Subject() {
				t.Fatalf("%s: %v", c.Subject(), err)
			}
		}
		from, _ := root[0].Validity()
		if VerifyChain(chain, root, from.Add(time.Hour)) == nil && !bytes.Equal(chain[0].PEM(), root[0].PEM()) {
			t.Fatalf("a certificate of %s was made without the key of the root", chain[0].Subject())
		}
	})
}

// sealedOnce is a file sealed for the standard's key: another process of the
// fuzzer would seal it otherwise.
const sealedOnce = "UVpTTTQAAAEAejB4AiBpbl8L8jsPKP/U5piV9uyIU1+C9BA5ihskRyW5wF8dLgIgfu0wnOdE5hsDMt4erlwKx+xf4SGXLDLNKYpTBAPQTFYEIF" +
	"+0ISQbO48jOmdoUbnZ0+YXU5Xb1PWU40pRaiUou1WWBBAnCRbjW95gNxBPByqwOlJ5Y67N73QbMDPkjA2BFg+9uc8xMh+R2QNwknLdCTy/4RG9" +
	"CSNEriMdcfhT"

// FuzzOpenFile opens anything: only what was sealed opens, and as what it was.
func FuzzOpenFile(f *testing.F) {
	key := standardKey(f)
	whole, err := base64.StdEncoding.DecodeString(sealedOnce)
	if err != nil {
		f.Fatal(err)
	}
	content := []byte("0512000123|30150|20261124\n")
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(fileMagic + "\x00\x01\x30"))
	f.Fuzz(func(t *testing.T, file []byte) {
		var out bytes.Buffer
		err := key.OpenFile(&out, bytes.NewReader(file))
		switch {
		case err == nil && !bytes.Equal(file, whole):
			t.Errorf("opened as %q", out.Bytes())
		case err == nil && !bytes.Equal(out.Bytes(), content), err != nil && !errors.Is(err, ErrSealedFile):
			t.Errorf("%q, %v", out.Bytes(), err)
		}
	})
}
