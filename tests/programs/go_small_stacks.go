// Goroutines begin on 2 KB and keep a few hundred bytes of guard: a system call
// deep on such a stack has no room for a hook. One tool that reserved 16 KB
// there corrupted 26 of 40 runs.
//
// #Build: go, gopie
// #Limit: 30
// #Expect: 2000 goroutines at every depth
package main

import (
	"fmt"
	"sync"
	"syscall"
)

// descend uses a little of the stack at each step and checks on its way back that
// nobody else did.
//
//go:noinline
func descend(depth int, path *byte, seed byte) byte {
	var local [24]byte
	for i := range local {
		local[i] = seed + byte(i)
	}
	if depth == 0 {
		rawMustBe42(path, "at the bottom")
	} else {
		descend(depth-1, path, seed+1)
	}
	for i := range local {
		if local[i] != seed+byte(i) {
			die("depth %d: the stack was written: %v", depth, local)
		}
	}
	return local[depth%24]
}

func main() {
	path, err := syscall.BytePtrFromString(emulated)
	if err != nil {
		die("%v", err)
	}
	var group sync.WaitGroup
	for g := 0; g < 2000; g++ {
		group.Add(1)
		go func(g int) {
			defer group.Done()
			descend(g%100, path, byte(g))
		}(g)
	}
	group.Wait()
	fmt.Println("2000 goroutines at every depth")
}
