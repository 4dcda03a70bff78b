package course

import (
	"net"
	"testing"

	"example.com/tcp-steps/internal/wire"
	"golang.org/x/net/nettest"
)

// The connection in memory is a proper net.Conn. This test is here, not with
// wire's own tests, because their dependencies are the steps' dependencies.
func TestWire_IsAConnection(t *testing.T) {
	for name, limit := range map[string]int{"no limit": wire.NoLimit, "a limit of 64 KiB": 64 << 10,
		"a limit of 16 bytes": 16} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				client, server := wire.Pipe()
				client.SetReadBuffer(limit)
				server.SetReadBuffer(limit)
				return client, server, func() { client.Close(); server.Close() }, nil
			})
		})
	}
}
