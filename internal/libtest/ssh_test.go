// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package libtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/go-vde/sdk/netstack"
)

// TestSSH runs commands in several sessions of one connection at the same time, and
// forwards connections to a listener on the client's Host.
func TestSSH(t *testing.T) {
	first, second := hosts(t)
	serverConfig, clientConfig := sshConfigs(t)
	l := listen(t, first, ":22")
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveSSH(t, first, l, serverConfig)
	}()
	address := net.JoinHostPort(first4.String(), "22")
	conn, err := second.DialContext(bound(t), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c, channels, requests, err := ssh.NewClientConn(conn, address, clientConfig)
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(c, channels, requests)
	defer func() {
		client.Close()
		<-done
	}()

	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if err := runSSH(client, byte(i)); err != nil {
				t.Errorf("session %d: %v", i, err)
			}
		})
	}
	target := listen(t, second, ":7")
	for i := range 2 {
		wg.Go(func() {
			accepted, err := target.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer accepted.Close()
			if _, err := io.Copy(accepted, accepted); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			forwarded, err := client.Dial("tcp", net.JoinHostPort(second4.String(), "7"))
			if err == nil {
				defer forwarded.Close()
				err = echo(forwarded, forwarded.(interface{ CloseWrite() error }).CloseWrite, byte(100+i), 1<<20)
			}
			if err != nil {
				t.Errorf("forwarded connection %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// runSSH runs the command cat, and gives it a megabyte.
func runSSH(client *ssh.Client, seed byte) error {
	s, err := client.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	in, err := s.StdinPipe()
	if err != nil {
		return err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.Start("cat"); err != nil {
		return err
	}
	if err := echo(struct {
		io.Reader
		io.Writer
	}{out, in}, in.Close, seed, 1<<20); err != nil {
		return err
	}
	return s.Wait()
}

// sshConfigs returns the configurations of a server with a new key and of a client that
// knows it and has a key that the server knows.
func sshConfigs(t *testing.T) (*ssh.ServerConfig, *ssh.ClientConfig) {
	t.Helper()
	var signers [2]ssh.Signer
	for i := range signers {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signers[i], err = ssh.NewSignerFromKey(key); err != nil {
			t.Fatal(err)
		}
	}
	known := string(signers[1].PublicKey().Marshal())
	server := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != known {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	server.AddHostKey(signers[0])
	return server, &ssh.ClientConfig{
		User:            "vde",
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(signers[1])},
		HostKeyCallback: ssh.FixedHostKey(signers[0].PublicKey()),
	}
}

// serveSSH serves one connection of l until it ends.
func serveSSH(t *testing.T, h *netstack.Host, l net.Listener, config *ssh.ServerConfig) {
	conn, err := l.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	c, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	go ssh.DiscardRequests(requests)
	var wg sync.WaitGroup
	defer wg.Wait()
	for asked := range channels {
		var extra struct {
			Host     string
			Port     uint32
			FromHost string
			FromPort uint32
		}
		to := ""
		if asked.ChannelType() == "direct-tcpip" {
			if err := ssh.Unmarshal(asked.ExtraData(), &extra); err != nil {
				t.Error(err)
			}
			to = net.JoinHostPort(extra.Host, strconv.Itoa(int(extra.Port)))
		}
		channel, requests, err := asked.Accept()
		if err != nil {
			t.Error(err)
			continue
		}
		wg.Go(func() {
			if to != "" {
				go ssh.DiscardRequests(requests)
				forwardSSH(t, h, channel, to)
			} else {
				catSSH(t, channel, requests)
			}
		})
	}
}

// catSSH answers the request to run a command, and sends back what the command is given.
func catSSH(t *testing.T, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	r, ok := <-requests
	if !ok || r.Type != "exec" {
		t.Error("no request to run a command")
		return
	}
	go ssh.DiscardRequests(requests)
	r.Reply(true, nil)
	if _, err := io.Copy(channel, channel); err != nil {
		t.Error(err)
	}
	channel.CloseWrite()
	channel.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, 0))
}

// forwardSSH connects channel to an address, and copies in both directions.
func forwardSSH(t *testing.T, h *netstack.Host, channel ssh.Channel, to string) {
	defer channel.Close()
	conn, err := h.DialContext(context.Background(), "tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(conn, channel)
		conn.(*netstack.TCPConn).CloseWrite()
	})
	io.Copy(channel, conn)
	channel.CloseWrite()
	wg.Wait()
}
