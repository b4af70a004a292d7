package cmd

import (
	"os"

	"github.com/urfave/cli/v3"

	"github.com/bulkhead-sandbox/bulkhead/abi/sysno"
	"github.com/bulkhead-sandbox/bulkhead/sentry/syscalls"
)

var syscallsCommand = command{
	name: "syscalls", usage: "list the system calls with what there is of each", min: 0, max: 0,
	run: func(*cli.Command) error { return syscalls.WriteSupport(os.Stdout, sysno.AMD64) },
}
