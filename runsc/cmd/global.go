package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/platform/all"
	"github.com/bulkhead-sandbox/bulkhead/runsc/cgroup"
	"github.com/bulkhead-sandbox/bulkhead/runsc/container"
	"github.com/bulkhead-sandbox/bulkhead/runsc/specconv"
	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// The values of --overlay.
const (
	overlayNone   = "none"
	overlayMemory = "root:memory"
)

// The values of --root-cache.
const (
	cacheRelaxed   = "relaxed"
	cacheExclusive = "exclusive"
)

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "debug", Usage: "enable debug logging"},
		&cli.StringFlag{Name: "log", Usage: "set the log file to write runsc logs to (default is '/dev/stderr')"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "set the log format ('text' (default), or 'json')"},
		&cli.StringFlag{Name: "root", Value: defaultRoot(), Usage: "root directory for storage of container state (this should be located in tmpfs)"},
		&cli.StringFlag{Name: "criu", Usage: "accepted for compatibility, and ignored"},
		&cli.BoolFlag{Name: "systemd-cgroup", Usage: "enable systemd cgroup support, expects cgroupsPath to be of form \"slice:prefix:name\" for e.g. \"system.slice:runsc:434234\""},
		&cli.StringFlag{Name: "rootless", Value: "auto", Usage: "accepted for compatibility: a cgroup that nobody asked for may always be missing"},

		&cli.StringFlag{Name: "platform", Value: all.Default().Name, Usage: "how system calls of the workload are trapped"},
		&cli.StringFlag{Name: "network", Value: "none", Usage: "what the sandbox's network reaches ('none': its own loopback)"},
		&cli.StringFlag{Name: "overlay", Value: overlayNone, Usage: "where writes to the root file system go ('none': to the bundle, or 'root:memory')"},
		&cli.StringFlag{Name: "root-cache", Value: cacheRelaxed, Usage: "how long what was seen of the root file system is believed ('relaxed': for a second, 'exclusive': for good, when nobody else changes it)"},
		&cli.BoolFlag{Name: "strace", Usage: "write a line for each system call of the container to the debug log"},
		&cli.StringFlag{Name: "debug-log", Usage: "set the file that takes the sandbox's debug output (default is '/dev/stderr')"},
	}
}

// defaultRoot is where the state is when --root is not given: root's in /run,
// anybody else's in their own runtime directory. Root of a user namespace that
// a user made, as rootless engines are, counts as that user.
func defaultRoot() string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if os.Geteuid() == 0 && (dir == "" || !inUserNamespace() || os.Getenv("USER") == "root") {
		return "/run/runsc"
	}
	if dir != "" {
		return filepath.Join(dir, "runsc")
	}
	return filepath.Join(os.TempDir(), "runsc-"+strconv.Itoa(os.Geteuid()))
}

// inUserNamespace says whether our user namespace lacks ids of the host's.
func inUserNamespace() bool {
	raw, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	var inside, outside, count uint64
	fmt.Sscan(string(raw), &inside, &outside, &count)
	return inside != 0 || outside != 0 || count != 1<<32-1
}

// before checks the global flags and opens the log.
func before(ctx context.Context, cmd *cli.Command) (context.Context, error) {
	if _, err := all.Lookup(cmd.String("platform")); err != nil {
		return ctx, err
	}
	if v := cmd.String("network"); v != "none" {
		return ctx, fmt.Errorf("--network %q is not supported, only \"none\"", v)
	}
	if v := cmd.String("overlay"); v != overlayNone && v != overlayMemory {
		return ctx, fmt.Errorf("--overlay %q is neither %q nor %q", v, overlayNone, overlayMemory)
	}
	if v := cmd.String("root-cache"); v != cacheRelaxed && v != cacheExclusive {
		return ctx, fmt.Errorf("--root-cache %q is neither %q nor %q", v, cacheRelaxed, cacheExclusive)
	}
	if v := cmd.String("rootless"); v != "auto" {
		if _, err := strconv.ParseBool(v); err != nil {
			return ctx, fmt.Errorf("--rootless %q is neither 'true', 'false' nor 'auto'", v)
		}
	}
	return ctx, openLog(cmd)
}

func cgroupDriver(cmd *cli.Command) cgroup.Driver {
	if cmd.Bool("systemd-cgroup") {
		return cgroup.Systemd
	}
	return cgroup.Cgroupfs
}

func overlay(cmd *cli.Command) control.Overlay {
	if cmd.String("overlay") == overlayMemory {
		return control.OverlayMemory
	}
	return control.OverlayNone
}

func specOptions(cmd *cli.Command) specconv.Options {
	return specconv.Options{Overlay: overlay(cmd), Cached: cmd.String("root-cache") == cacheExclusive}
}

// bootConfig carries the global flags into a sandbox.
func bootConfig(cmd *cli.Command) control.BootConfig {
	return control.BootConfig{
		Platform: cmd.String("platform"),
		Network:  cmd.String("network"),
		Debug:    cmd.Bool("debug"),
		Strace:   cmd.Bool("strace"),
	}
}

// openDebugLog opens what takes a sandbox's debug output; nil when there is none.
func openDebugLog(cmd *cli.Command) (*os.File, error) {
	path := cmd.String("debug-log")
	if path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return nil, fmt.Errorf("debug log: %w", err)
		}
		return f, nil
	}
	if cmd.Bool("debug") || cmd.Bool("strace") {
		return dup(os.Stderr)
	}
	return nil, nil
}

// store opens the state directory.
func store(cmd *cli.Command) (*container.Store, error) {
	return container.OpenStore(cmd.String("root"))
}

// find loads the container that the first argument names.
func find(cmd *cli.Command) (*container.Container, error) {
	s, err := store(cmd)
	if err != nil {
		return nil, err
	}
	return s.Load(cmd.Args().First())
}

// closeQuietly is for what was only read.
func closeQuietly(c io.Closer) {
	if f, ok := c.(*os.File); ok && f == nil {
		return
	}
	if err := c.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		note(err.Error())
	}
}
