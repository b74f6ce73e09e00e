// The questions of tests/programs/preload/peers.c, asked by a dynamic Go program,
// which makes its system calls itself.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

var (
	path   = os.Getenv("PEER_PATH")
	isTime = os.Getenv("PEER_TIME") != ""
)

func isOld(when time.Time) bool { return when.Year() < 2015 }

func say(name string, isReached bool) {
	if isReached {
		fmt.Println("reached", name)
	} else {
		fmt.Println("missed", name)
	}
}

func stat() bool {
	info, err := os.Stat(path)
	return err == nil && (!isTime || isOld(info.ModTime()))
}

func main() {
	if len(os.Args) > 2 {
		say("child", stat())
		return
	}
	if isTime {
		say("time.Now", isOld(time.Now()))
	} else {
		file, err := os.Open(path)
		say("os.Open", err == nil)
		file.Close()
	}
	say("os.Stat", stat())
	// A clone with CLONE_VM|CLONE_VFORK and stack 0.
	out, err := exec.Command("/proc/self/exe", "go", "child").CombinedOutput()
	say("os/exec", err == nil && string(out) == "reached child\n")
}
