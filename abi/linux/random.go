package linux

// Flags of getrandom(2).
const (
	GRND_NONBLOCK = 0x1
	GRND_RANDOM   = 0x2
	GRND_INSECURE = 0x4
)

// Requests of ioctl(2) on /dev/random.
const (
	RNDGETENTCNT   = 0x80045200
	RNDADDTOENTCNT = 0x40045201
	RNDADDENTROPY  = 0x40085203
	RNDRESEEDCRNG  = 0x5207
)
