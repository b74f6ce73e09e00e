// Half of it opens files, in calls that rules are about; half of it counts.
package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"time"
)

//go:noinline
func opener(end time.Time) (n int) {
	for time.Now().Before(end) {
		f, err := os.Open("/etc/hostname")
		if err == nil {
			f.Close()
		}
		n++
	}
	return
}

//go:noinline
func counter(end time.Time) (n int) {
	for time.Now().Before(end) {
		for i := 0; i < 10000; i++ {
			n += i ^ n
		}
	}
	return
}

func main() {
	out, _ := os.Create(os.Args[1])
	pprof.StartCPUProfile(out)
	a := opener(time.Now().Add(2 * time.Second))
	b := counter(time.Now().Add(time.Second))
	pprof.StopCPUProfile()
	out.Close()
	fmt.Println(a > 0, b != 0)
}
