package echo

// Here is the document's process, letter for letter. The chapter to read beside
// it is docs/4-framing.md.

import (
	"bufio"
	"fmt"
	"net"
)

// 处理函数
//
// TODO exercise 1: Keep every byte of a long message
// TODO exercise 2: Keep every byte however it is cut
func process(conn net.Conn) {
	defer conn.Close() // 关闭连接
	for {
		reader := bufio.NewReader(conn)
		var buf [128]byte
		n, err := reader.Read(buf[:]) // 读取数据
		if err != nil {
			fmt.Println("read from client failed, err:", err)
			break
		}
		recvStr := string(buf[:n])
		fmt.Println("收到client端发来的数据：", recvStr)
		conn.Write([]byte(recvStr)) // 发送数据
	}
}
