package bolt

import (
	"io"
	"sync"
	"syscall"
)

// faultDisk fails at one of its calls and counts them.
type faultDisk struct {
	system
	err   error // what the call fails with
	short bool  // a write that fails writes half first

	mu    sync.Mutex
	calls int           // guarded by mu
	at    int           // guarded by mu; the call that fails, from 1; zero: none
	hit   string        // guarded by mu; what failed
	hang  chan struct{} // guarded by mu; calls wait for its end, nil: none
}

// step counts a call and says whether it fails.
func (d *faultDisk) step(what string) error {
	d.mu.Lock()
	hang := d.hang
	d.calls++
	failed := d.calls == d.at
	if failed {
		d.hit = what
	}
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if failed {
		return d.err
	}
	return nil
}

// arm makes the nth call from now on fail and returns what failed before.
func (d *faultDisk) arm(n int) (calls int, hit string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls, hit = d.calls, d.hit
	d.calls, d.at, d.hit = 0, n, ""
	return calls, hit
}

func (d *faultDisk) stall(until chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hang = until
}

func (d *faultDisk) Create(name string) (file, error) {
	if err := d.step("create"); err != nil {
		return nil, err
	}
	f, err := d.system.Create(name)
	return &faultFile{f, d}, err
}

func (d *faultDisk) Open(name string) (file, error) {
	if err := d.step("open"); err != nil {
		return nil, err
	}
	f, err := d.system.Open(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{f, d}, nil
}

func (d *faultDisk) Remove(name string) error {
	if err := d.step("remove"); err != nil {
		return err
	}
	return d.system.Remove(name)
}

func (d *faultDisk) Rename(from, to string) error {
	if err := d.step("rename"); err != nil {
		return err
	}
	return d.system.Rename(from, to)
}

func (d *faultDisk) Mkdir(name string) error {
	if err := d.step("mkdir"); err != nil {
		return err
	}
	return d.system.Mkdir(name)
}

func (d *faultDisk) Names(dir string, yield func(name string) error) error {
	if err := d.step("names"); err != nil {
		return err
	}
	return d.system.Names(dir, yield)
}

func (d *faultDisk) SyncDir(name string) error {
	if err := d.step("sync of a folder"); err != nil {
		return err
	}
	return d.system.SyncDir(name)
}

type faultFile struct {
	file
	disk *faultDisk
}

func (f *faultFile) Write(p []byte) (n int, err error) {
	if err := f.disk.step("write"); err != nil {
		if f.disk.short {
			n, _ = f.file.Write(p[:len(p)/2])
		}
		return n, err
	}
	return f.file.Write(p)
}

func (f *faultFile) ReadAt(p []byte, offset int64) (int, error) {
	if err := f.disk.step("read"); err != nil {
		return 0, err
	}
	return f.file.ReadAt(p, offset)
}

func (f *faultFile) Sync() error {
	if err := f.disk.step("sync"); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *faultFile) Close() error {
	err := f.disk.step("close")
	if closing := f.file.Close(); err == nil {
		err = closing
	}
	return err
}

// faults are the ways in which a call fails.
var faults = []struct {
	name  string
	err   error
	short bool
}{
	{"EIO", syscall.EIO, false},
	{"ENOSPC", syscall.ENOSPC, true},
	{"EMFILE", syscall.EMFILE, false},
	{"short write", io.ErrShortWrite, true},
}
