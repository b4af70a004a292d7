package linux

// Requests of ioctl(2) on terminals, and some that any file takes.
const (
	TCGETS      = 0x5401
	TCSETS      = 0x5402
	TCSETSW     = 0x5403
	TCSETSF     = 0x5404
	TCGETA      = 0x5405
	TCSETA      = 0x5406
	TCSETAW     = 0x5407
	TCSETAF     = 0x5408
	TCSBRK      = 0x5409
	TCXONC      = 0x540a
	TCFLSH      = 0x540b
	TIOCEXCL    = 0x540c
	TIOCNXCL    = 0x540d
	TIOCSCTTY   = 0x540e
	TIOCGPGRP   = 0x540f
	TIOCSPGRP   = 0x5410
	TIOCOUTQ    = 0x5411
	TIOCSTI     = 0x5412
	TIOCGWINSZ  = 0x5413
	TIOCSWINSZ  = 0x5414
	TIOCMGET    = 0x5415
	FIONREAD    = 0x541b
	TIOCINQ     = 0x541b
	TIOCLINUX   = 0x541c
	TIOCCONS    = 0x541d
	TIOCPKT     = 0x5420
	FIONBIO     = 0x5421
	TIOCNOTTY   = 0x5422
	TIOCSETD    = 0x5423
	TIOCGETD    = 0x5424
	TCSBRKP     = 0x5425
	TIOCSBRK    = 0x5427
	TIOCCBRK    = 0x5428
	TIOCGSID    = 0x5429
	TCGETS2     = 0x802c542a
	TCSETS2     = 0x402c542b
	TCSETSW2    = 0x402c542c
	TCSETSF2    = 0x402c542d
	TIOCGPTN    = 0x80045430
	TIOCSPTLCK  = 0x40045431
	TIOCGPKT    = 0x80045438
	TIOCGPTLCK  = 0x80045439
	TIOCGEXCL   = 0x80045440
	TIOCGPTPEER = 0x5441
	TIOCVHANGUP = 0x5437
	FIONCLEX    = 0x5450
	FIOCLEX     = 0x5451
	FIOASYNC    = 0x5452
	FIOQSIZE    = 0x5460
)

// Values of TIOCPKT.
const (
	TIOCPKT_DATA       = 0x0
	TIOCPKT_FLUSHREAD  = 0x1
	TIOCPKT_FLUSHWRITE = 0x2
	TIOCPKT_STOP       = 0x4
	TIOCPKT_START      = 0x8
	TIOCPKT_NOSTOP     = 0x10
	TIOCPKT_DOSTOP     = 0x20
	TIOCPKT_IOCTL      = 0x40
)

// Queues of TCFLSH and actions of TCXONC.
const (
	TCIFLUSH  = 0
	TCOFLUSH  = 1
	TCIOFLUSH = 2
	TCOOFF    = 0
	TCOON     = 1
	TCIOFF    = 2
	TCION     = 3
)

// NCCS is the number of control characters of the kernel's struct termios; a
// libc has more.
const NCCS = 19

// Termios is struct termios of the kernel.
type Termios struct {
	Iflag uint32
	Oflag uint32
	Cflag uint32
	Lflag uint32
	Line  uint8
	CC    [NCCS]uint8
}

// Termios2 is struct termios2: a Termios with speeds.
type Termios2 struct {
	Termios
	Ispeed uint32
	Ospeed uint32
}

// Termio is the older struct termio of TCGETA.
type Termio struct {
	Iflag uint16
	Oflag uint16
	Cflag uint16
	Lflag uint16
	Line  uint8
	CC    [8]uint8
	_     [1]byte
}

// Winsize is struct winsize.
type Winsize struct {
	Row    uint16
	Col    uint16
	Xpixel uint16
	Ypixel uint16
}

// Indexes of control characters.
const (
	VINTR    = 0
	VQUIT    = 1
	VERASE   = 2
	VKILL    = 3
	VEOF     = 4
	VTIME    = 5
	VMIN     = 6
	VSWTC    = 7
	VSTART   = 8
	VSTOP    = 9
	VSUSP    = 10
	VEOL     = 11
	VREPRINT = 12
	VDISCARD = 13
	VWERASE  = 14
	VLNEXT   = 15
	VEOL2    = 16
)

// Input flags.
const (
	IGNBRK  = 0o1
	BRKINT  = 0o2
	IGNPAR  = 0o4
	PARMRK  = 0o10
	INPCK   = 0o20
	ISTRIP  = 0o40
	INLCR   = 0o100
	IGNCR   = 0o200
	ICRNL   = 0o400
	IUCLC   = 0o1000
	IXON    = 0o2000
	IXANY   = 0o4000
	IXOFF   = 0o10000
	IMAXBEL = 0o20000
	IUTF8   = 0o40000
)

// Output flags.
const (
	OPOST  = 0o1
	OLCUC  = 0o2
	ONLCR  = 0o4
	OCRNL  = 0o10
	ONOCR  = 0o20
	ONLRET = 0o40
	OFILL  = 0o100
	OFDEL  = 0o200
	NLDLY  = 0o400
	TABDLY = 0o14000
	TAB0   = 0o0
	TAB1   = 0o4000
	TAB2   = 0o10000
	TAB3   = 0o14000
	XTABS  = 0o14000
	CRDLY  = 0o3000
	FFDLY  = 0o100000
	BSDLY  = 0o20000
	VTDLY  = 0o40000
)

// Control flags.
const (
	CBAUD   = 0o10017
	B0      = 0o0
	B9600   = 0o15
	B38400  = 0o17
	B115200 = 0o10002
	CSIZE   = 0o60
	CS5     = 0o0
	CS6     = 0o20
	CS7     = 0o40
	CS8     = 0o60
	CSTOPB  = 0o100
	CREAD   = 0o200
	PARENB  = 0o400
	PARODD  = 0o1000
	HUPCL   = 0o2000
	CLOCAL  = 0o4000
	CBAUDEX = 0o10000
	CRTSCTS = 0o20000000000
)

// Local flags.
const (
	ISIG    = 0o1
	ICANON  = 0o2
	XCASE   = 0o4
	ECHO    = 0o10
	ECHOE   = 0o20
	ECHOK   = 0o40
	ECHONL  = 0o100
	NOFLSH  = 0o200
	TOSTOP  = 0o400
	ECHOCTL = 0o1000
	ECHOPRT = 0o2000
	ECHOKE  = 0o4000
	FLUSHO  = 0o10000
	PENDIN  = 0o40000
	IEXTEN  = 0o100000
	EXTPROC = 0o200000
)

// N_TTY is the line discipline of terminals.
const N_TTY = 0
