package echo

import (
	"bufio"
	"fmt"
	"net"
)

// 处理函数
//
//lint:ignore U1000 the step's tests call it
func process(conn net.Conn) {
	defer conn.Close() // 关闭连接
	// One reader for the connection, not one for each round: in the next round
	// it still has what Read didn't return.
	reader := bufio.NewReader(conn)
	for {
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
