package sys

import (
	"slices"
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

func TestFiles(t *testing.T) {
	w := vfs.NewWorld()
	c := vfstest.NewContext()
	fsc := vfs.NewFSContext(w.NewNamespace(New(w, Machine{CPUs: 6, MemTotal: 8 << 30}), "sysfs", 0, c.Creds().UserNS))
	for path, want := range map[string]string{
		"/devices/system/cpu/online":                                   "0-5\n",
		"/devices/system/cpu/cpu5/topology/core_id":                    "5\n",
		"/devices/system/cpu/cpu5/topology/thread_siblings":            "20\n",
		"/devices/system/cpu/cpu0/topology/core_siblings":              "3f\n",
		"/devices/system/cpu/cpu2/node0/cpulist":                       "0-5\n",
		"/kernel/mm/transparent_hugepage/hpage_pmd_size":               "2097152\n",
		"/class/net/lo/mtu":                                            "65536\n",
		"/class/net/lo/subsystem/lo/ifindex":                           "1\n",
		"/devices/system/node/node0/cpu3/topology/core_id":             "3\n",
		"/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
	} {
		n := fsc.Name(path)
		d, err := vfs.Open(c, n, vfs.OpenHow{Flags: linux.O_RDONLY})
		n.Release()
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		buf := make([]byte, 100)
		got, err := d.Read(c, usermem.OwnBuffer(buf), 0, 0)
		if err != nil || string(buf[:got]) != want {
			t.Errorf("%s: %q %v, want %q", path, buf[:got], err, want)
		}
		d.DecRef()
	}
}

func TestEntriesAreUniqueAndTheirTypesTrue(t *testing.T) {
	w := vfs.NewWorld()
	fs := New(w, Machine{CPUs: 2})
	c := vfstest.NewContext()
	var walk func(path string, dir vfs.Directory)
	walk = func(path string, dir vfs.Directory) {
		f, err := dir.Open(c, vfs.Path{}, linux.O_RDONLY)
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		err = f.(vfs.DirReader).ReadDir(c, 2, func(e vfs.Dirent) bool {
			if slices.Contains(seen, e.Name) {
				t.Errorf("%s/%s is there twice", path, e.Name)
			}
			seen = append(seen, e.Name)
			child, err := dir.Lookup(c, e.Name)
			if err != nil {
				t.Errorf("%s/%s: %v", path, e.Name, err)
				return true
			}
			if got := child.Attr().Mode.DirentType(); got != e.Type {
				t.Errorf("%s/%s: type %d, listed as %d", path, e.Name, got, e.Type)
			}
			if s, _ := child.Stat(c, 0); s.Ino != e.Ino {
				t.Errorf("%s/%s: inode %d, listed as %d", path, e.Name, s.Ino, e.Ino)
			}
			if sub, ok := child.(vfs.Directory); ok {
				walk(path+"/"+e.Name, sub)
			}
			return true
		})
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	walk("", fs.Root().(vfs.Directory))
}

func TestCPUMask(t *testing.T) {
	for _, c := range []struct {
		first, end, cpus int
		want             string
	}{
		{0, 1, 1, "1\n"}, {0, 2, 2, "3\n"}, {1, 2, 6, "02\n"}, {0, 32, 32, "ffffffff\n"},
		{0, 33, 33, "1,ffffffff\n"}, {32, 33, 36, "1,00000000\n"}, {31, 32, 64, "00000000,80000000\n"},
	} {
		if got := cpuMask(c.first, c.end, c.cpus); got != c.want {
			t.Errorf("%d-%d of %d: %q, want %q", c.first, c.end, c.cpus, got, c.want)
		}
	}
}
