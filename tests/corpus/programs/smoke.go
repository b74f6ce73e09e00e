// What a static Go program does: files, directories, goroutines, sockets, a
// child, signals. Prints the same every time.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	must(os.MkdirAll("go/inner", 0o755))
	must(os.WriteFile("go/inner/text", []byte("forty-two\n"), 0o644))
	text, err := os.ReadFile("go/inner/text")
	must(err)
	fmt.Printf("read %s", text)
	entries, err := os.ReadDir("go")
	must(err)
	for _, entry := range entries {
		fmt.Println("entry", entry.Name(), entry.IsDir())
	}
	_, err = os.Open("/nowhere")
	fmt.Println("error", err)
	_, err = os.ReadFile("/proc/self/status")
	fmt.Println("status", err)
	var group sync.WaitGroup
	sums := make([]int, 16)
	for n := range sums {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			for i := 0; i < 1000; i++ {
				sums[n] += i * n
			}
		}(n)
	}
	group.Wait()
	total := 0
	for _, sum := range sums {
		total += sum
	}
	fmt.Println("sum", total)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		client, err := net.Dial("tcp", listener.Addr().String())
		must(err)
		fmt.Fprint(client, "over loopback")
		client.Close()
	}()
	server, err := listener.Accept()
	must(err)
	said, err := io.ReadAll(server)
	must(err)
	fmt.Printf("socket %s\n", said)
	child := exec.Command("/bin/sh", "-c", "echo child; exit 7")
	output, err := child.Output()
	fmt.Printf("%q %v\n", output, err)
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	must(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	fmt.Println("signal", <-caught)
	must(os.RemoveAll("go"))
}
