// Command runsc runs OCI containers on a kernel of their own. All of its work is
// in runsc/cmd, which also dispatches the processes of a sandbox: they are this
// same program, started again.
package main

import (
	"os"

	"github.com/bulkhead-sandbox/bulkhead/runsc/cmd"
)

func main() {
	os.Exit(cmd.Main(os.Args))
}
