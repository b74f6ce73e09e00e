// A failing program must fail as before: the trace of a nil dereference after
// emulated opens names its function and exits with 2.
//
// #Build: go, gopie
// #Exit: 2
// #Stderr: main.failHere(
// #Expect: about to fail
package main

import (
	"fmt"
	"runtime/debug"
)

//go:noinline
func failHere(p *int) int { return *p }

func main() {
	debug.SetTraceback("all")
	for i := 0; i < 10; i++ {
		mustBe42("before the failure")
	}
	func() {
		defer func() {
			if recover() == nil {
				die("no panic")
			}
		}()
		failHere(nil)
	}()
	fmt.Println("about to fail")
	failHere(nil)
}
