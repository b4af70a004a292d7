package cmd

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/runsc/container"
)

var stateCommand = command{
	name: "state", usage: "output the state of a container", arguments: "<container-id>", min: 1, max: 1,
	run: func(cmd *cli.Command) error {
		c, err := find(cmd)
		if err != nil {
			return err
		}
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(describe(c))
	},
}

// description is what `state` and `list -f json` print, with runc's names.
type description struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	PID         int               `json:"pid"`
	Status      container.Status  `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

func describe(c *container.Container) description {
	d := description{
		Version:     specs.Version,
		ID:          c.ID,
		Status:      c.Status(),
		Bundle:      c.Bundle,
		Rootfs:      c.Rootfs,
		Created:     c.Created,
		Annotations: c.Spec.Annotations,
	}
	if d.Status != container.StatusStopped {
		d.PID = c.Sentry.PID
	}
	return d
}

// ownerName is the user's name, or the number when there is none. It is looked
// up here because package os/user would bring in the C library.
func ownerName(uid int) string {
	raw, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "#" + strconv.Itoa(uid)
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Split(line, ":")
		if len(fields) > 2 && fields[2] == strconv.Itoa(uid) {
			return fields[0]
		}
	}
	return "#" + strconv.Itoa(uid)
}
