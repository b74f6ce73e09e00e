// What the Go hazard programs share: see hazard.h.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

var emulated = pathOf("HAZARD_EMULATED")
var redirected = pathOf("HAZARD_REDIRECTED")

const missing = "/procsys-missing/file"

func pathOf(name string) string {
	path := os.Getenv(name)
	if path == "" {
		die("%s is not set", name)
	}
	return path
}

func die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "FAILED: "+format+"\n", args...)
	os.Exit(1)
}

// mustBe42 reads the emulated value through package os.
func mustBe42(where string) {
	bytes, err := os.ReadFile(emulated)
	if err != nil {
		die("%s: %v", where, err)
	}
	if got := strings.TrimSpace(string(bytes)); got != "42" {
		die("%s: got %q", where, got)
	}
}

// rawMustBe42 does so with raw system calls on the goroutine's own stack, nothing
// but the runtime's syscall stub between.
func rawMustBe42(path *byte, where string) {
	const atFdcwd = ^uintptr(99)
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_OPENAT, atFdcwd, uintptr(unsafe.Pointer(path)), syscall.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		die("%s: openat: %v", where, errno)
	}
	var text [4]byte
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&text[0])), 2)
	if errno != 0 || n != 2 || text[0] != '4' || text[1] != '2' {
		die("%s: read %d %v %q", where, n, errno, text)
	}
	syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
}
