//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mimicsync/downloader/lookalike"
)

// announcement is the first line that a server prints.
type announcement struct {
	URL         string `json:"url"`
	Certificate string `json:"certificate"` // a PEM file, for SSL_CERT_FILE
	Manifest    string `json:"manifest"`    // a file, for who checks a tree
	Files       int64  `json:"files"`
	Bytes       int64  `json:"bytes"`
}

// tally is what a server answers to each line on its standard input.
type tally struct {
	Requests    int64   `json:"requests"`
	Files       int64   `json:"files"` // GETs of files
	Bytes       int64   `json:"bytes"` // of bodies
	Connections int64   `json:"connections"`
	CPU         float64 `json:"cpu"` // seconds of the server's process
}

// serve answers as PhysioNet does until its standard input ends.
func serve(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	shape := flags.String("shape", "small", "corpus")
	n := flags.Int("n", 20_000, "files")
	dir := flags.String("dir", ".", "where the certificate and the manifest go")
	if err := flags.Parse(args); err != nil {
		return err
	}
	files, err := corpus(*shape, *n)
	if err != nil {
		return err
	}
	generated := lookalike.Generated(files)
	sums := generated.Manifest()
	about := announcement{
		Certificate: filepath.Join(*dir, "certificate.pem"), Manifest: filepath.Join(*dir, "SHA256SUMS.txt"),
		Files: int64(generated.Len()), Bytes: generated.Bytes(),
	}
	certificate, err := newCertificate(about.Certificate)
	if err != nil {
		return err
	}
	if err := os.WriteFile(about.Manifest, sums, 0o600); err != nil {
		return err
	}
	site := lookalike.New(lookalike.Project{Slug: demo.Dataset, Title: "Benchmark", Versions: []lookalike.Version{{
		Version: demo.Version, Files: generated, Manifest: sums, Bytes: about.Bytes + int64(len(sums)),
	}}})
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening waits for nobody
	if err != nil {
		return err
	}
	about.URL = "https://" + listener.Addr().String()
	hs := &http.Server{
		Handler: site, ReadHeaderTimeout: time.Minute,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12},
	}
	site.Attach(hs)
	served := make(chan error, 1)
	go func() { served <- hs.ServeTLS(listener, "", "") }()
	if err := json.NewEncoder(os.Stdout).Encode(about); err != nil {
		return err
	}
	if err := answer(site); err != nil {
		return err
	}
	_ = hs.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// answer prints a tally for each line on standard input.
func answer(site *lookalike.Server) error {
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			return err
		}
		c := site.Counters()
		if err := out.Encode(tally{
			Requests: c.Requests, Files: c.Files, Bytes: c.BytesSent, Connections: c.Conns,
			CPU: (time.Duration(used.Utime.Nano()) + time.Duration(used.Stime.Nano())).Seconds(),
		}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// newCertificate makes a certificate for loopback that is its own authority, and writes it to a file for the clients.
func newCertificate(file string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mimicsync bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
