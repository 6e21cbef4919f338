package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Options are the parts and limits of a directory of users.
type Options struct {
	File  string // mode 600; created by the first user
	Audit Audit
	Now   func() time.Time
	Cost  Cost          // of a password check; the zero value is 64 MiB, 3 passes, 4 lanes
	Age   time.Duration // of a password before it has to be changed, 0: any
}

// Check reports the first option that cannot work.
func (o *Options) Check() error {
	if o.File == "" || o.Audit == nil || o.Now == nil || o.Age < 0 {
		return errors.New("access: a part is missing")
	}
	if o.Cost == (Cost{}) {
		o.Cost = usual
	}
	return o.Cost.check()
}

// Directory is the file of users. It is safe for concurrent use, also by
// several processes.
type Directory struct {
	o       Options
	hashing chan struct{}          // password checks under way: each takes memory
	decoy   func() (Secret, error) // what the password of nobody is held against

	mu   sync.Mutex
	seen os.FileInfo // of the file that last was read from
	last []User
}

// limits of the file.
const (
	maxUsers  = 256
	maxFile   = 1 << 20 // bytes
	maxHashes = 2
)

// New builds a directory; the file need not be there yet.
func New(o Options) (*Directory, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	d := &Directory{o: o, hashing: make(chan struct{}, maxHashes),
		decoy: sync.OnceValues(func() (Secret, error) { return o.Cost.hash("nobody has this password") })}
	_, err := d.users()
	return d, err
}

// List returns all users in the order of their names. Secrets stay in.
func (d *Directory) List() ([]User, error) { return d.users() }

// find returns a user as the file has it now.
func (d *Directory) find(name string) (User, bool, error) {
	us, err := d.users()
	if i := index(us, name); err == nil && i >= 0 {
		return us[i], true, nil
	}
	return User{}, false, err
}

func index(us []User, name string) int {
	return slices.IndexFunc(us, func(u User) bool { return u.Name == name })
}

// users reads the file, unless it is the one that was read last: it is only
// ever replaced.
func (d *Directory) users() ([]User, error) {
	info, err := os.Stat(d.o.File)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	if d.seen != nil && os.SameFile(d.seen, info) && d.seen.ModTime().Equal(info.ModTime()) && d.seen.Size() == info.Size() {
		defer d.mu.Unlock()
		return slices.Clone(d.last), nil
	}
	d.mu.Unlock()
	us, info, err := readUsers(d.o.File)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.seen, d.last = info, us
	d.mu.Unlock()
	return slices.Clone(us), nil
}

type userFile struct {
	Version int    `json:"version"`
	Users   []User `json:"users"`
}

func readUsers(name string) ([]User, os.FileInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, nil, fmt.Errorf("%s is readable by others (mode %o), want 600", name, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, err
	}
	us, err := parseUsers(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return us, info, nil
}

// parseUsers reads the file's text strictly.
func parseUsers(b []byte) ([]User, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	var f userFile
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("at byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("at byte %d: more after the end", dec.InputOffset())
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("version %d, want 1", f.Version)
	}
	return f.Users, checkUsers(f.Users)
}

// checkUsers wants names and persons to stand once, however they are written.
func checkUsers(us []User) error {
	if len(us) > maxUsers {
		return fmt.Errorf("%d users, at most %d", len(us), maxUsers)
	}
	seen := map[identity]string{}
	for i := range us {
		u := &us[i]
		if err := u.check(); err != nil {
			return fmt.Errorf("users[%d]: %w", i, err)
		}
		for _, id := range []identity{{name: fold(u.Name)}, {person: fold(u.Person)}} {
			if other, twice := seen[id]; twice {
				return fmt.Errorf("users[%d]: %s 与 %s 是同一用户名或工号", i, u.Name, other)
			}
			seen[id] = u.Name
		}
	}
	return nil
}

// change replaces the file by what edit makes of it, under a lock that all
// processes keep. What edit returns is recorded before the file is replaced; an
// act that was recorded and then failed is recorded as failed.
func (d *Directory) change(ctx context.Context, edit func(us []User) ([]User, Act, error)) error {
	lock, err := os.OpenFile(d.o.File+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("%s: %w", lock.Name(), err)
	}
	us, err := d.users()
	if err != nil {
		return err
	}
	us, act, err := edit(us)
	if err != nil {
		return err
	}
	if err := checkUsers(us); err != nil {
		return err
	}
	if act.What != "" {
		if err := d.o.Audit.Record(ctx, act); err != nil {
			return fmt.Errorf("没有留下记录, 因此不执行: %w", err)
		}
	}
	if err := writeUsers(d.o.File, us); err != nil {
		act.Failed = err.Error()
		return errors.Join(err, d.o.Audit.Record(ctx, act))
	}
	return nil
}

// writeUsers replaces the file so that a reader, also one after a crash, sees
// the old or the new one, whole.
func writeUsers(name string, us []User) error {
	slices.SortFunc(us, func(a, b User) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	b, err := json.MarshalIndent(userFile{Version: 1, Users: us}, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, ".users-*") // mode 600
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

func syncDir(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
