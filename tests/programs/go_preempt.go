// Go preempts with SIGURG: a storm of them, from spinning goroutines and forced
// collections, over 64 goroutines that open emulated files all the time.
//
// #Build: go, gopie
// #Limit: 30
// #Expect: 64 goroutines read right values under preemption
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	runtime.GOMAXPROCS(8)
	var stop atomic.Bool
	var count atomic.Int64
	for i := 0; i < 4; i++ {
		go func() {
			for n := 0; !stop.Load(); n++ {
				for k := 0; k < 100000; k++ {
					n += k
				}
			}
		}()
	}
	go func() {
		for !stop.Load() {
			runtime.GC()
		}
	}()
	// Each SIGURG to the process is taken as a request to preempt.
	go func() {
		for !stop.Load() {
			syscall.Kill(os.Getpid(), syscall.SIGURG)
			time.Sleep(50 * time.Microsecond)
		}
	}()
	var group sync.WaitGroup
	end := time.Now().Add(1500 * time.Millisecond)
	for g := 0; g < 64; g++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Now().Before(end) {
				mustBe42("under preemption")
				if _, err := os.Stat(missing); !errors.Is(err, os.ErrNotExist) {
					die("the missing file: %v", err)
				}
				if _, err := os.Stat(redirected); err != nil {
					die("the redirected file: %v", err)
				}
				count.Add(1)
			}
		}()
	}
	group.Wait()
	stop.Store(true)
	if count.Load() < 64 {
		die("only %d rounds", count.Load())
	}
	fmt.Println("64 goroutines read right values under preemption")
}
