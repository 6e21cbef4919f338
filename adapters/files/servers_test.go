package files

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// missing ends a test whose real counterpart is not installed: it fails in CI
// and skips elsewhere.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "1" {
		t.Fatalf("%s is not installed; .ci/deps installs it", what)
	}
	t.Skipf("%s is not installed; .ci/deps installs it", what)
}

// place is a real server and the folder that it serves.
type place struct {
	name string
	o    Options
	dir  string // the same folder on this machine
}

// start runs a server until the test ends and waits for its port.
func start(t testing.TB, addr, program string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // how it ended is told by ended
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: %s", program, out.String())
		}
		_ = cmd.Process.Kill()
		<-ended
	})
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-again.C:
		case <-ended:
			t.Fatalf("%s ended: %s", program, out.String())
		}
	}
	t.Fatalf("%s does not listen", program)
}

func freeAddr(t testing.TB) (addr, port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return ln.Addr().String(), port
}

func write(t testing.TB, name string, b []byte, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(name, b, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

// keyPair returns an Ed25519 key as OpenSSH keeps it and its public line.
func keyPair(t testing.TB) (private []byte, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))
}

// openssh starts OpenSSH's server with its sftp-server within it, so that no
// login shell of this machine has a part in the test.
func openssh(t testing.TB) place {
	t.Helper()
	const program = "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		missing(t, program)
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	conf, dir := t.TempDir(), t.TempDir()
	hostKey, hostLine := keyPair(t)
	key, line := keyPair(t)
	addr, port := freeAddr(t)
	text := fmt.Sprintf("ListenAddress 127.0.0.1:%s\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n",
		port, write(t, filepath.Join(conf, "host"), hostKey, 0o600), write(t, filepath.Join(conf, "keys"), []byte(line+"\n"), 0o600))
	start(t, addr, program, "-D", "-e", "-f", write(t, filepath.Join(conf, "sshd.conf"), []byte(text), 0o600))
	return place{name: "sftp", dir: dir, o: Options{Kind: "sftp", Addr: addr, Dir: dir, User: me.Username, HostKey: hostLine, Key: key, Timeout: 20 * time.Second}}
}

// vsftpd starts a stock FTP server of the kind ftp, ftps or ftps-implicit.
func vsftpd(t testing.TB, kind string) place {
	t.Helper()
	const program = "/usr/sbin/vsftpd"
	if _, err := os.Stat(program); err != nil {
		missing(t, program)
	}
	conf, root := t.TempDir(), t.TempDir()
	dir := filepath.Join(root, "files")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{root: 0o555, filepath.Dir(root): 0o755, dir: 0o777} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(root, 0o755) }) // or it could not be removed
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	addr, port := freeAddr(t)
	lines := []string{"listen=YES", "listen_address=127.0.0.1", "listen_port=" + port, "background=NO", "anonymous_enable=YES", "no_anon_password=YES",
		"anon_root=" + root, "write_enable=YES", "anon_upload_enable=YES", "anon_other_write_enable=YES", "anon_world_readable_only=NO", "anon_umask=022",
		"run_as_launching_user=YES", "ftp_username=" + me.Username, "seccomp_sandbox=NO", "xferlog_enable=NO", "use_localtime=NO"}
	o := Options{Kind: kind, Addr: addr, Dir: dir, User: "anonymous", Password: "x", Timeout: 20 * time.Second}
	if kind == ftpsImplicit {
		lines = append(lines, "implicit_ssl=YES")
	}
	if o.secure() {
		cert, key := certificate(t)
		o.Name, o.CA = "files.example", cert
		lines = append(lines, "ssl_enable=YES", "allow_anon_ssl=YES", "force_anon_logins_ssl=YES", "force_anon_data_ssl=YES", "ssl_ciphers=HIGH", "require_ssl_reuse=YES",
			"rsa_cert_file="+write(t, filepath.Join(conf, "cert"), cert, 0o600), "rsa_private_key_file="+write(t, filepath.Join(conf, "key"), key, 0o600))
	}
	start(t, addr, program, write(t, filepath.Join(conf, "vsftpd.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return place{name: o.Kind, dir: dir, o: o}
}

// certificate makes one that signs itself, for files.example.
func certificate(t testing.TB) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "files.example"}, DNSNames: []string{"files.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, is, is, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk})
}

// places are all kinds of server. One that is not installed skips alone.
func places(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("local", func(t *testing.T) {
		dir := t.TempDir()
		test(t, place{name: "local", dir: dir, o: Options{Kind: "local", Dir: dir}})
	})
	t.Run("sftp", func(t *testing.T) { test(t, openssh(t)) })
	for _, kind := range []string{"ftp", ftps, ftpsImplicit} {
		t.Run(kind, func(t *testing.T) { test(t, vsftpd(t, kind)) })
	}
}

// noPause goes on at once.
func noPause(context.Context, time.Duration) error { return nil }
