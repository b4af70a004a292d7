package boot

import (
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/dev"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/pipefs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/tmpfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// fileSystems is what mount(2) can make, and /proc/filesystems shows.
func (s *sandbox) fileSystems() []vfs.FSType {
	return []vfs.FSType{
		tmpfs.Type(),
		tmpfs.DevType(),
	}
}

func (s *sandbox) registerFileSystems() {
	s.world.RegisterFS(s.fileSystems()...)
	s.world.RegisterFIFO(pipefs.OpenFIFO)
	dev.Register(s.world)
}
