// The table of cases for Go, which makes its system calls itself: each line is
// one call, what it gave and its errno. Static under procsys-patch and dynamic
// under libprocsys.so, it must print the same.
//
// Usage: cases FOLDER; FOLDER/real is what /procsys-away is redirected to.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

const (
	atFdcwd = ^uintptr(99)
	oPath   = 0x200000
	statx   = 332
	prctl   = 157
	closeRg = 436
	setns   = 308
)

func ptr(text string) uintptr {
	bytes, _ := syscall.BytePtrFromString(text)
	return uintptr(unsafe.Pointer(bytes))
}

// show makes a call in both of Go's ways, which must agree.
func show(name, form string, nr uintptr, args ...uintptr) (uintptr, bool) {
	a := [6]uintptr{}
	copy(a[:], args)
	r, _, e := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	shown := r
	isFd := strings.HasPrefix(name, "open")
	if isFd && e == 0 {
		shown = 1
	}
	fmt.Printf("%-14s %-10s -> %d errno %d\n", name, form, int(shown), e)
	r2, _, e2 := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if e2 != e || (!isFd && r2 != r) {
		fmt.Printf("  raw: %d errno %d\n", int(r2), e2)
	}
	if isFd && e2 == 0 {
		syscall.Close(int(r2))
	}
	return r, e == 0
}

func contents(fd uintptr, ok bool) {
	if !ok {
		return
	}
	text := make([]byte, 64)
	n, err := syscall.Read(int(fd), text)
	fmt.Printf("  holds %d %v: %q\n", n, err, text[:max(n, 0)])
	var st syscall.Stat_t
	if syscall.Fstat(int(fd), &st) == nil {
		fmt.Printf("  fstat %o\n", st.Mode)
	}
	var fs syscall.Statfs_t
	if syscall.Fstatfs(int(fd), &fs) == nil {
		fmt.Printf("  fstatfs %x\n", fs.Type)
	}
	n, err = syscall.Write(int(fd), []byte("7\n"))
	fmt.Printf("  write %d %v\n", n, err)
	link := fmt.Sprintf("/proc/self/fd/%d", fd)
	again, err := syscall.Open(link, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	fmt.Printf("  again %v\n", err)
	syscall.Close(again)
	syscall.Close(int(fd))
}

func file(dirfd uintptr, form, path string) {
	p := ptr(path)
	contents(show("openat", form, syscall.SYS_OPENAT, dirfd, p, syscall.O_RDONLY))
	contents(show("openat w", form, syscall.SYS_OPENAT, dirfd, p, syscall.O_WRONLY|syscall.O_TRUNC))
	contents(show("openat rw", form, syscall.SYS_OPENAT, dirfd, p, syscall.O_RDWR|syscall.O_CREAT, 0o644))
	contents(show("openat EXCL", form, syscall.SYS_OPENAT, dirfd, p, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, 0o600))
	contents(show("openat DIR", form, syscall.SYS_OPENAT, dirfd, p, syscall.O_DIRECTORY))
	var st syscall.Stat_t
	if _, ok := show("newfstatat", form, syscall.SYS_NEWFSTATAT, dirfd, p, uintptr(unsafe.Pointer(&st)), 0); ok {
		fmt.Printf("  %o %d\n", st.Mode, st.Nlink)
	}
	var sx [256]byte
	if _, ok := show("statx", form, statx, dirfd, p, 0, 0x7ff, uintptr(unsafe.Pointer(&sx))); ok {
		fmt.Printf("  %o\n", uint16(sx[28])|uint16(sx[29])<<8)
	}
	for mode := uintptr(0); mode < 8; mode++ {
		show("faccessat", form, syscall.SYS_FACCESSAT, dirfd, p, mode)
	}
	text := make([]byte, 256)
	if n, ok := show("readlinkat", form, syscall.SYS_READLINKAT, dirfd, p, uintptr(unsafe.Pointer(&text[0])), 256); ok {
		fmt.Printf("  %q\n", text[:n])
	}
	if dirfd == atFdcwd {
		contents(show("open", form, syscall.SYS_OPEN, p, syscall.O_RDONLY))
		show("stat", form, syscall.SYS_STAT, p, uintptr(unsafe.Pointer(&st)))
		show("lstat", form, syscall.SYS_LSTAT, p, uintptr(unsafe.Pointer(&st)))
		show("access", form, syscall.SYS_ACCESS, p, 4)
		var fs syscall.Statfs_t
		show("statfs", form, syscall.SYS_STATFS, p, uintptr(unsafe.Pointer(&fs)))
		bytes, err := os.ReadFile(path)
		fmt.Printf("  os.ReadFile %q %v\n", bytes, err)
		info, err := os.Stat(path)
		if err == nil {
			fmt.Printf("  os.Stat %v %d\n", info.Mode(), info.Size())
		}
	}
}

func forms(folder, name string) {
	file(atFdcwd, "absolute", folder+"/"+name)
	file(atFdcwd, "dotted", folder+"/.//./"+name)
	file(atFdcwd, "self", "/proc/self/root"+folder+"/"+name)
	fd, err := syscall.Open(folder, oPath|syscall.O_DIRECTORY, 0)
	if err != nil {
		fd, err = syscall.Open("/proc", oPath|syscall.O_DIRECTORY, 0)
		name = strings.TrimPrefix(folder, "/proc/") + "/" + name
	}
	file(uintptr(fd), "dirfd", name)
	file(uintptr(fd), "dirfd ./", "./"+name)
	file(atFdcwd, "fd link", fmt.Sprintf("/proc/self/fd/%d/%s", fd, name))
	syscall.Close(fd)
}

func main() {
	folder := os.Args[1]
	for _, name := range []string{"refused", "accepted", "other"} {
		forms("/proc/sys/procsys", name)
	}
	forms("/proc/self/ns", "procsys")
	file(atFdcwd, "away", "/procsys-away/file")
	file(atFdcwd, "away none", "/procsys-away/none")
	file(atFdcwd, "real", folder+"/real/file")
	show("mkdir", "away", syscall.SYS_MKDIR, ptr("/procsys-away/new"), 0o755)
	show("rename", "away", syscall.SYS_RENAME, ptr("/procsys-away/new"), ptr("/procsys-away/newer"))
	show("rmdir", "away", syscall.SYS_RMDIR, ptr("/procsys-away/newer"))
	show("close_range", "bits", closeRg, 900, 1000, 0x400)
	show("close_range", "other", closeRg, 900, 1000, 0x800)
	show("setns", "bad", setns, ^uintptr(0), 0)
	show("unshare", "one", syscall.SYS_UNSHARE, 1)
	show("unshare", "two", syscall.SYS_UNSHARE, 2)
	show("ioctl", "known", syscall.SYS_IOCTL, 1, 0x12345, 0)
	show("ioctl", "other", syscall.SYS_IOCTL, 1, 0x12346, 0)
	show("prctl", "known", prctl, 123456)
	show("prctl", "other", prctl, 123457)
	tmpfs := ptr("tmpfs")
	show("mount", "options", syscall.SYS_MOUNT, tmpfs, ptr(folder+"/real/mnt"), tmpfs, 0, ptr("size=1m,nonsense=1"))
	show("mount", "other", syscall.SYS_MOUNT, tmpfs, ptr(folder+"/real/mnt"), tmpfs, 0, ptr("size=1m,bogus=1"))
}
