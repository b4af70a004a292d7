# go build and go vet of a small module.
# needs: go
# limit: 300
export GOCACHE=$CACHE/go-build GOPATH=$PWD/gopath GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOTELEMETRY=off
mkdir m && cd m && cat >go.mod <<'M'
module example.org/m

go 1.21
M
mkdir sum && cat >sum/sum.go <<'G'
// Package sum adds.
package sum

// Of adds its arguments.
func Of(n ...int) (s int) {
	for _, x := range n {
		s += x
	}
	return s
}
G
cat >sum/sum_test.go <<'G'
package sum

import "testing"

func TestOf(t *testing.T) {
	if Of(1, 2, 3) != 6 {
		t.Fatal("wrong")
	}
}
G
# Never built before: only the standard library comes out of the cache.
printf 'package sum\n\nconst unique = "%s"\n' "$(date +%N)$$" >sum/unique.go
cat >main.go <<'G'
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"example.org/m/sum"
)

func main() {
	var wg sync.WaitGroup
	ch := make(chan int, 100)
	for i := range [20]int{} {
		wg.Add(1)
		go func(i int) { defer wg.Done(); time.Sleep(time.Millisecond); ch <- i }(i)
	}
	wg.Wait()
	close(ch)
	var all []int
	for i := range ch {
		all = append(all, i)
	}
	fmt.Println(sum.Of(all...), runtime.GOOS, runtime.GOARCH, len(os.Args))
	out, err := exec.Command("echo", "from a child").Output()
	fmt.Printf("%s%v\n", out, err)
	runtime.GC()
	os.Exit(3)
}
G
go build -o prog . && ./prog a b; echo "prog $?"
go vet ./... && echo vetted; gofmt -l .; go list ./...
echo 'package main; func f() { return 1 }' >bad.go; go build 2>&1 | tail -1; rm bad.go
