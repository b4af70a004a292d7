package cgroup

import (
	"testing"

	"github.com/bulkhead-sandbox/bulkhead/abi/errno"
	"github.com/bulkhead-sandbox/bulkhead/abi/linux"
	"github.com/bulkhead-sandbox/bulkhead/platform/script"
	"github.com/bulkhead-sandbox/bulkhead/sentry/kernel"
	"github.com/bulkhead-sandbox/bulkhead/sentry/usermem"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs"
	"github.com/bulkhead-sandbox/bulkhead/sentry/vfs/vfstest"
)

func TestLimitsAreShown(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		want   map[string]string
	}{
		{Limits{}, map[string]string{
			"/cpu.max": "max 100000\n", "/memory.max": "max\n", "/pids.max": "max\n", "/memory.swap.max": "max\n", "/cgroup.procs": "",
		}},
		{Limits{Memory: 64 << 20, CPUQuota: 50000, Processes: 100, Swap: 1 << 20}, map[string]string{
			"/cpu.max": "50000 100000\n", "/memory.max": "67108864\n", "/pids.max": "100\n", "/memory.swap.max": "1048576\n",
			"/pids.current": "0\n", "/memory.current": "0\n",
		}},
		{Limits{CPUQuota: 1000, CPUPeriod: 2000}, map[string]string{"/cpu.max": "1000 2000\n"}},
	} {
		x := mount(t, c.limits)
		for path, want := range c.want {
			if got := x.read(t, path); got != want {
				t.Errorf("%+v: %s is %q, want %q", c.limits, path, got, want)
			}
		}
	}
}

func TestEnter(t *testing.T) {
	x := mount(t, Limits{})
	for value, want := range map[string]error{"0\n": nil, "7": errno.ESRCH, "me": errno.EINVAL, "-1": errno.EINVAL} {
		if err := x.config.enter(x.c, []byte(value)); err != want {
			t.Errorf("%q: %v, want %v", value, err, want)
		}
	}
}

type mounted struct {
	config *Config
	c      *vfstest.Context
	fs     *vfs.FSContext
}

func mount(t *testing.T, l Limits) mounted {
	p := script.New()
	t.Cleanup(p.Close)
	w := vfs.NewWorld()
	k := kernel.New(kernel.Options{Platform: p, World: w, Memory: kernel.MemoryInfo{Total: 1 << 30}})
	c := vfstest.NewContext()
	config := &Config{Kernel: k, Limits: l}
	return mounted{config, c, vfs.NewFSContext(w.NewNamespace(config.New(w), "cgroup", 0, k.RootUserNS()))}
}

func (x mounted) read(t *testing.T, path string) string {
	t.Helper()
	n := x.fs.Name(path)
	defer n.Release()
	d, err := vfs.Open(x.c, n, vfs.OpenHow{Flags: linux.O_RDONLY})
	if err != nil {
		return err.Error()
	}
	defer d.DecRef()
	buf := make([]byte, 4096)
	got, err := d.Read(x.c, usermem.OwnBuffer(buf), 0, vfs.Wait)
	if err != nil {
		return err.Error()
	}
	return string(buf[:got])
}
