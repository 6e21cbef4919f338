package desk

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Proof is what Verify has shown of a channel's day.
type Proof struct {
	Versions, Files, Entries, Signatures int
}

// Verify proves offline that the versions of a channel's day are as they were
// published, that the decisions are as they were written, and that every
// signature stands under a version that is here. home is the folder of the
// versions.
func Verify(home string) (p Proof, err error) {
	dirs, err := filepath.Glob(filepath.Join(home, "r[0-9]*"))
	if err != nil {
		return p, err
	}
	sums := map[string]string{}
	for _, dir := range dirs {
		n, err := verifyVersion(dir)
		if err != nil {
			return p, fmt.Errorf("%s: %w", filepath.Base(dir), err)
		}
		p.Versions, p.Files = p.Versions+1, p.Files+n
		if sums[filepath.Base(dir)], err = manifestSum(dir); err != nil {
			return p, err
		}
	}
	es, err := Read(home)
	if err != nil {
		return p, err
	}
	for i := range es {
		name := fmt.Sprintf("r%d", es[i].Version)
		if sums[name] != es[i].Manifest {
			return p, fmt.Errorf("第 %d 条决定(%s, %s)所对的 %s 与现存的不同", es[i].N, es[i].Kind.Chinese(), es[i].By, name)
		}
		if es[i].Kind == Sign || es[i].Kind == Countersign {
			p.Signatures++
		}
	}
	p.Entries = len(es)
	return p, nil
}

// verifyVersion compares a version's files with its manifest: none changed,
// none missing, none added.
func verifyVersion(dir string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "MANIFEST.sha256"))
	if err != nil {
		return 0, err
	}
	want := map[string]string{}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		sum, name, ok := strings.Cut(s.Text(), "  ")
		if !ok {
			return 0, errors.New("MANIFEST.sha256: 不是 sha256sum 的格式")
		}
		want[name] = sum
	}
	n := len(want)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) == "MANIFEST.sha256" {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		sum, err := fileSum(path)
		switch {
		case err != nil:
			return err
		case want[name] == "":
			return fmt.Errorf("%s: 不在清单中", name)
		case want[name] != sum:
			return fmt.Errorf("%s: 内容已变", name)
		}
		delete(want, name)
		return nil
	})
	for name := range want {
		if err == nil {
			err = fmt.Errorf("%s: 缺失", name)
		}
	}
	return n, err
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
