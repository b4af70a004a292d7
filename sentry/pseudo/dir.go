package pseudo

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// Entry is a name in a directory, what kind of file it is (DT_*), and how it is
// made.
type Entry struct {
	Name string
	Type uint8
	New  func(Place) vfs.Inode
}

// File is an entry for a text file.
func File(name string, perm linux.FileMode, t Text) Entry {
	return Entry{name, linux.DT_REG, func(p Place) vfs.Inode { return p.Text(Meta{Perm: perm}, t) }}
}

// Setting is an entry for a text file of a tree of settings: Strict.
func Setting(name string, perm linux.FileMode, t Text) Entry {
	return Entry{name, linux.DT_REG, func(p Place) vfs.Inode { return p.Text(Meta{Perm: perm, Rights: Strict}, t) }}
}

// Const is an entry for a text file, readable by all, that never changes.
func Const(name, content string) Entry {
	return Entry{name, linux.DT_REG, func(p Place) vfs.Inode { return p.Fixed(Meta{Perm: 0o444}, content) }}
}

// Symlink is an entry for a link with a fixed target.
func Symlink(name, target string) Entry {
	return Entry{name, linux.DT_LNK, func(p Place) vfs.Inode { return p.Link(Meta{}, Target(target)) }}
}

// Folder is an entry for a directory of fixed entries.
func Folder(name string, entries ...Entry) Entry {
	return Entry{name, linux.DT_DIR, func(p Place) vfs.Inode { return p.Dir(Meta{Perm: 0o555}, entries, nil) }}
}

// Dynamic is the part of a directory whose names come and go.
type Dynamic interface {
	// Lookup makes the inode of a name at its place, or fails with ENOENT.
	Lookup(c vfs.Context, at Place, name string) (vfs.Inode, error)
	// List calls emit with names in the order of their keys, which are not
	// negative, from key on, until it returns false.
	List(c vfs.Context, key int64, emit func(name string, typ uint8, key int64) bool) error
	// Valid reports whether what Lookup made is still what the name means.
	Valid(c vfs.Context, name string, made vfs.Inode) bool
}

// Dir makes a directory of entries, and of d unless that is nil.
func (p Place) Dir(m Meta, entries []Entry, d Dynamic) vfs.Inode {
	if d == nil {
		return &dirInode{newInode(p, linux.S_IFDIR, m), entries}
	}
	return &dynamicInode{dirInode{newInode(p, linux.S_IFDIR, m), entries}, d}
}

type dirInode struct {
	inode
	entries []Entry
}

// Stat implements vfs.Inode.
func (i *dirInode) Stat(c vfs.Context, mask uint32) (linux.Statx, error) {
	s, err := i.inode.Stat(c, mask)
	s.Nlink = 2
	for _, e := range i.entries {
		if e.Type == linux.DT_DIR {
			s.Nlink++
		}
	}
	return s, err
}

// FixedNames implements vfs.FixedDirectory.
func (i *dirInode) FixedNames() bool { return i.at.fs.fixed }

// Lookup implements vfs.Directory.
func (i *dirInode) Lookup(c vfs.Context, name string) (vfs.Inode, error) {
	if err := i.meta.guard(c); err != nil {
		return nil, err
	}
	for _, e := range i.entries {
		if e.Name == name {
			return e.New(i.at.Child(name)), nil
		}
	}
	return nil, errno.ENOENT
}

// Open implements vfs.Inode.
func (i *dirInode) Open(c vfs.Context, _ vfs.Path, _ linux.OpenFlags) (vfs.File, error) {
	if err := i.meta.guard(c); err != nil {
		return nil, err
	}
	return &dirFile{i, nil}, nil
}

type dynamicInode struct {
	dirInode
	dynamic Dynamic
}

// Lookup implements vfs.Directory.
func (i *dynamicInode) Lookup(c vfs.Context, name string) (vfs.Inode, error) {
	inode, err := i.dirInode.Lookup(c, name)
	if err != errno.ENOENT {
		return inode, err
	}
	return i.dynamic.Lookup(c, i.at.Child(name), name)
}

// Revalidate implements vfs.Revalidator.
func (i *dynamicInode) Revalidate(c vfs.Context, name string, child vfs.Inode) bool {
	for _, e := range i.entries {
		if e.Name == name {
			return true
		}
	}
	return child != nil && i.dynamic.Valid(c, name, child)
}

// Open implements vfs.Inode.
func (i *dynamicInode) Open(c vfs.Context, _ vfs.Path, _ linux.OpenFlags) (vfs.File, error) {
	if err := i.meta.guard(c); err != nil {
		return nil, err
	}
	return &dirFile{&i.dirInode, i.dynamic}, nil
}

// dirFile is an open directory. Positions are 2 and up for the entries, then
// the keys of the dynamic part.
type dirFile struct {
	dir     *dirInode
	dynamic Dynamic
}

// firstEntry is the position behind "." and "..".
const firstEntry = 2

// Release implements vfs.File.
func (f *dirFile) Release() {}

// ReadDir implements vfs.DirReader.
func (f *dirFile) ReadDir(c vfs.Context, pos int64, emit func(vfs.Dirent) bool) error {
	send := func(name string, typ uint8, next int64) bool {
		return emit(vfs.Dirent{Name: name, Ino: f.dir.at.Child(name).ino, Type: typ, Next: next})
	}
	firstKey := firstEntry + int64(len(f.dir.entries))
	for ; pos < firstKey; pos++ {
		e := f.dir.entries[pos-firstEntry]
		if !send(e.Name, e.Type, pos+1) {
			return nil
		}
	}
	if f.dynamic == nil {
		return nil
	}
	if err := f.dir.meta.guard(c); err != nil {
		return err
	}
	return f.dynamic.List(c, pos-firstKey, func(name string, typ uint8, key int64) bool {
		return send(name, typ, firstKey+key+1)
	})
}
