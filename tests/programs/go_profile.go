// The profiler walks the stack from a signal handler, wherever the program
// counter is: it must find its way, or give up, from inside a detour too.
//
// #Build: go, gopie
// #Limit: 30
// #Expect: profiled 1.0 s of emulated opens
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

func main() {
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		die("%v", err)
	}
	done := make(chan bool)
	end := time.Now().Add(time.Second)
	for g := 0; g < 4; g++ {
		go func(all bool) {
			for time.Now().Before(end) {
				mustBe42("under the profiler")
				os.Stat(missing)
				os.Stat(redirected)
				var where [4096]byte
				if runtime.Stack(where[:], all) == 0 {
					die("no stack")
				}
			}
			done <- true
		}(g == 0)
	}
	for g := 0; g < 4; g++ {
		<-done
	}
	pprof.StopCPUProfile()
	if profile.Len() == 0 {
		die("the profile is empty")
	}
	fmt.Println("profiled 1.0 s of emulated opens")
}
