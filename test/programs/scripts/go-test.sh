# go test inside: a test binary is built and run.
# needs: go
# limit: 300
export GOCACHE=$CACHE/go-build GOPATH=$PWD/gopath GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOTELEMETRY=off
printf 'module example.org/t\n\ngo 1.21\n' >go.mod
printf 'package t\n\nconst unique = "%s"\n' "$(date +%N)$$" >unique.go
cat >a_test.go <<'G'
package t

import (
	"strings"
	"testing"
)

func TestPasses(t *testing.T) {
	t.Parallel()
	if strings.Repeat("a", 3) != "aaa" {
		t.Fatal("wrong")
	}
}

func TestFails(t *testing.T) { t.Error("as it should") }
G
go test ./... 2>&1 | sed 's/([0-9.]*s)//; s/[0-9.]*s$//'; echo "test ${PIPESTATUS[0]}"
