package linux

// UTSLen is the size of a field of a Utsname, its NUL included.
const UTSLen = 65

// Utsname is struct new_utsname.
type Utsname struct {
	Sysname    [UTSLen]byte
	Nodename   [UTSLen]byte
	Release    [UTSLen]byte
	Version    [UTSLen]byte
	Machine    [UTSLen]byte
	Domainname [UTSLen]byte
}

// UTSField returns s as a field of a Utsname, cut where it is too long.
func UTSField(s string) (field [UTSLen]byte) {
	copy(field[:UTSLen-1], s)
	return field
}

// UTSString returns a field of a Utsname as a string.
func UTSString(field [UTSLen]byte) string { return cString(field[:]) }
