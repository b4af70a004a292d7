package linux

// EpollEvent is struct epoll_event, which amd64 packs: the data is a 64-bit
// value at offset 4.
type EpollEvent struct {
	Events uint32
	Data   [2]uint32
}
