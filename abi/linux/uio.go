package linux

// Iovec is struct iovec.
type Iovec struct {
	Base uint64
	Len  uint64
}

// IovecSize is the size of an Iovec.
const IovecSize = 16
