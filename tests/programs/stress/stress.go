// The same for Go: 64 goroutines, each on a thread of its own for part of the
// time, files served and missing, children, signals that are waited for, and the
// runtime's preemption signals among them (a low GC limit makes them many).
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const goroutines, steps = 64, 8

var names = []string{"emulated reads", "raw reads", "redirected reads", "missing files", "bad closes", "children", "signals"}
var counts [7]atomic.Int64

func worker(index int, wait *sync.WaitGroup) {
	defer wait.Done()
	path, err := syscall.BytePtrFromString(emulated)
	if err != nil {
		die("%v", err)
	}
	for step := range steps {
		mustBe42("a goroutine")
		counts[0].Add(1)
		rawMustBe42(path, "a goroutine")
		counts[1].Add(1)
		if text, err := os.ReadFile(redirected); err == nil && string(text) == "redirected\n" {
			counts[2].Add(1)
		}
		if _, err := os.Stat(missing); errors.Is(err, fs.ErrNotExist) {
			counts[3].Add(1)
		}
		if syscall.Close(-1) == syscall.EBADF {
			counts[4].Add(1)
		}
		if (index+step)%8 == 0 {
			runtime.LockOSThread()
			if exec.Command("/proc/self/exe", "child").Run() == nil {
				counts[5].Add(1)
			}
			runtime.UnlockOSThread()
		}
		grow(step * 20)
	}
}

// grow makes the stack move, and garbage.
func grow(depth int) int {
	var room [64]int
	room[depth%64] = depth
	if depth == 0 {
		return len(make([]byte, 4096))
	}
	return grow(depth-1) + room[depth%64]
}

// signals sends one to this process and waits until it has come, again and again.
func signals(came <-chan os.Signal, wait *sync.WaitGroup) {
	defer wait.Done()
	for range goroutines {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		<-came
		counts[6].Add(1)
	}
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "child" {
		mustBe42("a child")
		return
	}
	limit, err := strconv.Atoi(os.Args[2])
	if err != nil {
		die("%v", err)
	}
	byTime, start, rounds := os.Args[1] == "seconds", time.Now(), 0
	debug.SetGCPercent(5)
	came := make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGUSR1)
	for {
		var wait sync.WaitGroup
		wait.Add(goroutines + 1)
		for index := range goroutines {
			go worker(index, &wait)
		}
		go signals(came, &wait)
		wait.Wait()
		rounds++
		if byTime && time.Since(start) >= time.Duration(limit)*time.Second || !byTime && rounds >= limit {
			break
		}
	}
	fmt.Printf("rounds: %d\n", rounds)
	for kind, name := range names {
		fmt.Printf("%s: %d\n", name, counts[kind].Load())
	}
	if len(os.Args) > 3 {
		for input, err := bufio.NewReader(os.Stdin), error(nil); err == nil; _, err = input.ReadByte() {
			mustBe42("at rest")
			fmt.Println("at rest")
		}
	}
}
