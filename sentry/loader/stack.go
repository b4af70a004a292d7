package loader

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/internal/host"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// Secure is AT_SECURE: whether the program has rights that its caller has not.
type Secure uint8

// The values of Secure.
const (
	NotSecure Secure = iota
	IsSecure
)

// Identity is what the auxiliary vector says of the new credentials, as seen in
// their user namespace.
type Identity struct {
	UID, EUID, GID, EGID uint32
	Secure               Secure
}

// Result is where the program starts.
type Result struct {
	Entry        usermem.Addr
	StackPointer usermem.Addr
}

// Load maps the program into m, which is empty but for what the platform brings,
// and whose limits are set. On an error m is of no use any more.
//
// Errors: those of an ELF file that cannot be mapped, EINVAL, ENOMEM, EEXIST;
// E2BIG if the stack has no room for the arguments.
func (p *Program) Load(by platform.Thread, m *mm.MM, r mm.Randomization, id Identity) (Result, error) {
	m.SetLayout(r)
	top, err := m.MapStack(by, p.image.stack())
	if err != nil {
		return Result{}, err
	}
	// Without an interpreter a position independent program goes where
	// mappings go, so that an interpreter run by hand leaves its place free.
	hint := usermem.Addr(0)
	if p.interp != nil {
		hint = m.PIEBase()
	}
	main, err := p.image.load(by, m, hint)
	if err != nil {
		return Result{}, err
	}
	entry, base := main.entry, usermem.Addr(0)
	if p.interp != nil {
		ld, err := p.interp.load(by, m, 0)
		if err != nil {
			return Result{}, err
		}
		entry, base = ld.entry, ld.bias
	}
	brk := main.brk
	if p.image.ehdr.Type == linux.ET_DYN && p.interp == nil {
		brk = m.PIEBase()
	}
	m.SetBrk(brk)

	process := mm.Process{
		CodeStart: main.codeStart, CodeEnd: main.codeEnd,
		DataStart: main.dataStart, DataEnd: main.dataEnd,
		VDSO: m.Process().VDSO,
	}
	s := stackBuilder{top: top, r: r}
	sp, err := s.build(p, p.auxv(&main, base, process.VDSO, id), &process)
	if err != nil {
		return Result{}, err
	}
	if _, err := m.CopyOut(sp, s.buf); err != nil {
		return Result{}, err
	}
	m.SetProcess(process)
	m.SetExe(p.File.Mapping())
	return Result{Entry: entry, StackPointer: sp}, nil
}

// auxv is the vector but for the entries that point into the stack.
func (p *Program) auxv(main *loaded, base, vdso usermem.Addr, id Identity) []linux.AuxEntry {
	var v []linux.AuxEntry
	add := func(key, value uint64) { v = append(v, linux.AuxEntry{Key: key, Value: value}) }
	if vdso != 0 {
		add(linux.AT_SYSINFO_EHDR, uint64(vdso))
	}
	add(linux.AT_HWCAP, host.Auxv(linux.AT_HWCAP))
	add(linux.AT_PAGESZ, pageSize)
	add(linux.AT_CLKTCK, 100)
	add(linux.AT_PHDR, uint64(main.phdr))
	add(linux.AT_PHENT, linux.PhdrSize)
	add(linux.AT_PHNUM, uint64(p.image.ehdr.Phnum))
	add(linux.AT_BASE, uint64(base))
	add(linux.AT_FLAGS, 0)
	add(linux.AT_ENTRY, uint64(main.entry))
	add(linux.AT_UID, uint64(id.UID))
	add(linux.AT_EUID, uint64(id.EUID))
	add(linux.AT_GID, uint64(id.GID))
	add(linux.AT_EGID, uint64(id.EGID))
	add(linux.AT_SECURE, uint64(id.Secure))
	add(linux.AT_HWCAP2, host.Auxv(linux.AT_HWCAP2)&hwcap2Mask)
	if size := host.Auxv(linux.AT_MINSIGSTKSZ); size != 0 {
		add(linux.AT_MINSIGSTKSZ, size)
	}
	return v
}

// stackBuilder lays the first stack out in the Sentry's memory, from the top
// down, so that one copy puts it in place.
type stackBuilder struct {
	top usermem.Addr
	r   mm.Randomization
	buf []byte // ends at top; filled from the end
	at  int    // the lowest byte in use
}

// build fills the stack as fs/binfmt_elf.c does: argc, argv, envp and auxv from
// the stack pointer up, then random bytes and the platform's name, then the
// strings of argv, those of envp, and the file's name. It returns the stack
// pointer and notes where arguments and environment lie.
func (s *stackBuilder) build(p *Program, auxv []linux.AuxEntry, process *mm.Process) (usermem.Addr, error) {
	size := 8 + len(p.path) + 1
	for _, list := range [][]string{p.argv, p.envv} {
		for _, a := range list {
			size += len(a) + 1 + 8
		}
	}
	size += 8192 + 16*(len(auxv)+8) + 256 // padding, vector, names, terminators
	if uint64(size) > argCeiling+argMax {
		return 0, errno.E2BIG
	}
	s.buf = make([]byte, size)
	s.at = size - 8 // a null word at the very top

	execfn := s.pushString(p.path)
	process.EnvEnd = execfn
	envp := s.pushStrings(p.envv)
	process.EnvStart, process.ArgEnd = s.address(), s.address()
	argv := s.pushStrings(p.argv)
	process.ArgStart = s.address()

	s.pad()
	name := s.pushString(platformName)
	var seed [16]byte
	rand.Read(seed[:])
	s.at -= len(seed)
	copy(s.buf[s.at:], seed[:])
	random := s.address()

	auxv = append(auxv,
		linux.AuxEntry{Key: linux.AT_RANDOM, Value: uint64(random)},
		linux.AuxEntry{Key: linux.AT_EXECFN, Value: uint64(execfn)},
		linux.AuxEntry{Key: linux.AT_PLATFORM, Value: uint64(name)},
		linux.AuxEntry{Key: linux.AT_NULL},
	)
	for _, e := range auxv {
		process.Auxv = append(process.Auxv, e.Key, e.Value)
	}
	words := make([]uint64, 0, 3+len(argv)+len(envp)+len(process.Auxv))
	words = append(words, uint64(len(argv)))
	words = append(append(words, argv...), 0)
	words = append(append(words, envp...), 0)
	words = append(words, process.Auxv...)
	s.pushWords(words)
	process.StackStart = s.address()
	s.buf = s.buf[s.at:]
	return process.StackStart, nil
}

func (s *stackBuilder) address() usermem.Addr {
	return s.top - usermem.Addr(len(s.buf)-s.at)
}

func (s *stackBuilder) pushString(v string) usermem.Addr {
	s.at -= len(v) + 1 // the NUL is there already
	copy(s.buf[s.at:], v)
	return s.address()
}

// pushStrings puts the strings so that the first is the lowest, and returns
// their addresses.
func (s *stackBuilder) pushStrings(list []string) []uint64 {
	addrs := make([]uint64, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		addrs[i] = uint64(s.pushString(list[i]))
	}
	return addrs
}

// pad moves down by a random number of bytes, so that the caches of programs
// started alike do not collide, and aligns.
func (s *stackBuilder) pad() {
	if s.r == mm.Random {
		var b [2]byte
		rand.Read(b[:])
		s.at -= int(binary.NativeEndian.Uint16(b[:])) % 8192
	}
	s.at -= int(s.address() & 15)
}

// pushWords puts the words so that the first lies at a multiple of 16, as the
// ABI asks of the stack pointer.
func (s *stackBuilder) pushWords(words []uint64) {
	s.at -= 8 * len(words)
	s.at -= int(s.address() & 15)
	for i, w := range words {
		binary.LittleEndian.PutUint64(s.buf[s.at+8*i:], w)
	}
}
