package books

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
)

// manifest says what a backup holds. It is written last: without it a backup
// is not complete.
type manifest struct {
	Format string   `json:"qianzhi_backup"`
	Node   uint8    `json:"node"`
	Made   string   `json:"made"`
	Days   []dayEnd `json:"days"`
}

// dayEnd is the end of a day's chain in the backup.
type dayEnd struct {
	Day  pay.Day `json:"day"`
	Rows uint64  `json:"rows"`
	Last uint64  `json:"last"`
	Sum  string  `json:"sm3"`
}

const (
	manifestName = "backup.json"
	backupFormat = "1"
)

// Backup copies the journal into an empty folder while it is written. Each log
// is a consistent copy; what is signed is copied first, so it is among the
// rows. A cut meanwhile may or may not be in the copy: it is finished when the
// copy is started. Every copy is proved.
func (b *Books) Backup(ctx context.Context, to string, progress func(pay.Day, journal.Proof)) error {
	if err := empty(to); err != nil {
		return err
	}
	copied := &journal.Auditor{Store: sqlite.New(to), Dir: to, Node: b.Options.Node, Public: b.Options.Signer.Public()}
	m := manifest{Format: backupFormat, Node: b.Options.Node, Made: b.Options.Now().Format(seconds)}
	for _, day := range b.Days() {
		name := func(dir, suffix string) string { return filepath.Join(dir, day.String()+suffix) }
		if err := copyFile(name(b.Options.Dir, ".sig"), name(to, ".sig")); err != nil {
			return err
		}
		if err := b.Store.Copy(ctx, day, name(to, ".db")); err != nil {
			return fmt.Errorf("备份 %s: %w", day, err)
		}
		for _, suffix := range []string{".dup", ".idx", ".skip"} {
			if err := copyFile(name(b.Options.Dir, suffix), name(to, suffix)); err != nil {
				return err
			}
		}
		proof, err := copied.Verify(ctx, day)
		if err != nil {
			return fmt.Errorf("备份 %s: %w", day, err)
		}
		m.Days = append(m.Days, dayEnd{day, proof.Rows, proof.Last, fmt.Sprintf("%x", proof.Sum)})
		progress(day, proof)
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(to, manifestName), text)
}

// Restore brings a backup back into the journal's folder, which must be empty,
// and proves every day. What was written after the backup is lost: the numbers
// that those rows may have had are not given again, since hosts may know them.
func (b *Books) Restore(ctx context.Context, from string, progress func(pay.Day, journal.Proof)) error {
	text, err := os.ReadFile(filepath.Join(from, manifestName))
	if err != nil {
		return fmt.Errorf("%s 不是完整的备份: %w", from, err)
	}
	var m manifest
	if json.Unmarshal(text, &m) != nil || m.Format != backupFormat || len(m.Days) == 0 {
		return fmt.Errorf("%s 不是备份的清单", filepath.Join(from, manifestName))
	}
	if m.Node != b.Options.Node {
		return fmt.Errorf("备份来自节点 %d, 这里是 %d", m.Node, b.Options.Node)
	}
	dir := b.Options.Dir
	if err := empty(dir); err != nil {
		return err
	}
	for _, d := range m.Days {
		for _, suffix := range []string{".db", ".sig", ".dup", ".idx", ".skip"} {
			if err := copyFile(filepath.Join(from, d.Day.String()+suffix), filepath.Join(dir, d.Day.String()+suffix)); err != nil {
				return err
			}
		}
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	a := &journal.Auditor{Store: b.Store, Dir: dir, Node: m.Node, Public: b.Options.Signer.Public()}
	for _, d := range m.Days {
		proof, err := a.Verify(ctx, d.Day)
		if err == nil && (proof.Last != d.Last || fmt.Sprintf("%x", proof.Sum) != d.Sum) {
			err = fmt.Errorf("恢复的 %s 止于第 %d 行, 清单为第 %d 行", d.Day, proof.Last, d.Last)
		}
		if err != nil {
			return err
		}
		progress(d.Day, proof)
	}
	last := m.Days[len(m.Days)-1]
	return journal.SkipLost(dir, last.Day, last.Last, max(b.Today, last.Day))
}
