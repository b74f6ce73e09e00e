// As sockets.c, in Go: a server and its client that know one name of their socket,
// which is made as sysbox-mgr makes its own (nestybox/sysbox-ipc,
// sysboxMgrGrpc/grpcServer.go: NewServerStub, Init). It goes on until its standard
// input ends.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path"
)

const address = "/run/sysbox/sysmgr.sock"

func check(what string, err error) {
	fmt.Println(what, err)
	if err != nil {
		os.Exit(1)
	}
}

func main() {
	name := os.Args[1]
	check("mkdir", os.MkdirAll(path.Dir(address), 0o700))
	server, err := net.Listen("unix", address)
	check("listen", err)
	check("chmod", os.Chmod(address, 0o600))
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
	fmt.Println("ready")
	_, err = io.ReadAll(os.Stdin)
	check("stdin", err)
	client, err := net.Dial("unix", address)
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
	_, err = os.Stat(address)
	fmt.Println("gone", os.IsNotExist(err))
	check("rmdir", os.Remove(path.Dir(address)))
}
