// A goroutine that ends while locked to its thread ends the thread: hundreds of
// threads come and go, each in the middle of emulated opens of the others.
//
// #Build: go, gopie
// #Limit: 30
// #Expect: 600 threads came and went
package main

import (
	"fmt"
	"runtime"
	"sync"
)

func main() {
	var group sync.WaitGroup
	room := make(chan bool, 16)
	for g := 0; g < 600; g++ {
		group.Add(1)
		room <- true
		go func() {
			defer func() { <-room; group.Done() }()
			runtime.LockOSThread()
			for i := 0; i < 5; i++ {
				mustBe42("a thread")
			}
		}()
	}
	group.Wait()
	fmt.Println("600 threads came and went")
}
