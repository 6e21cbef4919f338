package posp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"qianzhi/gateway/pay"
)

// Folder keeps the steps of batches in a file for each day, a line of JSON for
// each step. A last line without its end was not durable and is not looked at.
type Folder string

func (f Folder) name(day pay.Day) string { return filepath.Join(string(f), day.String()+".jsonl") }

// Batches returns the last step of each batch of a day.
func (f Folder) Batches(day pay.Day) ([]Batch, error) {
	file, err := os.Open(f.name(day))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var all []Batch
	at := map[string]int{}
	r := bufio.NewReader(file)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return all, nil // the end, or a line that was being written at a stop
		}
		var b Batch
		if err := json.Unmarshal(line, &b); err != nil {
			return all, fmt.Errorf("%s line %d: %w", f.name(day), n, err)
		}
		i, there := at[b.Terminal+b.Batch]
		if !there {
			i, all = len(all), append(all, b)
			at[b.Terminal+b.Batch] = i
		}
		all[i] = b
	}
}

// Keep writes a step down; it is durable when Keep returns.
func (f Folder) Keep(b Batch) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(f.name(b.Day), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	line, err := json.Marshal(b)
	if err == nil {
		err = appendLine(file, append(line, '\n'))
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return syncDir(string(f))
}

// appendLine writes behind the last whole line.
func appendLine(file *os.File, line []byte) error {
	b, err := os.ReadFile(file.Name())
	if err != nil {
		return err
	}
	end := len(b)
	for end > 0 && b[end-1] != '\n' {
		end--
	}
	if err := file.Truncate(int64(end)); err != nil {
		return err
	}
	_, err = file.WriteAt(line, int64(end))
	return err
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
