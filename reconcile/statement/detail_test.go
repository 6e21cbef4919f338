package statement

import (
	"errors"
	"strings"
	"testing"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/reconcile"
)

func shippedSpec(t *testing.T, name string) *Spec {
	t.Helper()
	b, err := conf.Files.ReadFile("statements/" + name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(name, b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const debitFile = "202511|2|300|B1|\n" +
	"         051200000001|6222000000000001|         100|  202511|001|6222999|1|\n" +
	"         051200000002|6222000000000002|         200|  202511|001|6222999|1|\n"

// TestDebitFileAndItsResult reads every column of a debit file, and writes the
// result with the head that the request had.
func TestDebitFileAndItsResult(t *testing.T) {
	day := pay.Day(20251120)
	in, out := shippedSpec(t, "utility-debit.yaml"), shippedSpec(t, "utility-debit-result.yaml")
	head, lines, err := in.Details([]byte(debitFile), day, reconcile.Bank)
	if err != nil || len(lines) != 2 || head["batch"] != "B1" || head["bill_month"] != "202511" {
		t.Fatalf("%v, %d lines, %v", head, len(lines), err)
	}
	if v := lines[1].Values; v["pan"] != "6222000000000002" || v["branch"] != "001" || v["_flag"] != "1" || lines[1].Amount != 200 || lines[1].Account != "051200000002" {
		t.Errorf("got %+v", lines[1])
	}
	var wrong *protocol.Error
	if err := lines[1].Wrong("amount", "more", "less"); !errors.As(err, &wrong) || !strings.Contains(wrong.Path, "第3行 amount") || string(debitFile[wrong.Offset+9:wrong.Offset+12]) != "200" {
		t.Errorf("got %v", err)
	}
	rows := []Row{{Effect: reconcile.Charged, Word: "effective", Amount: 100, Values: lines[0].Values}, {Word: "none", Amount: 200, Values: lines[1].Values}}
	rows[1].Values["status"] = "0002"
	b, err := out.WriteWith(day, head, rows)
	if err != nil || !strings.HasPrefix(string(b), "202511|2|300|1|100|1|200|B1|20251120|\n") || !strings.Contains(string(b), "|0000|\n") || !strings.Contains(string(b), "|0002|\n") {
		t.Errorf("%s %v", b, err)
	}
	if _, err := out.Read(b, day, reconcile.Bank); err != nil {
		t.Errorf("the result does not read: %v", err)
	}
	if _, _, err := in.Details([]byte(strings.Replace(debitFile, "|300|", "|301|", 1)), day, reconcile.Bank); err == nil {
		t.Error("took a wrong total")
	}
}

// TestPages cuts what was written into pages that make the file again.
func TestPages(t *testing.T) {
	s := shippedSpec(t, "mis-lines.yaml")
	var rows []Row
	for range 5 {
		rows = append(rows, Row{Effect: reconcile.Posted, Amount: 7, Values: map[string]string{"reference": "1", "account": "户"}})
	}
	b, err := s.Write(20260101, rows)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := s.Pages(b, 2)
	if err != nil || len(pages) != 3 || strings.Count(pages[0], "\n") != 1 || strings.Contains(pages[2], "\n") || !strings.Contains(pages[2], "户") {
		t.Fatalf("%q %v", pages, err)
	}
	again, err := s.Whole(20260101, 5, 35, strings.Join(pages, "\n"))
	if err != nil || string(again) != string(b) {
		t.Errorf("%q %v", again, err)
	}
	if none, err := s.Pages([]byte("20260101|0|0\n"), 2); err != nil || len(none) != 0 {
		t.Errorf("%q %v", none, err)
	}
	if _, err := s.Pages(nil, 1); err == nil {
		t.Error("took a file without head")
	}
}
