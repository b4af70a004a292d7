// Command sizes lists the module's longest functions, files and packages, for
// those who wonder where to split next. It never fails a build: the figures in
// CONTRIBUTING.md are a guide, not a limit.
package main

import (
	"fmt"
	"os"

	"github.com/bulkhead-sandbox/bulkhead/tools/house"
)

const shown = 20

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	tree, err := house.Load(root)
	if err != nil {
		fmt.Fprintf(os.Stderr, "sizes: read %s: %v\n", root, err)
		os.Exit(1)
	}
	functions, files, packages := tree.Sizes()
	list("functions", functions)
	list("files", files)
	list("packages", packages)
}

func list(what string, sizes []house.Size) {
	fmt.Printf("longest %s, in lines\n", what)
	for _, s := range sizes[:min(shown, len(sizes))] {
		fmt.Printf("%7d  %s\n", s.Lines, s.Name)
	}
}
