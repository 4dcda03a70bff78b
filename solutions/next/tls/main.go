// The server and client of step 4, over TLS: all bytes are encrypted, and the
// client knows who answers.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"os"
	"strings"
	"time"

	echo "example.com/tcp-steps/solutions/step4-framing"
)

func main() {
	if err := run(strings.NewReader("hello\n"), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run starts a server, and sends it the lines of in: first as a client that
// doesn't trust its certificate, then as one that does.
func run(in io.Reader, out io.Writer) error {
	cert, trusted, err := selfSigned("localhost")
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	server := &echo.Server{
		IdleTimeout: time.Minute, // the handshake counts: the first Read does it
		Log:         slog.New(slog.DiscardHandler),
	}
	go server.Serve(ln)
	defer server.Shutdown(context.Background())

	addr := ln.Addr().String()
	_, err = tls.Dial("tcp", addr, &tls.Config{ServerName: "localhost"})
	fmt.Fprintln(out, "without the certificate:", err)

	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "localhost", RootCAs: trusted})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "with it:", tls.VersionName(conn.ConnectionState().Version))
	return echo.Run(conn, in, out)
}

// selfSigned makes a certificate for the given host, and the pool of a client
// that trusts it. It's for tests and machines of your own: on the web, take one
// from an authority that all clients know, such as Let's Encrypt.
func selfSigned(host string) (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{host},
		NotBefore:    time.Now().Add(-time.Hour), // clocks differ
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool, nil
}
