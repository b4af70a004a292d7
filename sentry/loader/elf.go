package loader

import (
	"bytes"
	"encoding/binary"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform"
	"github.com/bulkhead-sandbox/bulkhead/sentry/mm"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
)

// image is one ELF file: the program or its interpreter.
type image struct {
	file  File
	head  []byte // the start of the file
	ehdr  linux.Ehdr
	phdrs []linux.Phdr
}

const (
	maxHeaders   = 65536 / linux.PhdrSize // as Linux
	maxPathLen   = 4096
	pageSize     = usermem.PageSize
	pageMask     = pageSize - 1
	addressLimit = linux.TaskSize
)

// parse reads the headers.
//
// Errors: ENOEXEC.
func (im *image) parse(f File, head []byte) error {
	im.file, im.head = f, head
	if len(head) < linux.EhdrSize || !bytes.HasPrefix(head, []byte(linux.ELFMagic)) {
		return errno.ENOEXEC
	}
	if err := binary.Read(bytes.NewReader(head), binary.LittleEndian, &im.ehdr); err != nil {
		return errno.ENOEXEC
	}
	h := &im.ehdr
	if h.Ident[linux.EI_CLASS] != linux.ELFCLASS64 || h.Ident[linux.EI_DATA] != linux.ELFDATA2LSB ||
		h.Machine != machine || (h.Type != linux.ET_EXEC && h.Type != linux.ET_DYN) ||
		h.Phentsize != linux.PhdrSize || h.Phnum < 1 || h.Phnum > maxHeaders {
		return errno.ENOEXEC
	}
	raw, err := im.bytes(h.Phoff, uint64(h.Phnum)*linux.PhdrSize)
	if err != nil {
		return errno.ENOEXEC
	}
	im.phdrs = make([]linux.Phdr, h.Phnum)
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, im.phdrs); err != nil {
		return errno.ENOEXEC
	}
	return nil
}

// bytes is a part of the file, which the caller has bounded.
func (im *image) bytes(off, n uint64) ([]byte, error) {
	if off <= uint64(len(im.head)) && n <= uint64(len(im.head))-off {
		return im.head[off : off+n], nil
	}
	b := make([]byte, n)
	return b, readFull(im.file, b, off)
}

// interpreter is the path in PT_INTERP, "" without one.
//
// Errors: ENOEXEC for one that is not a string; EIO beyond the file.
func (im *image) interpreter() (string, error) {
	for i := range im.phdrs {
		ph := &im.phdrs[i]
		if ph.Type != linux.PT_INTERP {
			continue
		}
		if ph.Filesz > maxPathLen || ph.Filesz < 2 {
			return "", errno.ENOEXEC
		}
		b, err := im.bytes(ph.Off, ph.Filesz)
		if err != nil {
			return "", err
		}
		if b[len(b)-1] != 0 {
			return "", errno.ENOEXEC
		}
		return string(b[:bytes.IndexByte(b, 0)]), nil
	}
	return "", nil
}

// stack says whether the file asks for an executable stack. Without PT_GNU_STACK
// a 64-bit program does not get one.
func (im *image) stack() mm.Executable {
	for i := range im.phdrs {
		if im.phdrs[i].Type == linux.PT_GNU_STACK && im.phdrs[i].Flags&linux.PF_X != 0 {
			return mm.Exec
		}
	}
	return mm.NoExec
}

// loaded is an image in memory.
type loaded struct {
	bias  usermem.Addr // what is added to the addresses in the file
	entry usermem.Addr
	phdr  usermem.Addr // the program headers, 0 if no segment holds them

	codeStart, codeEnd, dataStart, dataEnd, brk usermem.Addr
}

// span is the range of the segments, in whole pages, and the largest alignment.
//
// Errors: EINVAL without a segment, for one that is larger in the file than in
// memory, and for addresses no guest has.
func (im *image) span() (start, end uint64, align uint64, err error) {
	start, align = addressLimit, pageSize
	for i := range im.phdrs {
		ph := &im.phdrs[i]
		if ph.Type != linux.PT_LOAD {
			continue
		}
		if ph.Filesz > ph.Memsz || ph.Vaddr >= addressLimit || ph.Memsz > addressLimit-ph.Vaddr {
			return 0, 0, 0, errno.EINVAL
		}
		start = min(start, ph.Vaddr&^pageMask)
		end = max(end, (ph.Vaddr+ph.Memsz+pageMask)&^pageMask)
		if a := ph.Align; a > align && a&(a-1) == 0 && a <= 1<<30 {
			align = a
		}
	}
	if end <= start {
		return 0, 0, 0, errno.EINVAL
	}
	return start, end, align, nil
}

// load maps the image; hint is where a position independent one should go.
//
// Errors: EINVAL for segments that cannot be; EEXIST for a place that is taken;
// ENOMEM; what mapping the file returns.
func (im *image) load(by platform.Thread, m *mm.MM, hint usermem.Addr) (loaded, error) {
	start, end, align, err := im.span()
	if err != nil {
		return loaded{}, err
	}
	var l loaded
	if im.ehdr.Type == linux.ET_DYN {
		at, err := m.Place(hint, end-start, usermem.Addr(align))
		if err != nil {
			return loaded{}, err
		}
		l.bias = at - usermem.Addr(start)
	} else if !m.IsFree(usermem.Addr(start), end-start) {
		return loaded{}, errno.EEXIST
	}
	fd, err := im.file.MapFD()
	if err != nil {
		return loaded{}, err
	}
	l.codeStart = ^usermem.Addr(0)
	for i := range im.phdrs {
		if im.phdrs[i].Type != linux.PT_LOAD {
			continue
		}
		if err := im.mapSegment(by, m, &im.phdrs[i], l.bias, fd); err != nil {
			return loaded{}, err
		}
		l.note(&im.phdrs[i], im.ehdr.Phoff)
	}
	l.entry = l.bias + usermem.Addr(im.ehdr.Entry)
	if l.entry >= m.Max() {
		return loaded{}, errno.EINVAL
	}
	return l, nil
}

// note remembers what the auxiliary vector and /proc/PID/stat tell.
func (l *loaded) note(ph *linux.Phdr, phoff uint64) {
	addr := l.bias + usermem.Addr(ph.Vaddr)
	if ph.Off <= phoff && phoff-ph.Off < ph.Filesz {
		l.phdr = addr + usermem.Addr(phoff-ph.Off)
	}
	if ph.Flags&linux.PF_X != 0 {
		l.codeStart = min(l.codeStart, addr)
		l.codeEnd = max(l.codeEnd, addr+usermem.Addr(ph.Filesz))
	}
	l.dataStart = max(l.dataStart, addr)
	l.dataEnd = max(l.dataEnd, addr+usermem.Addr(ph.Filesz))
	l.brk = max(l.brk, addr+usermem.Addr(ph.Memsz))
}

// mapSegment maps one PT_LOAD: whole pages of the file, zeros to the end of the
// last one, and anonymous pages behind.
func (im *image) mapSegment(by platform.Thread, m *mm.MM, ph *linux.Phdr, bias usermem.Addr, fd int) error {
	prot := rights(ph.Flags)
	addr := bias + usermem.Addr(ph.Vaddr)
	start := addr.PageDown()
	fileEnd := addr + usermem.Addr(ph.Filesz)
	memEnd := addr + usermem.Addr(ph.Memsz)
	if addr < bias || memEnd < addr || memEnd > m.Max() {
		return errno.ENOMEM
	}
	zeroFrom := start // where anonymous pages begin
	if ph.Filesz > 0 {
		inPage := uint64(addr - start)
		if ph.Off < inPage || (ph.Off-inPage)&pageMask != 0 || ph.Off > 1<<62 {
			return errno.EINVAL
		}
		_, err := m.Map(by, mm.MapOpts{
			Addr: start, Length: uint64(fileEnd - start), Prot: prot, MaxProt: allRights,
			Flags: linux.MAP_PRIVATE | linux.MAP_FIXED, File: im.file.Mapping(), FD: fd, Offset: int64(ph.Off - inPage),
		})
		if err != nil {
			return err
		}
		zeroFrom = (fileEnd + pageMask).PageDown()
		if ph.Memsz > ph.Filesz && prot&linux.PROT_WRITE != 0 {
			// Linux leaves the tail of a segment that cannot be written.
			if _, err := m.CopyOut(fileEnd, zeros[:zeroFrom-fileEnd]); err != nil {
				return err
			}
		}
	}
	bssEnd := (memEnd + pageMask).PageDown()
	if bssEnd <= zeroFrom {
		return nil
	}
	_, err := m.Map(by, mm.MapOpts{
		Addr: zeroFrom, Length: uint64(bssEnd - zeroFrom),
		Prot:  linux.PROT_READ | linux.PROT_WRITE | prot&linux.PROT_EXEC,
		Flags: linux.MAP_PRIVATE | linux.MAP_ANONYMOUS | linux.MAP_FIXED,
	})
	return err
}

const allRights = linux.PROT_READ | linux.PROT_WRITE | linux.PROT_EXEC

var zeros [pageSize]byte

// rights turns the flags of a segment into those of a mapping.
func rights(flags uint32) (prot linux.Prot) {
	for _, f := range [...]struct {
		pf   uint32
		prot linux.Prot
	}{{linux.PF_R, linux.PROT_READ}, {linux.PF_W, linux.PROT_WRITE}, {linux.PF_X, linux.PROT_EXEC}} {
		if flags&f.pf != 0 {
			prot |= f.prot
		}
	}
	return prot
}
