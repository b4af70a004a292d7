package boot

import (
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
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
	table := func(name string, f inet.Family, typ int) proc.NetFile {
		return proc.NetFile{Name: name, Show: func(ns *kernel.NetNamespace) []byte { return inet.Table(ns, f, typ) }}
	}
	return []proc.NetFile{
		table("tcp", inet.V4, linux.SOCK_STREAM), table("tcp6", inet.V6, linux.SOCK_STREAM),
		table("udp", inet.V4, linux.SOCK_DGRAM), table("udp6", inet.V6, linux.SOCK_DGRAM),
	}
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
