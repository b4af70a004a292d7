// Package specconv turns an OCI bundle into the plain documents that a sandbox
// is started with.
//
// Load reads and checks config.json; Convert makes a Plan of it: the
// control.Container for the Sentry and the list of trees for the Gofer. An error
// names the field or path that is wrong, in one line. Things that the spec asks
// for and that have no meaning here become warnings, never silence.
//
// The package reads the bundle and stats mount sources; it changes nothing on
// the host. It holds no state and takes no lock.
package specconv

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bulkhead-sandbox/bulkhead/sentry/control"
)

// configName is the name that the OCI specification gives to the document.
const configName = "config.json"

// Plan is a bundle in our own terms.
type Plan struct {
	Container control.Container
	// Trees are what the Gofer serves: the root first, then each bind mount.
	// control.Mount.Gofer indexes it.
	Trees []Tree
	// Terminal says that init wants a terminal of its own.
	Terminal bool
	// Warnings are what the spec asks for and does not get, a line each.
	Warnings []string
}

// Tree is a host directory, or a single file, that the Gofer serves.
type Tree struct {
	// Path is absolute.
	Path string
	// ReadOnly trees cannot be written even by a Sentry that was taken over.
	ReadOnly bool
	// MountPoints are created in a read-only tree before it becomes read-only.
	MountPoints []MountPoint `json:",omitempty"`
	// Hide are directories in the tree that appear empty.
	Hide []string `json:",omitempty"`
	// Name is what an error calls the tree: "root" or "mount /data".
	Name string
}

// MountPoint is a place inside a tree where something will be mounted.
type MountPoint struct {
	Path string
	// File says that a file is mounted there rather than a directory.
	File bool
}

// Options are the choices of the command line that shape a Plan.
type Options struct {
	Overlay control.Overlay
	Cached  Cached
}

// Cached says that nobody changes the root of a running container from outside.
type Cached bool

// Load reads the config.json of a bundle.
func Load(bundle string) (*specs.Spec, error) {
	raw, err := os.ReadFile(filepath.Join(bundle, configName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("JSON specification file %s not found in %s", configName, bundle)
	}
	if err != nil {
		return nil, err
	}
	spec := new(specs.Spec)
	if err := json.Unmarshal(raw, spec); err != nil {
		return nil, fmt.Errorf("parse %s: %w", filepath.Join(bundle, configName), describeJSON(raw, err))
	}
	return spec, nil
}

// Convert checks spec and makes a plan of it. bundle is absolute.
func Convert(id, bundle string, spec *specs.Spec, opts Options) (*Plan, error) {
	if err := checkVersion(spec.Version); err != nil {
		return nil, err
	}
	if spec.Process == nil {
		return nil, errors.New("process property must not be empty")
	}
	p := &Plan{Terminal: spec.Process.Terminal}
	process, err := p.process(spec.Process)
	if err != nil {
		return nil, err
	}
	p.Container = control.Container{
		ID:         id,
		Hostname:   spec.Hostname,
		Domainname: spec.Domainname,
		Process:    process,
	}
	if err := p.root(bundle, spec.Root, opts); err != nil {
		return nil, err
	}
	SetHome(p.Trees[0].Path, &p.Container.Process)
	filter, warnings, err := Seccomp(spec)
	if err != nil {
		return nil, err
	}
	p.Container.Process.Seccomp = filter
	p.Warnings = append(p.Warnings, warnings...)
	for _, m := range spec.Mounts {
		if err := p.mount(bundle, m); err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.Destination, err)
		}
	}
	if spec.Linux != nil {
		if err := p.linux(spec.Linux); err != nil {
			return nil, err
		}
	}
	p.devices()
	p.planMountPoints()
	return p, nil
}

// Process converts a process that is to join a running container.
func Process(spec *specs.Process) (control.Process, []string, error) {
	if spec == nil {
		return control.Process{}, nil, errors.New("process property must not be empty")
	}
	p := new(Plan)
	process, err := p.process(spec)
	return process, p.Warnings, err
}

func (p *Plan) warnf(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}

// root makes tree 0.
func (p *Plan) root(bundle string, root *specs.Root, opts Options) error {
	if root == nil {
		return errors.New("root property must not be empty")
	}
	if root.Path == "" {
		return errors.New("root.path must not be empty")
	}
	path := root.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(bundle, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("root file system: %s: not a directory", path)
	}
	p.Container.Root = control.Root{ReadOnly: root.Readonly, Overlay: opts.Overlay, Cached: bool(opts.Cached)}
	p.Trees = []Tree{{
		Name:     "root",
		Path:     filepath.Clean(path),
		ReadOnly: root.Readonly || opts.Overlay == control.OverlayMemory,
	}}
	return nil
}

// planMountPoints lists what has to exist in a root that the Sentry cannot
// write. A destination below another mount is made by the Sentry in that mount.
func (p *Plan) planMountPoints() {
	root := &p.Trees[0]
	if !root.ReadOnly || p.Container.Root.Overlay == control.OverlayMemory {
		return
	}
	for i, m := range p.Container.Mounts {
		covered := false
		for _, earlier := range p.Container.Mounts[:i] {
			covered = covered || within(earlier.Destination, m.Destination)
		}
		if covered {
			continue
		}
		point := MountPoint{Path: m.Destination}
		if m.Gofer != control.NoFD {
			info, err := os.Stat(p.Trees[m.Gofer].Path)
			point.File = err == nil && !info.IsDir()
		}
		root.MountPoints = append(root.MountPoints, point)
	}
}

// within says whether path is dir or below it. Both are clean.
func within(dir, path string) bool {
	if dir == "/" || dir == path {
		return true
	}
	return strings.HasPrefix(path, dir+"/")
}

// checkVersion refuses documents of a future major version.
func checkVersion(v string) error {
	if v == "" {
		return errors.New("ociVersion must not be empty")
	}
	if !strings.HasPrefix(v, fmt.Sprintf("%d.", specs.VersionMajor)) {
		return fmt.Errorf("ociVersion %q is not supported, only %d.x", v, specs.VersionMajor)
	}
	return nil
}

// describeJSON adds the line to what encoding/json says.
func describeJSON(raw []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var offset int64
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	default:
		return err
	}
	offset = min(offset, int64(len(raw)))
	return fmt.Errorf("line %d: %w", 1+strings.Count(string(raw[:offset]), "\n"), err)
}
