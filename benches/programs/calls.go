// The same as calls.c, for Go: the calls of package syscall, which are the thinnest
// that a Go program has, so that nothing hides what a detour costs.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

func fail(what string, err error) {
	fmt.Fprintln(os.Stderr, what, err)
	os.Exit(1)
}

func batch(kind, path string, count int) time.Duration {
	var st syscall.Stat_t
	start := time.Now()
	switch kind {
	case "open":
		for i := 0; i < count; i++ {
			fd, err := syscall.Open(path, syscall.O_RDONLY, 0)
			if err != nil {
				fail(path, err)
			}
			syscall.Close(fd)
		}
	case "stat":
		for i := 0; i < count; i++ {
			if err := syscall.Stat(path, &st); err != nil {
				fail(path, err)
			}
		}
	case "getppid":
		for i := 0; i < count; i++ {
			if syscall.Getppid() < 0 {
				fail(kind, nil)
			}
		}
	default:
		fail("unknown kind", nil)
	}
	return time.Since(start)
}

func main() {
	if len(os.Args) != 4 {
		os.Exit(2)
	}
	kind, path := os.Args[1], os.Args[2]
	batches, err := strconv.Atoi(os.Args[3])
	if err != nil {
		fail("batches", err)
	}
	count := 1
	for batch(kind, path, count) < time.Millisecond {
		count *= 2
	}
	best := 1e18
	for ; batches > 0; batches-- {
		each := float64(batch(kind, path, count).Nanoseconds()) / float64(count)
		best = min(best, each)
	}
	fmt.Printf("%.2f\n", best)
}
