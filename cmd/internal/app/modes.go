package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// checkModes refuses to start on secrets that others can read. Keys are looked
// at when they are read, certificates' keys and the users' file too; here are
// the folders and what lies in them.
func (a *App) checkModes(context.Context) error {
	c := a.plan.Config
	var wrong []error
	for _, dir := range []string{c.data("journal"), c.data(c.Reconcile.Inbox)} {
		wrong = append(wrong, private(dir, true))
	}
	for _, pattern := range []string{c.data("journal", "*"), c.data("*.db*"), c.data("users.json*")} {
		names, err := filepath.Glob(pattern)
		wrong = append(wrong, err)
		for _, name := range names {
			wrong = append(wrong, private(name, false))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("文件权限不安全, 拒绝启动: %w", err)
	}
	return nil
}

// private reports a file that others can read, or a folder that they can open.
// A folder within a private one is as private as that.
func private(name string, dir bool) error {
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if want := map[bool]string{true: "700", false: "600"}[dir]; info.Mode().Perm()&0o077 != 0 && info.IsDir() == dir {
		return fmt.Errorf("%s is open to others (mode %o), want %s", name, info.Mode().Perm(), want)
	}
	return nil
}
