package proc

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// memory is how much memory a process has, in bytes.
type memory struct {
	mm.Resident
	usage mm.Usage
	code  uint64
}

// memoryUse is that of t; of a zombie, nothing.
func memoryUse(t *kernel.Task) memory {
	if t == nil {
		return memory{}
	}
	space := t.TakeMM()
	if space == nil {
		return memory{}
	}
	defer space.DecUsers()
	return memoryOf(space)
}

func memoryOf(space *mm.MM) memory {
	m := memory{Resident: space.Resident(), usage: space.Usage()}
	if p := space.Process(); p.CodeEnd > p.CodeStart {
		m.code = uint64(p.CodeEnd - p.CodeStart)
	}
	return m
}

// withMM calls f with the address space; a zombie has none, and then the file
// is empty.
func (s *subject) withMM(f func(*mm.MM) ([]byte, error)) ([]byte, error) {
	space := s.task().TakeMM()
	if space == nil {
		return nil, nil
	}
	defer space.DecUsers()
	return f(space)
}

// maxArguments bounds what is read of arguments and environment.
const maxArguments = 6 << 20

// readRange copies what there is of a range of guest memory.
func readRange(space *mm.MM, start, end usermem.Addr) []byte {
	if end <= start || end-start > maxArguments {
		return nil
	}
	b := make([]byte, end-start)
	n, _ := space.CopyIn(b, start)
	return b[:n]
}

// cmdline is the arguments. A program that writes over them, as setproctitle
// does, may run on into the environment: then what is shown ends at the first
// NUL behind, as on Linux.
func (s *subject) cmdline(vfs.Context) ([]byte, error) {
	return s.withMM(func(space *mm.MM) ([]byte, error) {
		p := space.Process()
		args := readRange(space, p.ArgStart, p.ArgEnd)
		if len(args) == 0 || args[len(args)-1] == 0 {
			return args, nil
		}
		more := string(args) + string(readRange(space, p.EnvStart, min(p.EnvEnd, p.EnvStart+linux.PageSize)))
		title, _, _ := strings.Cut(more, "\x00")
		return []byte(title), nil
	})
}

func (s *subject) environ(vfs.Context) ([]byte, error) {
	return s.withMM(func(space *mm.MM) ([]byte, error) {
		p := space.Process()
		return readRange(space, p.EnvStart, p.EnvEnd), nil
	})
}

func (s *subject) auxv(vfs.Context) ([]byte, error) {
	return s.withMM(func(space *mm.MM) ([]byte, error) {
		var b []byte
		for _, v := range space.Process().Auxv {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		return b, nil
	})
}

func (s *subject) maps(vfs.Context) ([]byte, error) {
	return s.withMM(func(space *mm.MM) ([]byte, error) {
		var b strings.Builder
		space.ForEach(func(r mm.Region) bool {
			mapsLine(&b, r)
			return true
		})
		return []byte(b.String()), nil
	})
}

// nameColumn is where the name of a mapping stands.
const nameColumn = 73

func mapsLine(b *strings.Builder, r mm.Region) {
	flags := []byte("---p")
	for i, p := range []linux.Prot{linux.PROT_READ, linux.PROT_WRITE, linux.PROT_EXEC} {
		if r.Prot&p != 0 {
			flags[i] = "rwx"[i]
		}
	}
	if r.Shared {
		flags[3] = 's'
	}
	major, minor := linux.MajorMinor(uint64(r.Dev))
	start := b.Len()
	fmt.Fprintf(b, "%08x-%08x %s %08x %02x:%02x %d ", uint64(r.Start), uint64(r.End), flags, r.Offset, major, minor, r.Ino)
	if r.Name != "" {
		b.WriteString(strings.Repeat(" ", max(nameColumn-(b.Len()-start), 0)))
		b.WriteString(strings.ReplaceAll(r.Name, "\n", `\012`))
	}
	b.WriteByte('\n')
}

// account is the figures of smaps, for one mapping or for all.
type account struct {
	size, rss, private, shared, anon, locked uint64
}

func (a *account) add(r mm.Region) {
	n := r.Resident()
	a.size += uint64(r.End - r.Start)
	a.rss += n
	switch {
	case r.Shared:
		a.shared += n
	case r.Anonymous:
		a.anon += n
		a.private += n
	default:
		a.private += n
	}
	if r.Locked {
		a.locked += n
	}
}

// rows are the lines between the first and the last.
func (a *account) rows(b *strings.Builder) {
	kb := func(name string, bytes uint64) { fmt.Fprintf(b, "%-16s%8d kB\n", name+":", bytes>>10) }
	kb("Rss", a.rss)
	kb("Pss", a.rss)
	kb("Pss_Dirty", a.anon)
	kb("Shared_Clean", a.shared)
	kb("Shared_Dirty", 0)
	kb("Private_Clean", a.private-a.anon)
	kb("Private_Dirty", a.anon)
	kb("Referenced", a.rss)
	kb("Anonymous", a.anon)
	for _, name := range []string{"KSM", "LazyFree", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb",
		"Private_Hugetlb", "Swap", "SwapPss"} {
		kb(name, 0)
	}
	kb("Locked", a.locked)
}

func (s *subject) smaps(vfs.Context) ([]byte, error) {
	return s.withMM(func(space *mm.MM) ([]byte, error) {
		var b strings.Builder
		space.ForEach(func(r mm.Region) bool {
			var a account
			a.add(r)
			mapsLine(&b, r)
			fmt.Fprintf(&b, "Size:           %8d kB\nKernelPageSize: %8d kB\nMMUPageSize:    %8d kB\n", a.size>>10, 4, 4)
			a.rows(&b)
			fmt.Fprintf(&b, "THPeligible:    %8d\nVmFlags: %s\n", 0, r.Flags)
			return true
		})
		return []byte(b.String()), nil
	})
}

func (s *subject) smapsRollup(vfs.Context) ([]byte, error) {
	return s.withMM(func(space *mm.MM) ([]byte, error) {
		var a account
		var first, last usermem.Addr
		space.ForEach(func(r mm.Region) bool {
			if first == 0 {
				first = r.Start
			}
			last = r.End
			a.add(r)
			return true
		})
		var b strings.Builder
		mapsLine(&b, mm.Region{Start: first, End: last, Name: "[rollup]"})
		a.rows(&b)
		return []byte(b.String()), nil
	})
}

func (s *subject) numaMaps(vfs.Context) ([]byte, error) {
	return s.withMM(func(space *mm.MM) ([]byte, error) {
		var b strings.Builder
		space.ForEach(func(r mm.Region) bool {
			fmt.Fprintf(&b, "%08x default", uint64(r.Start))
			if strings.HasPrefix(r.Name, "/") {
				b.WriteString(" file=" + r.Name)
			}
			pages := r.Resident() / linux.PageSize
			fmt.Fprintf(&b, " N0=%d kernelpagesize_kB=4\n", pages)
			return true
		})
		return []byte(b.String()), nil
	})
}

// memFile is an open /proc/PID/mem. It holds the address space it was opened
// on, also across the process's execve.
type memFile struct{ space *mm.MM }

func (s *subject) openMem(vfs.Context, linux.OpenFlags) (vfs.File, error) {
	t := s.task()
	if t == nil || s.gone() {
		return nil, errno.ESRCH
	}
	space := t.TakeMM()
	if space == nil {
		return nil, errno.EACCES
	}
	return &memFile{space}, nil
}

// Release implements vfs.File.
func (f *memFile) Release() { f.space.DecUsers() }

// memChunk bounds what one step copies through the Sentry.
const memChunk = 64 << 10

// Read implements vfs.Reader. The first byte that is not there ends it; EIO when
// that is the first of all.
func (f *memFile) Read(_ vfs.Context, dst *usermem.Buffer, off int64) (int64, error) {
	buf := make([]byte, min(dst.Len(), memChunk))
	var done int64
	for dst.Len() > 0 {
		n, err := f.space.CopyIn(buf[:min(dst.Len(), int64(len(buf)))], usermem.Addr(off+done))
		if n == 0 {
			if done == 0 {
				return 0, errno.EIO
			}
			return done, nil
		}
		m, fillErr := dst.Fill(buf[:n])
		done += int64(m)
		if fillErr != nil || err != nil {
			return done, fillErr
		}
	}
	return done, nil
}

// Write implements vfs.Writer.
func (f *memFile) Write(_ vfs.Context, src *usermem.Buffer, off int64) (int64, error) {
	buf := make([]byte, min(src.Len(), memChunk))
	var done int64
	for src.Len() > 0 {
		n, drainErr := src.Drain(buf[:min(src.Len(), int64(len(buf)))])
		m, err := f.space.CopyOut(usermem.Addr(off+done), buf[:n])
		done += int64(m)
		switch {
		case err != nil && done == 0:
			return 0, errno.EIO
		case err != nil:
			return done, nil
		case drainErr != nil:
			return done, drainErr
		}
	}
	return done, nil
}

// Seek implements vfs.Seeker. Addresses of the upper half are negative, which
// Linux allows here.
func (f *memFile) Seek(_ vfs.Context, pos, offset int64, whence int) (int64, error) {
	switch whence {
	case linux.SEEK_SET:
		return offset, nil
	case linux.SEEK_CUR:
		return pos + offset, nil
	}
	return 0, errno.EINVAL
}
