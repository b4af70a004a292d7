package vfs

type lockTable struct{}
type lockWaits struct{}

func releaseFileLocks(d *Description) {}
