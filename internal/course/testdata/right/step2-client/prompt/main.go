// A client with a prompt, which returns errors instead of printing them on the
// spot.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
)

func main() {
	if err := talk(os.Stdin, os.Stdout); err != nil {
		fmt.Println("Sorry:", err)
		os.Exit(2)
	}
}

func talk(in io.Reader, out io.Writer) error {
	conn, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 20000})
	if err != nil {
		return fmt.Errorf("cannot reach the server: %w", err)
	}
	defer conn.Close()
	keyboard := bufio.NewReader(in)
	for {
		fmt.Fprint(out, "> ")
		line, err := keyboard.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		switch line {
		case "q", "Q":
			fmt.Fprintln(out, "bye")
			return nil
		case "":
			continue
		}
		if _, err := conn.Write([]byte(line)); err != nil {
			return err
		}
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if errors.Is(err, io.EOF) {
			return errors.New("the server has closed the connection")
		} else if err != nil {
			return err
		}
		fmt.Fprintf(out, "server: %s\n", buf[:n])
	}
}
