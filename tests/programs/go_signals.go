// os/signal under a fast timer: no signal may be lost or turned into an error of
// the calls it meets; Go retries EINTR where it always did.
//
// #Build: go, gopie
// #Limit: 30
// #Expect: signals delivered, values right
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	notes := make(chan os.Signal, 1024)
	signal.Notify(notes, syscall.SIGUSR1, syscall.SIGUSR2)
	seen := 0
	for i := 0; i < 500; i++ {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		mustBe42("between signals")
		select {
		case s := <-notes:
			if s != syscall.SIGUSR1 {
				die("got %v", s)
			}
			seen++
		case <-time.After(10 * time.Second):
			die("signal %d was lost", i)
		}
	}
	// A reader blocked in the kernel, signalled all the while.
	r, w, err := os.Pipe()
	if err != nil {
		die("%v", err)
	}
	done := make(chan string)
	go func() {
		var b [1]byte
		n, err := syscall.Read(int(r.Fd()), b[:])
		for err == syscall.EINTR {
			n, err = syscall.Read(int(r.Fd()), b[:])
		}
		done <- fmt.Sprint(n, err, string(b[:]))
	}()
	for i := 0; i < 200; i++ {
		syscall.Kill(os.Getpid(), syscall.SIGUSR2)
		mustBe42("beside a blocked reader")
	}
	w.Write([]byte("x"))
	if got := <-done; got != "1 <nil>x" {
		die("the reader got %s", got)
	}
	fmt.Println("signals delivered, values right")
}
