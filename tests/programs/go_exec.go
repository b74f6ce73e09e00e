// os/exec in loops from several goroutines: Go's rawVforkSyscall clones with
// CLONE_VM|CLONE_VFORK and stack 0, and the child runs on the parent's memory
// until execve. zpoline and syscall_intercept die here.
//
// #Build: go, gopie
// #Limit: 30
// #Expect: 120 children started, 120 failed to
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

func main() {
	if len(os.Args) > 1 {
		mustBe42("the child")
		fmt.Println("child", os.Args[1])
		return
	}
	var group sync.WaitGroup
	for g := 0; g < 4; g++ {
		group.Add(1)
		go func(g int) {
			defer group.Done()
			for i := 0; i < 30; i++ {
				word := fmt.Sprint(g*100 + i)
				out, err := exec.Command("/proc/self/exe", word).CombinedOutput()
				if err != nil || strings.TrimSpace(string(out)) != "child "+word {
					die("child %s: %v %q", word, err, out)
				}
				if err := exec.Command(missing).Run(); !errors.Is(err, syscall.ENOENT) {
					die("a missing program: %v", err)
				}
				mustBe42("the parent")
			}
		}(g)
	}
	group.Wait()
	fmt.Println("120 children started, 120 failed to")
}
