package container

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// runHooks runs the hooks of one kind in order, each with the container's state
// on its standard input, and stops at the first that fails.
//
// Hooks that the specification places in the container's namespaces run on the
// host as well: those namespaces are the Sentry's, and no host process is in
// them.
func (c *Container) runHooks(kind string, hooks []specs.Hook, status specs.ContainerState) error {
	if len(hooks) == 0 {
		return nil
	}
	state := c.OCIState()
	state.Status, state.Pid = status, c.Sentry.PID
	if status == specs.StateStopped {
		state.Pid = 0
	}
	raw, err := json.Marshal(state)
	if err != nil {
		return err
	}
	for i, h := range hooks {
		if err := runHook(h, raw); err != nil {
			return fmt.Errorf("error running %s hook #%d %s: %w", kind, i, h.Path, err)
		}
	}
	return nil
}

func runHook(h specs.Hook, state []byte) error {
	ctx := context.Background()
	if h.Timeout != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*h.Timeout)*time.Second)
		defer cancel()
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, h.Path)
	if len(h.Args) > 0 {
		cmd.Args = h.Args
	}
	cmd.Env = append([]string{}, h.Env...)
	cmd.Stdin = bytes.NewReader(state)
	cmd.Stdout, cmd.Stderr = &out, &out
	// Children of a hook that keep its output open do not hold us up.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("timed out after %d seconds", *h.Timeout)
	}
	if err != nil {
		return fmt.Errorf("%w, output: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}
