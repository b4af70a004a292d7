package linux

// Ehdr is Elf64_Ehdr.
type Ehdr struct {
	Ident     [16]byte
	Type      uint16
	Machine   uint16
	Version   uint32
	Entry     uint64
	Phoff     uint64
	Shoff     uint64
	Flags     uint32
	Ehsize    uint16
	Phentsize uint16
	Phnum     uint16
	Shentsize uint16
	Shnum     uint16
	Shstrndx  uint16
}

// Phdr is Elf64_Phdr.
type Phdr struct {
	Type   uint32
	Flags  uint32
	Off    uint64
	Vaddr  uint64
	Paddr  uint64
	Filesz uint64
	Memsz  uint64
	Align  uint64
}

// Sizes of the above.
const (
	EhdrSize = 64
	PhdrSize = 56
)

// ELFMagic is how an ELF file begins.
const ELFMagic = "\x7fELF"

// Values in an Ehdr.
const (
	EI_CLASS    = 4
	EI_DATA     = 5
	EI_VERSION  = 6
	EI_OSABI    = 7
	ELFCLASS32  = 1
	ELFCLASS64  = 2
	ELFDATA2LSB = 1
	EV_CURRENT  = 1
	ET_REL      = 1
	ET_EXEC     = 2
	ET_DYN      = 3
	ET_CORE     = 4
	EM_386      = 3
	EM_X86_64   = 62
	EM_AARCH64  = 183
)

// Values in a Phdr.
const (
	PT_NULL         = 0x0
	PT_LOAD         = 0x1
	PT_DYNAMIC      = 0x2
	PT_INTERP       = 0x3
	PT_NOTE         = 0x4
	PT_PHDR         = 0x6
	PT_TLS          = 0x7
	PT_GNU_EH_FRAME = 0x6474e550
	PT_GNU_STACK    = 0x6474e551
	PT_GNU_RELRO    = 0x6474e552
	PT_GNU_PROPERTY = 0x6474e553
	PF_X            = 0x1
	PF_W            = 0x2
	PF_R            = 0x4
)

// Types of notes in which a debugger sees registers.
const (
	NT_PRSTATUS   = 0x1
	NT_PRFPREG    = 0x2
	NT_PRPSINFO   = 0x3
	NT_AUXV       = 0x6
	NT_X86_XSTATE = 0x202
)

// AuxEntry is Elf64_auxv_t.
type AuxEntry struct {
	Key   uint64
	Value uint64
}

// Keys of the auxiliary vector.
const (
	AT_NULL              = 0
	AT_IGNORE            = 1
	AT_EXECFD            = 2
	AT_PHDR              = 3
	AT_PHENT             = 4
	AT_PHNUM             = 5
	AT_PAGESZ            = 6
	AT_BASE              = 7
	AT_FLAGS             = 8
	AT_ENTRY             = 9
	AT_NOTELF            = 10
	AT_UID               = 11
	AT_EUID              = 12
	AT_GID               = 13
	AT_EGID              = 14
	AT_PLATFORM          = 15
	AT_HWCAP             = 16
	AT_CLKTCK            = 17
	AT_SECURE            = 23
	AT_BASE_PLATFORM     = 24
	AT_RANDOM            = 25
	AT_HWCAP2            = 26
	AT_RSEQ_FEATURE_SIZE = 27
	AT_RSEQ_ALIGN        = 28
	AT_EXECFN            = 31
	AT_SYSINFO           = 32
	AT_SYSINFO_EHDR      = 33
	AT_MINSIGSTKSZ       = 51
)
