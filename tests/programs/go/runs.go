// Runs the program that is named with an environment of one variable, and says
// what it printed; with `fail`, a program that is not there; with `many N`, a
// program with N variables.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

func main() {
	switch os.Args[1] {
	case "fail":
		err := syscall.Exec("/no/such/program", []string{"x"}, []string{"ONLY=1"})
		fmt.Println(err)
		err = exec.Command("/no/such/program").Run()
		fmt.Println(err)
	case "many":
		count, _ := strconv.Atoi(os.Args[2])
		environment := make([]string, count)
		for i := range environment {
			environment[i] = fmt.Sprintf("V%d=1", i)
		}
		run(os.Args[3:], environment)
	case "exec":
		panic(syscall.Exec(os.Args[2], os.Args[2:], []string{"ONLY=1"}))
	case "with":
		run(os.Args[3:], []string{os.Args[2], "ONLY=1"})
	default:
		run(os.Args[1:], []string{"ONLY=1"})
	}
}

func run(args, environment []string) {
	command := exec.Command(args[0], args[1:]...)
	command.Env = environment
	output, err := command.CombinedOutput()
	fmt.Print(string(output))
	if err != nil {
		fmt.Println(err)
	}
}
