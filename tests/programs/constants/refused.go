// Texts whose length the code has in other places, too, and whose order counts.
package main

import (
	"fmt"
	"os"
	"strings"
)

//go:noinline
func below(path string) string {
	if strings.HasPrefix(path, "/proc/sys/of-a-long-prefix/") {
		return path[len("/proc/sys/of-a-long-prefix/"):]
	}
	return ""
}

//go:noinline
func ordered(path string) bool {
	return path < "/proc/sys/of-order"
}

//go:noinline
func short(path string) bool {
	return path == "/proc/sys"
}

func main() {
	fmt.Println(below(os.Args[0]), ordered(os.Args[0]), short(os.Args[0]))
}
