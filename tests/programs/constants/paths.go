// The ways in which Go keeps a text's length: beside its address in an
// instruction, in a string header in data, in a slice of them, as a map's key, and
// as the start of a text that is put together.
package main

import (
	"fmt"
	"os"
	"strings"
)

var header = "/proc/sys/kernel/of-header"

var list = []string{"/proc/sys/kernel/of-list", "/proc/sys/kernel/of-list-too"}

type row struct {
	name string
	path string
}

var rows = [...]row{{"a", "/proc/sys/kernel/of-row"}, {"b", "/proc/sys/net/of-row"}}

var byKey = map[string]int{"/proc/sys/kernel/of-key": 1, "/etc/none": 2}

func show(path string) {
	contents, err := os.ReadFile(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(path[strings.LastIndexByte(path, '/')+1:], strings.TrimSpace(string(contents)))
}

//go:noinline
func choose(first bool) string {
	if first {
		return "/proc/sys/kernel/of-result"
	}
	return "/proc/sys/kernel/of-other-result"
}

func main() {
	show("/proc/sys/kernel/of-instruction")
	show(header)
	for _, path := range list {
		show(path)
	}
	for _, row := range rows {
		show(row.path)
	}
	for path, n := range byKey {
		if n == 1 {
			show(path)
		}
	}
	show("/proc/sys/" + strings.Join(os.Args[1:], "/"))
	show(choose(len(os.Args) > 100))
	show(choose(len(os.Args) < 100))
	fmt.Println("/proc/sys is not a message")
}
