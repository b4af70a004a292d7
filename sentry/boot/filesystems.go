package boot

import (
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/cgroup"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/dev"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/pipefs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/proc"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/sys"
	"github.com/bulkhead-sandbox/bulkhead/sentry/fs/tmpfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/ipc"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/socket/inet"
	"github.com/bulkhead-sandbox/bulkhead/sentry/syscalls"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
)

// fileSystems is what mount(2) can make, and /proc/filesystems shows.
func (s *sandbox) fileSystems() []vfs.FSType {
	memory, _ := s.k.Memory()
	types := []vfs.FSType{
		s.proc.Type(),
		sys.Type(sys.Machine{CPUs: s.k.CPUs(), MemTotal: memory}),
		tmpfs.Type(),
		tmpfs.DevType(),
		s.ttys.Type(),
	}
	limits := cgroup.Limits(s.cfg.Container.Limits)
	return append(types, (&cgroup.Config{Kernel: s.k, Limits: limits, Initial: s.proc.Initial}).Types()...)
}

func (s *sandbox) registerFileSystems() {
	s.proc = &proc.Config{Kernel: s.k, Sysctls: proc.NewSysctls(), IPC: s.ipcFiles(), Net: netFiles()}
	s.world.RegisterFS(s.fileSystems()...)
	s.world.RegisterFIFO(pipefs.OpenFIFO)
	dev.Register(s.world)
}

// netFiles are those of /proc/net that list sockets.
func netFiles() []proc.NetFile {
	var files []proc.NetFile
	for _, f := range inet.Files {
		files = append(files, proc.NetFile{Name: f.Name, Show: func(ns *kernel.NetNamespace) []byte { return f.Show(ns) }})
	}
	return files
}

// ipcFiles are those of /proc/sysvipc.
func (s *sandbox) ipcFiles() []proc.IPCFile {
	var files []proc.IPCFile
	for name, table := range ipc.Tables {
		files = append(files, proc.IPCFile{Name: name, Show: func(c vfs.Context, ns *kernel.IPCNamespace) []byte {
			return table(syscalls.SysV(s.k, ns), c.Creds().UserNS)
		}})
	}
	return files
}
