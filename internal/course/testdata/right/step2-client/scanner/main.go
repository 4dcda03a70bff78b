// A client that reads lines with a Scanner and ends with an exit status.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	conn, err := net.Dial("tcp", "localhost:20000")
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() && !strings.EqualFold(lines.Text(), "q") {
		if _, err := fmt.Fprint(conn, lines.Text()); err != nil {
			log.Fatal("cannot send: ", err)
		}
		answer := make([]byte, 1024)
		n, err := conn.Read(answer)
		if err != nil {
			log.Fatal("no answer: ", err)
		}
		fmt.Printf("%s\n", answer[:n])
	}
	conn.Close()
}
