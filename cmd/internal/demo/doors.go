package demo

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"qianzhi/gateway/calendar"
)

// What the demo adds so that every adapter is used: the other doors of the
// embedded MIS with a link and a route for each, files that come and go, a
// utility's debit files, and receivers of notices.
const (
	doorLinks = `  - {id: kiosk-soap, file: links/kiosk-cash.yaml, listen: "KSOAP"}
  - {id: kiosk-tuxedo, file: links/kiosk-cash.yaml, listen: "KTUXEDO"}
  - {id: kiosk-sql, file: links/kiosk-cash.yaml, listen: "KSQL"}

`
	doorHosts = `  - id: mis-soap
    kind: soap
    file: links/mis-soap.yaml
    dial: "SOAP"
    breaker: {failures: 5}
    REST
  - id: mis-tuxedo
    kind: tuxedo
    file: links/mis-tuxedo.yaml
    dial: "TUXEDO"
    tuxedo: {echo: [serial, amount], envelope: {kind: 1, service: 15, corr: 8, tperrno: 4, tpurcode: 8}}
    REST
  - id: mis-sql
    kind: sql
    file: links/mis-sql.yaml
    sql: {script: sql/mis.yaml, source: "file:{data}/mis.db?_busy_timeout=5000&_txlock=immediate"}
    REST

`
	hostRest = `connections: 2
    queue: 64
    connect: 3s
    timeout: 3s
    late_window: 6s
    backoff: 100ms
    ceiling: 1s
    status: by-serial
    dedupe: "yes"
    undo_tells: "yes"
    undo_marks: "yes"`
	doorMIS = `  doors:
    - {id: mis-soap, kind: soap, file: links/mis-soap.yaml, listen: "SOAP"}
    - {id: mis-tuxedo, kind: tuxedo, file: links/mis-tuxedo.yaml, listen: "TUXEDO", envelope: {kind: 1, service: 15, corr: 8, tperrno: 4, tpurcode: 8}}
`
	doorRoutes = `  - {id: soap, links: [kiosk-soap], legs: [{leg: post, host: mis-soap}], in_flight: 16}
  - {id: tuxedo, links: [kiosk-tuxedo], legs: [{leg: post, host: mis-tuxedo}], in_flight: 16}
  - {id: sql, links: [kiosk-sql], legs: [{leg: post, host: mis-sql}], in_flight: 16}
  - {id: debit, links: [debit], legs: [{leg: post, host: mis}], in_flight: 16}

`
	doorFiles = `pickups:
  - {id: bank, kind: local, dir: server/bank, file: "DZ_{day}.txt", marker: "DZ_{day}.ok", trailer: "", every: 100ms, max: 100000000, until: "UNTIL"}
`
	doorSends = `dispatches:
  - {id: bank, kind: sftp, addr: "SFTP", user: demo, host_key: "HOSTKEY", password_file: keys/sftp.password, dir: "ROOT/server/sent", timeout: 5s,
     from: outbox/asked, file: "DZ_{day}.txt", marker: "DZ_{day}.ok", every: 100ms, until: "UNTIL"}
`
	doorBatches = `batches:
  - id: debit
    institution: "0512"
    biller: "` + debitBiller + `"
    spec: statements/utility-debit.yaml
    serial: [account, bill_month]
    result: statements/utility-debit-result.yaml
    rename: {from: "0001_", to: "1001_"}
    refusal: "{name}.err"
    words: [{code: no-customer, wire: "0003"}]
    from: {kind: sftp, addr: "SFTP", user: demo, host_key: "HOSTKEY", password_file: keys/sftp.password, dir: "ROOT/server/debit", timeout: 5s}
    marker: "{name}.ok"
    to: {kind: sftp, addr: "SFTP", user: demo, host_key: "HOSTKEY", password_file: keys/sftp.password, dir: "ROOT/server/result", timeout: 5s}
    every: 500ms
    max: 1000000
`
	doorNotices = `notices:
  - {id: receipts, kind: receipt, billers: ["` + debitBiller + `"], url: "http://HOOK/receipts", sign_key: gateway, timeout: 5s, gaps: [1s], expire: 1h}
  - {id: power, kind: reconnect, host: mis, billers: ["` + debitBiller + `"], timeout: 5s, gaps: [1s], expire: 1h,
     socket: {dial: "POWER", ack: '"0000"', frame: {length: {kind: ascii, bytes: 6, counts: body}, max: 4096}}}
`
	debitBiller = "0599"
)

// doorPorts are the addresses of the doors, by what stands for them above.
var doorPorts = []string{"KSOAP", "KTUXEDO", "KSQL", "SOAP", "TUXEDO", "SFTP", "HOOK", "POWER"}

// addDoors puts the demo's doors, file servers and receivers into a
// configuration.
func (h *home) addDoors(text string) (string, error) {
	var err error
	password := rand.Text() // whoever has it reads and writes what the demo's user may
	if h.files, err = newFileServer("demo", password); err != nil {
		return "", err
	}
	if err := h.write("keys/sftp.password", []byte(password+"\n"), 0o600); err != nil {
		return "", err
	}
	for _, dir := range []string{"bank", "sent", "debit", "result"} {
		if err := os.MkdirAll(filepath.Join(h.dir, "server", dir), 0o700); err != nil {
			return "", err
		}
	}
	fixed := "    listen: " + h.ports["fixed"] + "\n"
	for _, c := range [][2]string{
		{"# The counterparties and what they promised.", doorLinks + "# The counterparties and what they promised."},
		{"# The marketing MIS that", strings.ReplaceAll(doorHosts, "REST", hostRest) + "# The marketing MIS that"},
		{"# Payments in doubt.", doorRoutes + "# Payments in doubt."},
		{"\n# Where payments go:", doorMIS + "\n# Where payments go:"},
		{fixed, fixed + "    checks: {spec: statements/bank-lines.yaml, dir: outbox/asked}\n"},
		{"      # mis_query: mis # ", "      mis_query: mis\n      mis_totals: always\n      mis_doors: [mis-soap, mis-tuxedo, mis-sql]\n      # "},
		{"pickups: []\n", doorFiles}, {"dispatches: []\n", doorSends}, {"batches: []\n", doorBatches}, {"notices: []\n", doorNotices},
	} {
		if !strings.Contains(text, "\n"+strings.TrimPrefix(c[0], "\n")) {
			return "", fmt.Errorf("shipped configuration has no %q", c[0])
		}
		text = strings.Replace(text, c[0], c[1], 1)
	}
	root, err := filepath.Abs(h.dir)
	if err != nil {
		return "", err
	}
	until, err := passed()
	if err != nil {
		return "", err
	}
	for _, p := range doorPorts {
		text = strings.ReplaceAll(text, `"`+p+`"`, `"`+h.ports[p]+`"`)
	}
	return strings.NewReplacer("http://HOOK/", "http://"+h.ports["HOOK"]+"/", "ROOT/", root+"/", "HOSTKEY", h.files.Line, "UNTIL", until).Replace(text), nil
}

// passed is a time of day that is over today: files of yesterday, before the
// demo, are not waited for, and those of today are.
func passed() (string, error) {
	cal, err := calendar.New(calendar.Options{Zone: "Asia/Shanghai", Cut: "24:00"})
	if err != nil {
		return "", err
	}
	now := time.Now().In(cal.Location())
	if now.Hour() == 0 && now.Minute() == 0 {
		return "00:00", nil
	}
	return now.Add(-time.Minute).Format("15:04"), nil
}
