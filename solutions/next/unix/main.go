// The server and client of step 4, over a Unix socket: for programs on the same
// machine. Its address is a file, and the file's mode says who may connect.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	echo "example.com/tcp-steps/solutions/step4-framing"
)

func main() {
	if err := run(strings.NewReader("hello\n"), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run starts a server and sends it the lines of in.
func run(in io.Reader, out io.Writer) error {
	// The folder is this user's alone, so no other one can connect, not even
	// before the socket has its mode. A path has about 100 bytes at most.
	dir, err := os.MkdirTemp("", "echo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "echo.sock")

	ln, err := net.Listen("unix", path) // fails if there is such a file
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	server := &echo.Server{}
	go server.Serve(ln)
	defer server.Shutdown(context.Background()) // ln's Close removes the file

	conn, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "connected over", conn.RemoteAddr().Network())
	return echo.Run(conn, in, out)
}
