// As sockets.c, in Go: a server and its client that know one name of their socket.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

const folder = "/procsys-run/sysbox"

func check(what string, err error) {
	fmt.Println(what, err)
	if err != nil {
		os.Exit(1)
	}
}

func main() {
	name := os.Args[1]
	check("mkdir", os.Mkdir(folder, 0o700))
	server, err := net.Listen("unix", folder+"/fs.sock")
	check("listen", err)
	fmt.Println("address", server.Addr())
	done := make(chan string)
	go func() {
		peer, err := server.Accept()
		check("accept", err)
		text, err := io.ReadAll(peer)
		check("read", err)
		fmt.Println("local", peer.LocalAddr())
		done <- string(text)
	}()
	client, err := net.Dial("unix", folder+"/fs.sock")
	check("dial", err)
	fmt.Println("remote", client.RemoteAddr())
	_, err = client.Write([]byte(name))
	check("write", err)
	client.Close()
	if <-done != name {
		fmt.Println("another's")
		os.Exit(1)
	}
	fmt.Println("its own")
	check("close", server.Close())
	_, err = os.Stat(folder + "/fs.sock")
	fmt.Println("gone", os.IsNotExist(err))
	check("rmdir", os.Remove(folder))
}
