// Command pause is what a pod's sandbox runs: it keeps the pod's namespaces alive until it is told to end.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	// As process 1 of a shared process namespace it inherits orphans; ignoring SIGCHLD makes the kernel reap them.
	signal.Ignore(syscall.SIGCHLD)
	<-end
}
