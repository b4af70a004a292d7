package vfs

// Path is a place in the tree: a dentry seen through a mount. Whoever holds a
// Path holds a reference on both, unless he says that he borrows them.
type Path struct {
	Mount  *Mount
	Dentry *Dentry
}

// IsZero says whether there is no path.
func (p Path) IsZero() bool { return p.Dentry == nil }

// Inode is the file that the path names.
func (p Path) Inode() Inode { return p.Dentry.inode }

// IncRef and DecRef count references on mount and dentry. Both do nothing for
// the zero Path.
func (p Path) IncRef() {
	if p.Dentry != nil {
		p.Mount.incRef()
		p.Dentry.incRef()
	}
}

// DecRef gives a reference back.
func (p Path) DecRef() {
	if p.Dentry != nil {
		p.Dentry.decRef()
		p.Mount.decRef()
	}
}
